"""Counts of a live job on one machine: they are summed in its process."""
