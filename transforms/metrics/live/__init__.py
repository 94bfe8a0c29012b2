"""Counts of a live job on one machine: they are written with what they count."""
