"""The store in Bigtable: for production. A module for each protocol, and one for reading alone."""
