"""The inbox of one user, for the user's app."""
