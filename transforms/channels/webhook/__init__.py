"""Calls of servers that messages name."""
