"""What is agreed: service levels with their owners, as records. Times are microseconds."""

from fractions import Fraction

import msgspec

from transforms.segments.values import DAY

__all__ = [
    "AT_LEAST",
    "CAMPAIGN_KINDS",
    "KINDS",
    "SERVICES",
    "SINCE",
    "STATUSES_OF_LEVELS",
    "WINDOWS",
    "Indicator",
    "LevelOwner",
    "ServiceLevel",
]

#: The kinds of indicators.
KINDS = ("latency", "success", "freshness", "accounting", "correctness", "availability")
#: Those that may be of one channel, and of one campaign.
CAMPAIGN_KINDS = ("latency", "success")
#: The HTTP services that have levels.
SERVICES = ("collect", "engage")
#: From when the latency of a send may count.
SINCE = ("arrival", "trigger")
#: Windows by their text.
WINDOWS = {"7d": 7 * DAY, "28d": 28 * DAY, "30d": 30 * DAY}
#: A level on trial is computed and shown, and alerts nobody.
STATUSES_OF_LEVELS = ("trial", "live")
#: How many events the long window of an alert must have, where a level does not say.
AT_LEAST = 100


class LevelOwner(msgspec.Struct, frozen=True):
    """Who answers for levels: whom to ask (`contact`), where alerts go (`page`, a URL), and who is next."""

    id: str
    name: str
    contact: str
    page: str = ""
    escalation: str = ""


class Indicator(msgspec.Struct, frozen=True):
    """What is counted as good, of what; see docs/reference/slos.md.

    `latency` is of sends, from `start` until they are handed off, or of the requests of a `service`. Fields that an
    indicator does not have are empty; an empty `channel` or `campaign` is any.
    """

    kind: str
    channel: str = ""
    campaign: str = ""
    segment: str = ""
    service: str = ""
    start: str = ""
    below: int = 0


class ServiceLevel(msgspec.Struct, frozen=True):
    """One level. `objective` is a share in (0, 1), exactly as it was written, and `window` a text of `WINDOWS`.

    `at_least` is how many events the long window of an alert must have, else it does not fire. `hold_below` is the
    priority below which sends wait once the budget is used up; None: exhaustion is only said.
    """

    id: str
    owner: LevelOwner
    indicator: Indicator
    objective: Fraction
    window: str = "28d"
    status: str = "trial"
    at_least: int = AT_LEAST
    hold_below: int | None = None
    name: str = ""

    @property
    def length(self) -> int:
        """The window in microseconds."""
        return WINDOWS[self.window]
