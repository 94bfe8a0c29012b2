"""Figures of an effect as people read them, the same in tables and on the page."""

from transforms.metrics.effect import ENOUGH, ArmEffect, ArmResult
from transforms.statistics.comparisons import Comparison
from transforms.statistics.sequences import Interval

__all__ = ["amount", "comparison_words", "interval_words", "mean_words", "p_words", "ratio_words", "verdict_words"]

#: Verdicts of `transforms.metrics.effect`, as sentences.
_VERDICTS = {
    "more": "higher, by more than chance explains",
    "less": "lower, by more than chance explains",
    "open": "no difference seen so far",
    "mismatch": "arms do not fit their percentages: nothing can be said",
}


def amount(measure: str, value: float | None, *, sign: bool = False) -> str:
    """A mean or a difference: of rates in percent, or percentage points; of values as it is."""
    if value is None:
        return "∞"
    plus = "+" if sign else ""
    return f"{100 * value:{plus}.2f}%" if measure == "rate" else f"{value:{plus},.2f}"


def mean_words(measure: str, arm: ArmResult) -> str:
    """The mean of an arm."""
    return amount(measure, arm.mean) if arm.units else "none yet"


def interval_words(measure: str, limits: Interval, *, sign: bool = False) -> str:
    """An interval."""
    return f"{amount(measure, limits.low, sign=sign)} to {amount(measure, limits.high, sign=sign)}"


def comparison_words(measure: str, found: Comparison) -> str:
    """A difference with its interval; of rates in percentage points."""
    points = found.difference, found.between
    shown = f"{amount(measure, points[0], sign=True)} ({interval_words(measure, points[1], sign=True)})"
    return shown.replace("%", " pp") if measure == "rate" else shown


def ratio_words(found: Comparison) -> str:
    """How many times the base's mean the arm's is, with its interval."""
    if found.ratio is None:
        return "the base is 0"
    low, high = found.ratio_between
    if low is None or high is None:
        return f"× {found.ratio:.2f} (cannot be bounded yet)"
    return f"× {found.ratio:.2f} ({low:.2f} to {high:.2f})"


def p_words(p: float) -> str:
    """A p-value."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.4f}"


def verdict_words(measure: str, effect: ArmEffect) -> str:
    """What can be said."""
    if effect.verdict == "not enough data":
        few = f"fewer than {ENOUGH[measure]}"
        both = f", or {few} did not" if measure == "rate" else ""
        return f"not enough data: in one of the arms {few} users reached it{both}"
    said = _VERDICTS[effect.verdict]
    if effect.verdict == "open" and effect.smallest is not None:
        seen = amount(measure, effect.smallest)
        said += (
            f"; {seen.replace('%', ' pp') if measure == 'rate' else seen} would have been seen, with a chance of 80%"
        )
    return said
