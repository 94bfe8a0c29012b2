"""Rows of outside data as calls: what a mapping says of columns, how cells are read, and files row by row."""
