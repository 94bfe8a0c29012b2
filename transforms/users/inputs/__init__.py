"""What comes to the state machine and what goes back to it, as Beam transforms."""
