"""Which products the same users have: counted by columns."""
