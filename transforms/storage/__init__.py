"""Tables and rows: Bigtable and SQLite behind one small interface."""
