"""What a campaign would do, by recorded events: who would enter it and get what, and what is refused, and why.

The state machine itself over whole histories, as in a run over the same messages without a store; messages are made,
and go nowhere, so that no receipts come back. Times are microseconds UTC.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from heapq import heappush, heappushpop
from typing import NamedTuple

import msgspec

from transforms.campaigns.effects import CampaignEntered, Send, Suppressed
from transforms.campaigns.load import Definitions
from transforms.channels.making import Complaints, content_of, made
from transforms.channels.masking import Masks
from transforms.channels.outbox import composed
from transforms.channels.outcome import Delivery, Outcome
from transforms.channels.settings import MailSettings
from transforms.channels.tracking import tracking_of
from transforms.messages.render import Rendered
from transforms.segments.evidence import hash_of
from transforms.users.boundary import fold_apart
from transforms.users.effects import Effect
from transforms.users.facts import zone_of
from transforms.users.histories import Histories
from transforms.users.preview import WEEK
from transforms.users.user import User, Wake, by_arrival

__all__ = ["CampaignPreview", "Decided", "Happening", "PreviewedUser", "RefusalCount", "Weekly", "preview_campaign"]

#: Links of a preview lead nowhere.
_SETTINGS = MailSettings()


class Happening(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that a campaign does with a user: `what` is entered, sent or refused.

    `text` is the subject, title, text or URL of what is sent, and of a message that cannot be made which field and why;
    `note` is what a channel says of what is sent besides, such as in how many segments.
    """

    at: int
    what: str
    step: str = ""
    message: str = ""
    channel: str = ""
    reason: str = ""
    text: str = ""
    note: str = ""


class Weekly(NamedTuple):
    """How many journeys began, and how many messages went to an address, in the week that ends `at`."""

    at: int
    entries: int
    sends: int


class Decided(NamedTuple):
    """How often a step's message goes to an address of a channel."""

    sends: int
    step: str
    message: str
    channel: str


class RefusalCount(NamedTuple):
    """How often a step, or where it is empty the entry, is refused for a reason (docs/reference/reasons.md)."""

    times: int
    step: str
    reason: str


class PreviewedUser(msgspec.Struct, frozen=True):
    """A user, the zone they are in, and what the campaign does with them, in order."""

    user: str
    zone: str
    happened: tuple[Happening, ...]


class CampaignPreview(msgspec.Struct, frozen=True):
    """A campaign over all events up to `as_of`: `users` entered it, some of them more than once; `weeks` end there."""

    campaign: str
    as_of: int
    users: int
    entries: int
    weeks: tuple[Weekly, ...]
    decided: tuple[Decided, ...]
    refused: tuple[RefusalCount, ...]
    sample: tuple[PreviewedUser, ...]


def preview_campaign(
    campaign: str, histories: Histories, definitions: Definitions, as_of: int, *, weeks: int = 12, sample: int = 5
) -> CampaignPreview:
    """Let a campaign happen to all users and visitors up to `as_of`, beside all others of the definitions.

    Args:
      weeks: of so many weeks, the last of which ends at `as_of`, it is counted by week.
      sample: of how many users it is told: first those who enter, then those who are refused, by the hash of their id.
    """
    counts, complaints = _Counts(as_of, weeks), Complaints(Masks())
    chosen: list[tuple[bool, int, str, PreviewedUser]] = []
    for key, inputs in histories.each(definitions):
        told = sorted([*inputs, *histories.announcements], key=by_arrival) if histories.announcements else inputs
        user, effects = fold_apart(User(key), (*told, Wake(as_of)), definitions, histories.failed)
        happened = tuple(_happened(campaign, effects, definitions, complaints))
        if not happened:
            continue
        enters = counts.add(happened)
        if sample:
            push = heappush if len(chosen) < sample else heappushpop
            zone = zone_of(user.profile, definitions.policies.default_zone)
            push(chosen, (enters, -hash_of(key), key, PreviewedUser(key, zone, happened)))
    order = [step.id for step in definitions.campaigns[campaign].every_step]
    return CampaignPreview(
        campaign,
        as_of,
        counts.users,
        counts.entries.total(),
        tuple(counts.weekly()),
        tuple(Decided(counts.decided[what], *what) for what in _by_step(counts.decided, order)),
        tuple(RefusalCount(counts.refused[what], *what) for what in _by_step(counts.refused, order)),
        tuple(told for *_, told in sorted(chosen, key=lambda each: each[:3], reverse=True)),
    )


class _Counts:
    """What is counted of all users; of entries and sends by how many weeks back they are."""

    def __init__(self, as_of: int, weeks: int) -> None:
        self.as_of = as_of
        self.weeks = weeks
        self.users = 0
        self.entries, self.sends = Counter[int](), Counter[int]()
        self.decided, self.refused = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()

    def add(self, happened: Iterable[Happening]) -> bool:
        """Count what happens to one user; whether they enter."""
        before = self.entries.total()
        for each in happened:
            back = (self.as_of - each.at) // WEEK
            if each.what == "entered":
                self.entries[back] += 1
            elif each.what == "sent":
                self.sends[back] += 1
                self.decided[each.step, each.message, each.channel] += 1
            else:
                self.refused[each.step, each.reason] += 1
        enters = self.entries.total() > before
        self.users += enters
        return enters

    def weekly(self) -> Iterator[Weekly]:
        """The last weeks, the oldest first."""
        for back in range(self.weeks - 1, -1, -1):
            yield Weekly(self.as_of - WEEK * back, self.entries[back], self.sends[back])


def _happened(
    campaign: str, effects: Iterable[Effect], definitions: Definitions, complaints: Complaints
) -> Iterator[Happening]:
    for effect in effects:
        if not isinstance(effect, CampaignEntered | Send | Suppressed) or effect.campaign != campaign:
            continue
        if isinstance(effect, Send):
            yield _made(effect, definitions, complaints)
        elif isinstance(effect, Suppressed):
            yield Happening(effect.at, "refused", effect.step, reason=effect.reason)
        else:
            yield Happening(effect.at, "entered")


def _made(send: Send, definitions: Definitions, complaints: Complaints) -> Happening:
    """A send with its message made, as the courier makes it; or the refusal of one that cannot be."""
    making = partial(
        content_of,
        send,
        definitions.messages[send.message],
        _sound,
        settings=_SETTINGS,
        now_us=send.decided_at,
        default_locale=definitions.policies.default_locale,
        tracking=tracking_of(definitions),
    )
    content = made(send, making, complaints)
    if isinstance(content, Delivery):
        what, reason, text, note = "refused", content.reason, content.detail, ""
    else:
        what, reason, text, note = "sent", "", content.summary, content.note
    return Happening(send.decided_at, what, send.step, send.message, send.channel, reason, text, note)


def _sound(send: Send, rendered: Rendered) -> Rendered | Outcome:
    """A message that its channel would take, or why it would not."""
    content = composed(send, rendered, _SETTINGS)
    return content if isinstance(content, Outcome) else rendered


def _by_step(counts: Counter[tuple[str, ...]], order: list[str]) -> list[tuple[str, ...]]:
    """What was counted, entries first, then in the order of steps."""
    places = {step: place for place, step in enumerate(("", *order))}
    return sorted(counts, key=lambda what: (places.get(what[0], len(places)), what))
