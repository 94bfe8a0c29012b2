"""The way back: what one user means for another, and what became of sends, as inputs again."""
