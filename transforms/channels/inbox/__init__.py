"""The in-app inbox: rows of the store."""
