"""A campaign: how many entered, what was sent, whom it was kept from and why, and what came of it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from transforms.metrics.counts import WindowCount, counts_in
from transforms.storage.reader import Reader
from transforms.storage.series import label_value
from transforms.users.measures import METRICS

__all__ = ["funnel"]


def funnel(reader: Reader, campaign: str, *, since: int | None = None) -> dict[str, Any]:
    """What was counted of a campaign, from a window on.

    The result has `campaign`; `entries` by arm, those who are held out too; `decided` by channel; `sends` by channel
    and state, as they ended; `refusals` by reason; and `goals`, with `conversions` and their `value` by goal and arm.
    The arm of a campaign without variants is `""`. A campaign of which nothing was counted has empty parts.

    Args:
      reader: of the store.
      campaign: its id.
      since: windows that start before it are left out, microseconds UTC.

    Raises:
      StoreError: the store cannot be read.
    """
    entries, decided, refusals = Counter[str](), Counter[str](), Counter[str]()
    sends, conversions, value = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for count in _counts(reader, campaign, since):
        labels, number = count.labels, count.count
        match count.name:
            case "entries":
                entries[labels.get("arm", "")] += number
            case "decided":
                decided[labels.get("channel", "")] += number
            case "suppressed":
                refusals[labels.get("reason", "")] += number
            case "sends":
                sends[labels.get("channel", ""), labels.get("state", "")] += number
            case "conversions":
                conversions[labels.get("goal", ""), labels.get("arm", "")] += number
            case "value":
                value[labels.get("goal", ""), labels.get("arm", "")] += number
    unit = METRICS["value"].unit
    goals = [
        {"goal": goal, "arm": arm, "conversions": number, "value": value[goal, arm] / unit}
        for (goal, arm), number in sorted(conversions.items())
    ]
    states: dict[str, dict[str, int]] = {}
    for (channel, state), number in sorted(sends.items()):
        states.setdefault(channel, {})[state] = number
    plain = {"entries": entries, "decided": decided, "refusals": refusals}
    said = {name: dict(sorted(counts.items())) for name, counts in plain.items()}
    return {"campaign": campaign, **said, "sends": states, "goals": goals}


def _counts(reader: Reader, campaign: str, since: int | None) -> Iterator[WindowCount]:
    """What has the campaign among its labels; names of an older version are read too."""
    named = label_value(campaign)
    for name in ("entries", "decided", "suppressed", "sends", "conversions", "value"):
        for prefix in (f"{name}{{", f"{name}/"):
            found = counts_in(reader, prefix, since)
            yield from (count for count in found if count.labels.get("campaign") == named)
