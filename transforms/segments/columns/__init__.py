"""The columnar compiler of conditions: the same definitions over many users at once, as expressions of polars."""
