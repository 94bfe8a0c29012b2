"""The store in one SQLite file: the default on one machine. A module for each protocol, and one for reading alone."""
