"""Accounts, flows and the report of a run."""
