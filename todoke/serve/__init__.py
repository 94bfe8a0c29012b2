"""`todoke serve`: everything live on one machine, under one supervisor. See docs/decisions/0082."""
