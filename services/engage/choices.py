"""What somebody may choose on the preference page, and what their choice changes. Times are microseconds UTC."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from transforms.campaigns.load import Definitions
from transforms.channels.references import SendReference
from transforms.events.consent import EVERY_TOPIC
from transforms.events.times import write_time
from transforms.identity.channels import channels
from transforms.users.control import Receipt

__all__ = ["Choices", "Pair", "changed", "choices_of", "denial", "offered"]

#: A topic and a channel.
Pair = tuple[str, str]
#: Channels that reach machines, not people.
_NO_PEOPLE = ("webhook",)


class Choices(msgspec.Struct, frozen=True, array_like=True):
    """What a page showed: whether each pair is `granted`, and the channels that are `closed`: denied as a whole."""

    granted: dict[str, dict[str, bool]]
    closed: tuple[str, ...] = ()

    def pairs(self) -> Iterator[Pair]:
        """All pairs, in the order in which they are shown."""
        for topic, by_channel in self.granted.items():
            for channel in by_channel:
                yield topic, channel


def offered(definitions: Definitions) -> dict[str, list[str]]:
    """The topics with the channels of what campaigns send about them: those that the policy names first, in its order.

    Topics of which nothing is sent are not offered.
    """
    found: dict[str, set[str]] = {}
    for campaign in definitions.campaigns.values():
        if campaign.consent is not None and campaign.status != "stopped":
            sent = {definitions.messages[name].channel for step in campaign.every_step for name in step.all_messages}
            found.setdefault(campaign.consent, set()).update(sent - {*_NO_PEOPLE})
    order = [*(topic for topic in definitions.policies.preferences.topics if topic in found), *sorted(found)]
    return {topic: sorted(found[topic]) for topic in dict.fromkeys(order) if found[topic]}


def choices_of(definitions: Definitions, consent: Mapping[str, Any]) -> Choices:
    """What is granted now, by a profile's `consent` (`topic/channel`: whether it is granted)."""
    shown = offered(definitions)
    named = {channel for by_channel in shown.values() for channel in by_channel}
    closed = tuple(sorted(channel for channel in named if consent.get(f"{EVERY_TOPIC}/{channel}") is False))

    def granted(topic: str, channel: str) -> bool:
        said = consent.get(f"{topic}/{channel}")
        return channel not in closed and (channels()[channel].granted if said is None else said is True)

    found = {topic: {channel: granted(topic, channel) for channel in by} for topic, by in shown.items()}
    return Choices(found, closed)


def changed(shown: Choices, wanted: Collection[Pair], link: SendReference, now: int) -> list[Receipt]:
    """The receipts that make what was shown what is wanted; none of what was not shown.

    A channel that was denied as a whole is opened where something on it is wanted, and then each of its topics is said.
    """
    receipts: list[Receipt] = []

    def say(kind: str, topic: str, channel: str) -> None:
        receipts.append(_receipt(link, kind, topic, channel, now + len(receipts)))

    pairs = list(shown.pairs())
    opened = {channel for topic, channel in pairs if channel in shown.closed and (topic, channel) in wanted}
    for channel in sorted(opened):
        say("resubscribed", EVERY_TOPIC, channel)
    for topic, channel in pairs:
        wants = (topic, channel) in wanted
        if channel in opened or wants != shown.granted[topic][channel]:
            say("resubscribed" if wants else "unsubscribed", topic, channel)
    return receipts


def denial(link: SendReference, pairs: Sequence[Pair], now: int) -> list[Receipt]:
    """The receipts that deny topics on channels."""
    said = enumerate(pairs)
    return [_receipt(link, "unsubscribed", topic, channel, now + place) for place, (topic, channel) in said]


def _receipt(link: SendReference, kind: str, topic: str, channel: str, now: int) -> Receipt:
    """Each has an id of its own: who left, came back and leaves again by the same link has left."""
    return Receipt(
        user_id=link.user,
        kind=kind,
        channel=channel,
        time=write_time(now),
        id=f"{kind}:{link.send}:{topic}:{channel}:{now}",
        send=link.send,
        campaign=link.campaign,
        step=link.step,
        message=link.message,
        variant=link.variant,
        topic=topic,
    )
