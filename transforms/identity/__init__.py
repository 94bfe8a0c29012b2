"""Users: ids, profiles, contacts and consent."""
