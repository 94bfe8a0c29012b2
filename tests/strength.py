"""How many examples a property test draws: its share of what the profile of Hypothesis says."""

from hypothesis import settings

__all__ = ["CI", "examples"]

#: The examples of a test that says nothing, in the profile `ci`.
CI = 100


def examples(at_ci: int) -> int:
    """So many with the profile `ci`, as many more or fewer as another draws; for `settings(max_examples=...)`."""
    return max(1, round(at_ci * settings().max_examples / CI))
