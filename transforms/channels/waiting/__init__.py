"""Deliver on any runner: where sends wait for their turn and their time."""
