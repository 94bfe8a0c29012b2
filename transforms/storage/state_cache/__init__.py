"""What Beam's cache of state costs: sizes of what is kept in it, measured quickly."""
