"""The whole state of one user, and the inputs that change it.

All are plain records with a stable MessagePack form (msgspec): users live in state and in rows, inputs cross shuffles.
Times are microseconds since the epoch, UTC. Dictionaries inside a `User` are never changed: `UserEditor` has copies.
"""

from collections.abc import Mapping
from enum import IntEnum

import msgspec

from transforms.campaigns.caps import Counted
from transforms.campaigns.effects import Send
from transforms.campaigns.entry import Entry
from transforms.campaigns.goals import OpenGoal
from transforms.campaigns.journey import Journey
from transforms.campaigns.occurrences import UserOccurrence
from transforms.campaigns.recent import KeptRecent
from transforms.events.event import Event
from transforms.identity.profile import Profile, Written
from transforms.segments.evidence import Evidence
from transforms.segments.leaf_states import KeptLeaves, PackedLeaves
from transforms.users.seen import KeptSeen, PackedSeen
from transforms.users.sessions import Session

__all__ = [
    "ANONYMOUS",
    "Announcement",
    "Input",
    "Merge",
    "Owner",
    "OwnerDeleted",
    "Seed",
    "SeedState",
    "Seeds",
    "TokenReassigned",
    "User",
    "Wake",
    "by_arrival",
    "decode_inputs",
    "decode_user",
    "encode_inputs",
    "encode_user",
    "pack_members",
    "read_members",
    "route",
    "warming_of",
]

#: Rows and states of anonymous users are keyed by this and the anonymous id.
ANONYMOUS = "~"

#: So many times an anonymous id goes from one user to another until it is forgotten who had it before.
MOST_NAMED = 64


