"""What a sample is summed to: how many, their sum, and the sum of their squares. Exact, however large."""

from fractions import Fraction

import msgspec

__all__ = ["Moments"]


class Moments(msgspec.Struct, frozen=True):
    """A sample, summed."""

    count: int
    total: Fraction
    squares: Fraction

    @classmethod
    def of_rate(cls, count: int, reached: int) -> "Moments":
        """Of `count` units of which so many count as 1, and the others as 0."""
        return cls(count, Fraction(reached), Fraction(reached))

    def __add__(self, other: "Moments") -> "Moments":
        """Both samples as one."""
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """The mean, 0 of nothing."""
        return float(self.total / self.count) if self.count else 0.0

    @property
    def variance(self) -> float:
        """The sample variance (n - 1 below), 0 of fewer than two. The difference is taken exactly, then rounded."""
        if self.count < 2:
            return 0.0
        return float((self.squares - self.total * self.total / self.count) / (self.count - 1))

    @property
    def error(self) -> float:
        """The square of the standard error of the mean, 0 of nothing."""
        return self.variance / self.count if self.count else 0.0
