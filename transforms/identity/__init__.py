"""Whose it is: ids, profiles, contacts and consent."""
