"""What is counted: every metric with its labels.

A metric is a name, labels and a window. The values of a label come from the definitions, or are words of Todoke. Names
from outside (of events, ids) are no values, unless the definitions name them: else anybody could make series without
end. A histogram is one counter for each bucket, by the label `le`, and one for its sum. So only counts are kept, which
add up however they were split.
"""

from bisect import bisect_left
from collections.abc import Mapping

import msgspec

from transforms.segments.leaf_totals import MICRO
from transforms.segments.values import SECOND
from transforms.slos.bounds import BOUNDS

__all__ = [
    "COUNTER",
    "GAUGE",
    "HISTOGRAM",
    "METRICS",
    "OTHER",
    "Metric",
    "bound_of",
    "seconds_text",
    "sum_of",
]

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
#: The value of a label for whatever the definitions do not name.
OTHER = "other"


class Metric(msgspec.Struct, frozen=True):
    """One metric: what it counts, its labels (sorted), and its kind.

    A counter only grows, a gauge is a sum that may shrink. Of a histogram the values are times in microseconds. `unit`
    says how many counted units make one that is shown.
    """

    says: str
    labels: tuple[str, ...] = ()
    kind: str = COUNTER
    unit: int = 1


#: The labels of what is counted by units of a comparison, which are first entries.
_UNIT = ("arm", "campaign", "complete", "day", "goal", "split")
_DIGITS = ("arm", "campaign", "complete", "day", "digit", "goal", "split")

#: By name. The names and labels are a schema: rows of stores have them.
METRICS: Mapping[str, Metric] = {
    "read": Metric("messages read by a run over files; live it is the sum of `accounts`"),
    "accounts": Metric("how messages ended; a repeated one is read again, and a duplicate", ("cause", "outcome")),
    "control": Metric("how messages of the way back ended", ("cause", "outcome")),
    "events": Metric("events that became part of a user's history", ("event", "type")),
    "entered": Metric("users with a user id who became members", ("segment", "via")),
    "left": Metric("users with a user id who are members no longer", ("segment", "via")),
    "entries": Metric("journeys begun, those of who is held out too", ("arm", "campaign")),
    "conversions": Metric("entries that reached a goal", ("arm", "campaign", "goal")),
    "value": Metric("what conversions are worth", ("arm", "campaign", "goal"), GAUGE, MICRO),
    "units": Metric(
        "users who first entered a campaign, and so came into an arm, by day and by the percentages of then",
        ("arm", "campaign", "day", "share", "split"),
    ),
    "goal_units": Metric("those of whom a goal is counted; `complete` is the day from which none can reach it", _UNIT),
    "goal_reached": Metric("those who reached it", _UNIT),
    "goal_totals": Metric("what that is worth, in millionths, as digits of base 10^9", _DIGITS, GAUGE),
    "goal_squares": Metric("the squares of what it is worth to each, likewise", _DIGITS, GAUGE),
    "decided": Metric("sends decided", ("campaign", "channel", "step", "variant")),
    "suppressed": Metric("decisions not to send; of entries without a step", ("campaign", "channel", "reason", "step")),
    "sends": Metric("sends that ended", ("campaign", "channel", "reason", "state", "step", "variant")),
    "repeated": Metric("sends that the ledger had already", ("campaign", "channel")),
    "responses": Metric(
        "what readers did with messages and their consent, live; `by` is `person` or `machine`",
        ("by", "campaign", "channel", "kind", "step", "variant"),
    ),
    "latency": Metric(
        "from the arrival of what led to a send, or from when its step fell due (`trigger`), to its decision and "
        "to its hand-off",
        ("campaign", "channel", "from", "to"),
        HISTOGRAM,
    ),
    "behind": Metric("how far the job is behind, looked at every second; on Dataflow with each bundle", (), HISTOGRAM),
    "warming": Metric("looks that found a segment's conditions wait for seeds", ("segment",)),
    "queued": Metric("messages of an embedded queue that are not acknowledged", (), GAUGE),
    "queued_since": Metric(
        "when the oldest of them arrived, else when none was there, in seconds since 1970", (), GAUGE, SECOND
    ),
    "collect_calls": Metric("calls that the log reception API took", ("source",)),
    "collect_refused": Metric("calls that it refused", ("cause", "source")),
    "collect_requests": Metric("requests that it answered", ("status",)),
    "collect_latency": Metric("from a request to its answer", (), HISTOGRAM),
    "engage_receipts": Metric("receipts that the service published that customers touch", ("channel", "kind")),
    "engage_requests": Metric("requests that it answered", ("path", "status")),
    "engage_latency": Metric("from a request to the beginning of its answer", (), HISTOGRAM),
    "engage_told": Metric("what providers told it", ("outcome", "provider")),
    "engage_touches": Metric("opens and clicks that came to it", ("kind", "outcome")),
    "merged": Metric("pasts that became part of another user"),
    "truncated": Metric("things that the size limit of users' states dropped", ("kind",)),
    "rebuilt": Metric("users to whom the archive gave what changed definitions ask", ("how",)),
    "internal": Metric("inputs, or parts of users, that raised and were set aside or dropped", ("kind",)),
    "users": Metric("users with a user id at the end of a run over files", (), GAUGE),
    "anonymous": Metric("anonymous ids at the end of a run over files", (), GAUGE),
    "waiting": Metric("journeys that wait at the end of a run over files", (), GAUGE),
    "audited": Metric("users whose memberships an audit held against the archive", ("outcome",)),
    "audited_at": Metric("when the newest audit began, in seconds since 1970", (), GAUGE, SECOND),
    "members": Metric("members at the end of a run over files", ("known", "segment"), GAUGE),
}


def bound_of(micros: int) -> str:
    """The label `le` of the bucket that has a time: the least bound that is not below it, in seconds."""
    place = bisect_left(BOUNDS, micros)
    return seconds_text(BOUNDS[place]) if place < len(BOUNDS) else "+Inf"


def seconds_text(micros: int) -> str:
    """A bound in seconds, as a decimal without trailing zeros."""
    whole, rest = divmod(micros, SECOND)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".")


def sum_of(name: str) -> str:
    """The counter of a histogram's sum, in microseconds."""
    return f"{name}_sum"
