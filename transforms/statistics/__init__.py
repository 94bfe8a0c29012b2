"""What can be concluded from counts of a randomised comparison: pure functions of numbers."""
