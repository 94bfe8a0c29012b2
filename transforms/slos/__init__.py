"""Service levels: their language, and the exact arithmetic of budgets and alerts."""