class Owner(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The owner of an id that was merged: `first` got its past at `since`, `latest` gets what comes now.

    `historical`: the first owner took it over in history. For an anonymous id, `named` says who took it from the owner
    before, and by which call: its arrival (microseconds UTC) and message id, the newest `MOST_NAMED` of them.
    """

    first: str
    since: int
    latest: str
    historical: bool = False
    named: tuple[tuple[int, str, str], ...] = ()

    def after(self, call: tuple[int, str], user: str) -> "Owner":
        """The owner after a call (its arrival and message id) that names a user. A late call changes nothing."""
        if user == self.latest or (self.named and call <= self.named[-1][:2]):
            return self
        named = (*self.named, (*call, user))[-MOST_NAMED:]
        return msgspec.structs.replace(self, latest=user, named=named)

    def at(self, call: tuple[int, str]) -> str:
        """Who owns a call that names nobody: the user who had the id when it came. So it goes to the same user when it
        comes again.
        """
        return next((user for at, id_, user in reversed(self.named) if (at, id_) <= call), self.first)


class SeedState(IntEnum):
    """What is known of one seed. Of two states, the greater stands.

    `MISSED`: the user was judged by older definitions after the activation, so no seed can make up for what came since.
    `COME`: it was joined. `WHOLE`: it was, and had all that the user had applied until then, so that what arrived
    before the activation and comes now counts as everything does.
    """

    AWAITED = 0
    MISSED = 1
    COME = 2
    WHOLE = 3


#: By activation (the time), then by the id whose history is meant: the user's own, or one that was merged into it.
Seeds = dict[int, dict[str, SeedState]]


_NONE: frozenset[int] = frozenset()


def warming_of(seeds: Seeds) -> frozenset[int]:
    """The activations of which a seed is still to come."""
    if not seeds:  # nearly always, and asked for each input
        return _NONE
    return frozenset(at for at, states in seeds.items() if any(each < SeedState.COME for each in states.values()))


class User(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The state of a user, or of an anonymous id (then `id` starts with `~`).

    `clock` is the newest arrival applied. `created` is the arrival of the first input, None while nothing is known.
    `definitions_hash` is of those that `leaves` and `members` were judged by; these are read only when they are asked
    for, which few inputs do. `seen` has hashes of recent message ids with the clock at which they were applied.
    `merged` holds the ids taken over, anonymous ones with their `~`. `owner` is set for an id that was taken over.
    `deleted` is the time of the newest deletion: older events are dropped. `sends` are the decided ones of which no
    receipt has come, by id. `deleted_at` is when the newest deletion arrived: what was merged before is not merged
    again. `truncated` is how much of the state was dropped by its size limit. `rate_window` is the newest minute in
    which messages arrived, and how many. `owners` are hashes of the user ids that an anonymous id was named with.
    `release` is that of the definitions that the user was judged by, `seeds` what is known of the seeds of leaves that
    are newer than the user. `session` is the open one; an id that was taken over keeps it for those who ask again for
    its past. `goals` are those of its entries that events may still reach, by `OpenGoal.key`, `cap_history` the
    messages that frequency caps count, the oldest first, and `latest_events` the newest events that a campaign's `with`
    asks for, by name, with their properties. `occurrences` are those of scheduled campaigns that are fixed for this
    user, by campaign, and `next_occurrence` is when the next of them is due, or another begins. `first` is the arrival
    of the first input of a user id that was merged into this one, where it is earlier than `created`, and `recent` the
    newest of the events that end journeys and waits and that reach goals. `early` says by activation and id, as
    `seeds`, by which version something that arrived before the activation was last applied while a seed was awaited.
    `former` is into whom the user was merged until a circle of such merges ended here.
    """

    id: str
    version: int = 0
    clock: int = 0
    created: int | None = None
    definitions_hash: str = ""
    profile: Profile = msgspec.field(default_factory=Profile)
    leaves: KeptLeaves = PackedLeaves()
    packed_members: msgspec.Raw = msgspec.Raw(b"\x80")
    journeys: dict[str, Journey] = {}
    entries: dict[str, Entry] = {}
    seen: KeptSeen = PackedSeen()
    merged: tuple[str, ...] = ()
    owner: Owner | None = None
    deleted: int | None = None
    sends: dict[str, Send] = {}
    deleted_at: int | None = None
    truncated: int = 0
    rate_window: tuple[int, int] = (0, 0)
    owners: tuple[int, ...] = ()
    release: int = 0
    seeds: Seeds = {}
    session: Session | None = None
    goals: dict[str, OpenGoal] = {}
    cap_history: tuple[Counted, ...] = ()
    latest_events: dict[str, Written] = {}
    occurrences: dict[str, tuple[UserOccurrence, ...]] = {}
    next_occurrence: int | None = None
    first: int | None = None
    recent: KeptRecent = {}
    early: dict[int, dict[str, int]] = {}
    former: str = ""

    @property
    def members(self) -> dict[str, int]:
        """Segment to since, read anew at each call."""
        return read_members(self.packed_members)

    @property
    def warming(self) -> frozenset[int]:
        """The activations whose leaves cannot answer yet for this user."""
        return warming_of(self.seeds)


class Wake(msgspec.Struct, frozen=True, tag="wake", tag_field="input", array_like=True, gc=False):
    """Nothing but time has passed. With `historical` it passed long ago, and nothing is sent for what falls due.

    With `again` not even time has passed (the arrival is 0). After a launch, the user gets a timer this way, and each
    send that is still open is given out once more; the ledger lets it out once. `handle`: see `Event`. `control`: it
    was read from the control topic, and is accounted for there.
    """

    arrival: int
    id: str = "~wake"
    historical: bool = False
    again: bool = False
    handle: str = ""
    control: bool = False


class Merge(msgspec.Struct, frozen=True, tag="merge", tag_field="input", array_like=True, gc=False):
    """The state of an id, for the user that it was merged into. Always the same one for the same id.

    `path` names the users who passed it on because they were merged themselves. With `historical` the merging is
    history. `handle`: see `Event`; `control`: see `Wake`.
    """

    arrival: int
    user: User
    path: tuple[str, ...] = ()
    historical: bool = False
    handle: str = ""
    control: bool = False

    @property
    def id(self) -> str:
        """Deterministic, and sorted before every message of the same instant."""
        return f"\x00merge:{self.user.id}"


class TokenReassigned(msgspec.Struct, frozen=True, tag="token_taken", tag_field="input", array_like=True, gc=False):
    """Another user registered a device token at `time`: the one who registered it before loses it.

    `handle`: see `Event`; `control`: see `Wake`.
    """

    arrival: int
    token: str
    time: int
    handle: str = ""
    control: bool = False

    @property
    def id(self) -> str:
        """Deterministic."""
        return f"\x00token:{self.time}:{self.token}"


class OwnerDeleted(msgspec.Struct, frozen=True, tag="owner_deleted", tag_field="input", array_like=True, gc=False):
    """The user into whom this id was merged was deleted, by a deletion of `time`, carried out at `arrival`.

    `user` is that user. `handle`: see `Event`; `control`: see `Wake`.
    """

    arrival: int
    user: str
    time: int
    handle: str = ""
    control: bool = False

    @property
    def id(self) -> str:
        """Deterministic."""
        return f"\x00deleted:{self.time}:{self.user}"


class Seed(msgspec.Struct, frozen=True, tag="seed", tag_field="input", array_like=True, gc=False):
    """The evidence, by key, that the history of `user` before an activation gives to the leaves that came with it.

    It covers all leaves of that activation: one that it does not name has no evidence. `name` is the seed's own,
    `before` the activation (microseconds UTC): only what arrived earlier is in it. `release` is that of the definitions
    that it was made by. `handle`: see `Event`. A seed of the store's archive has what was applied to `user` up to
    `version` (-1: a seed of files, which have all that arrived).
    """

    name: str
    user: str
    before: int
    release: int
    leaves: dict[int, Evidence] = {}
    handle: str = ""
    version: int = -1

    @property
    def arrival(self) -> int:
        """The activation, to which it brings the user."""
        return self.before

    @property
    def id(self) -> str:
        """Deterministic."""
        return f"\x00seed:{self.name}:{self.user}"


class Announcement(msgspec.Struct, frozen=True, tag="announcement", tag_field="input", array_like=True, gc=False):
    """An event that concerns no user, told to each: it may trigger campaigns, and changes nothing else.

    `handle`: see `Event`; `control`: see `Wake`.
    """

    event: Event
    handle: str = ""
    control: bool = False

    @property
    def arrival(self) -> int:
        """The arrival of the event."""
        return self.event.arrival

    @property
    def id(self) -> str:
        """Deterministic."""
        return f"\x00announcement:{self.event.id}"


#: What `advance` takes.
Input = Event | Wake | Merge | TokenReassigned | Seed | Announcement | OwnerDeleted


_user_encoder = msgspec.msgpack.Encoder()
_user_decoder = msgspec.msgpack.Decoder(User)
_members_decoder = msgspec.msgpack.Decoder(dict[str, int])
_inputs_decoder = msgspec.msgpack.Decoder(list[Input])


def by_arrival(item: Input) -> tuple[int, str]:
    """The order in which the inputs of a user are applied."""
    return item.arrival, item.id


def route(event: Event) -> str:
    """The key that an event goes to first: an anonymous id where the call has one, else the user's."""
    if event.type == "alias":
        return f"{ANONYMOUS}{event.previous}"
    if event.type == "delete" or event.anonymous is None:
        return str(event.user)
    return f"{ANONYMOUS}{event.anonymous}"


def pack_members(members: Mapping[str, int]) -> msgspec.Raw:
    """Memberships as a user holds them."""
    return msgspec.Raw(_user_encoder.encode(members))


def read_members(packed: msgspec.Raw) -> dict[str, int]:
    """Memberships of `pack_members`, segment to since."""
    return _members_decoder.decode(packed)


def encode_user(user: User) -> bytes:
    """The user as MessagePack; pinned by golden files, since running jobs hold it."""
    return _user_encoder.encode(user)


def decode_user(data: bytes) -> User:
    """The user of `encode_user`."""
    return _user_decoder.decode(data)


def encode_inputs(inputs: list[Input]) -> bytes:
    """Inputs as MessagePack, for shuffles."""
    return _user_encoder.encode(inputs)


def decode_inputs(data: bytes) -> list[Input]:
    """The inputs of `encode_inputs`."""
    return _inputs_decoder.decode(data)
