"""The page at `/` of a system on one machine: whether it lives, and what it does."""
