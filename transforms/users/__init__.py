"""The state machine that joins them: User, advance(), and the two Beam shells."""
