"""Message definitions and Liquid rendering, fail closed."""
