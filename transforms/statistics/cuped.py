"""CUPED: a comparison of two arms from which what units did before they entered is taken out.

Source: Deng, Xu, Kohavi and Walker, "Improving the Sensitivity of Online Controlled Experiments by Utilizing
Pre-Experiment Data", WSDM 2013. With Y after the entry and X before it, y = Y - theta·(X - mean of X) has the same
difference of arms in expectation, since chance alone drew arms and X was before, and the least variance at

    theta = cov(X, Y) / var(X),

both within arms, pooled. Then var(y) = var(Y)·(1 - r²), r the correlation of X and Y. That theta is estimated changes
the difference by less than its standard error by an order, so that the same sequences hold, asymptotically.
"""

from fractions import Fraction

import msgspec

from transforms.statistics.comparisons import Comparison, compare
from transforms.statistics.moments import Moments

__all__ = ["Adjusted", "Paired", "adjust"]


class Paired(msgspec.Struct, frozen=True):
    """A sample of pairs, summed exactly: what came `after` the entry, what `before`, and the sum of products."""

    after: Moments
    before: Moments
    products: Fraction

    def __add__(self, other: "Paired") -> "Paired":
        """Both samples as one."""
        return Paired(self.after + other.after, self.before + other.before, self.products + other.products)

    @property
    def crossed(self) -> Fraction:
        """The sum of products around the means."""
        count = self.after.count
        return self.products - self.after.total * self.before.total / count if count else Fraction()

    @property
    def spread(self) -> Fraction:
        """The sum of squares of `before` around its mean."""
        count = self.before.count
        return self.before.squares - self.before.total**2 / count if count else Fraction()

    def without(self, theta: Fraction, mean: Fraction) -> Moments:
        """The sample of after - theta·(before - mean)."""
        count, shift = self.after.count, theta * mean
        total = self.after.total - theta * self.before.total + count * shift
        plain = self.after.squares - 2 * theta * self.products + theta**2 * self.before.squares
        return Moments(
            count,
            total,
            plain + 2 * shift * (self.after.total - theta * self.before.total) + count * shift**2,
        )


class Adjusted(msgspec.Struct, frozen=True):
    """Arm against base, adjusted: `theta`, by what share the variance of the difference is less (`reduction`), and the
    comparison.
    """

    theta: float
    reduction: float
    found: Comparison


def adjust(arm: Paired, base: Paired, alpha: float = 0.05, of: int = 1) -> Adjusted:
    """Compare two arms as `compare` does, after the adjustment; without anything before it is the plain comparison."""
    # In floats: exactly, its parts would be numbers of thousands of digits, and any theta near it does.
    spread = float(arm.spread + base.spread)
    theta = Fraction(float(arm.crossed + base.crossed) / spread) if spread > 0 else Fraction()
    both = arm.before + base.before
    mean = Fraction(both.mean)
    samples = arm.without(theta, mean), base.without(theta, mean)
    plain, left = arm.after.error + base.after.error, samples[0].error + samples[1].error
    return Adjusted(float(theta), 1 - left / plain if plain else 0.0, compare(*samples, alpha, of))
