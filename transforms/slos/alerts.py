"""The alerts of a service level, which follow from its objective and its window.

Multiwindow, multi-burn-rate alerts, as chapter 5 of Google's Site Reliability Workbook has them for 30 days
(https://sre.google/workbook/alerting-on-slos/), scaled to other windows as Sloth scales them: an alert fires when a
given share of the budget is used in its long window, and is still being used in a short one, a twelfth of that.
"""

from collections.abc import Callable
from fractions import Fraction

import msgspec

from transforms.segments.values import DAY, HOUR
from transforms.slos.budget import Events, burn_of

__all__ = [
    "LEAST_FACTOR",
    "PAGE",
    "TICKET",
    "Alert",
    "LeftOut",
    "alerts_of",
    "detected_after",
    "fires",
    "one_pages_below",
]

PAGE, TICKET = "page", "ticket"
#: Kind, share of the budget, and long window (microseconds).
_RULES = (
    (PAGE, Fraction(2, 100), HOUR),
    (PAGE, Fraction(5, 100), 6 * HOUR),
    (TICKET, Fraction(10, 100), DAY),
    (TICKET, Fraction(10, 100), 3 * DAY),
)
#: So many times the short window goes into the long one.
_SHORTER = 12
#: The least factor: that of the slowest ticket in 28 days. Below it an alert would fire while the budget lasts.
LEAST_FACTOR = Fraction(14, 15)


class Alert(msgspec.Struct, frozen=True):
    """A `page` or a `ticket`: it fires while the burn in both windows (microseconds) is above the factor."""

    kind: str
    long: int
    factor: Fraction

    @property
    def short(self) -> int:
        """The short window, in microseconds: an alert ends soon after the failures do."""
        return self.long // _SHORTER


class LeftOut(msgspec.Struct, frozen=True):
    """An alert that a level does not have, and why not."""

    alert: Alert
    why: str

    def __str__(self) -> str:
        return f"the {self.alert.kind} of {self.alert.long // HOUR} h is left out: {self.why}"


def alerts_of(objective: Fraction, window: int) -> tuple[tuple[Alert, ...], tuple[LeftOut, ...]]:
    """The alerts of an objective in a window (microseconds), and those left out since they could not help."""
    kept, out = [], []
    for kind, share, long in _RULES:
        alert = Alert(kind, long, share * window / long)
        if alert.factor * (1 - objective) >= 1:
            out.append(
                LeftOut(alert, "it could never fire: even if all events are bad, the burn is not above its factor")
            )
        elif alert.factor < LEAST_FACTOR:
            out.append(LeftOut(alert, f"its factor is below {LEAST_FACTOR}: it would fire though the budget lasts"))
        else:
            kept.append(alert)
    return tuple(kept), tuple(out)


def fires(alert: Alert, events: Callable[[int], Events], objective: Fraction, at_least: int = 0) -> bool:
    """Whether an alert fires.

    Args:
      alert: the alert.
      events: the events of a trailing window, by its length in microseconds.
      objective: of the level.
      at_least: so many events the long window must have.
    """
    long = events(alert.long)
    burns = burn_of(long, objective), burn_of(events(alert.short), objective)
    return long.total >= at_least and all(burn is not None and burn > alert.factor for burn in burns)


def detected_after(alert: Alert, objective: Fraction) -> Fraction:
    """For how long (microseconds) everything must fail until the alert fires, if all was well before."""
    return alert.factor * (1 - objective) * alert.long


def one_pages_below(alert: Alert, objective: Fraction) -> Fraction:
    """With fewer events than this in the long window, one bad event fires the alert."""
    return 1 / (alert.factor * (1 - objective))
