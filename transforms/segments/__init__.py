"""The condition language and its incremental evaluation."""
