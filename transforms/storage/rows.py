"""The rows of each table, as plain records. Times are microseconds since the epoch, UTC."""

import msgspec

__all__ = [
    "ControlRow",
    "DeadLetterRow",
    "EventKey",
    "EventRow",
    "HoldRow",
    "IdentityRow",
    "InboxMarks",
    "InboxRow",
    "LeaseRow",
    "LedgerRow",
    "LedgerState",
    "MemberRow",
    "MetricRow",
    "RecommendationRow",
    "RecommendationRun",
    "RunRow",
    "UserRow",
]


class UserRow(msgspec.Struct, frozen=True, gc=False, rename={"version": "revision"}):
    """One user, or one anonymous id (then `user` is `~` and the id).

    `state` is the whole encoded state, which only the state machine reads; `profile` is JSON for everybody
    else: attributes, contacts, consent, memberships, journeys. `version` grows by at least one with every write
    and is the cell's timestamp in milliseconds, so a retried older write never shadows a newer one.
    `deadline` is the next time at which something changes without an event, or None. `open_sends` is the number of
    decided sends whose outcome has not been reported yet.
    """

    user: str
    version: int
    state: bytes
    profile: bytes
    deadline: int | None = None
    open_sends: int = 0


class EventKey(msgspec.Struct, frozen=True, gc=False):
    """What identifies an event in the archive."""

    user: str
    time: int
    id: str


class EventRow(msgspec.Struct, frozen=True, gc=False, rename={"version": "revision"}):
    """One event in the archive of record. `payload` is the JSON of the decoded event.

    `version` is that of the user in whose row the event counts (0: written before rows said so). If a process died
    before it wrote the user, its rows have a greater version than the user's row.
    """

    user: str
    time: int
    id: str
    arrival: int
    type: str
    name: str
    source: str
    payload: bytes
    version: int = 0


class IdentityRow(msgspec.Struct, frozen=True, gc=False, rename={"version": "revision"}):
    """The owner of an anonymous id, a former user id, a device token or an address.

    `kind` is `anonymous`, `user`, `token` or `address`. `version` is the time of the registering event in
    milliseconds: the newest registration wins, in whatever order they are written. `previous` is the owner before, who
    may not have been told yet.
    """

    kind: str
    value: str
    user: str
    version: int
    previous: str = ""


class MemberRow(msgspec.Struct, frozen=True, gc=False, rename={"version": "revision"}):
    """Membership of one user in one segment; leaving writes the same row with `active` False (a tombstone)."""

    segment: str
    user: str
    since: int
    version: int
    active: bool = True


class LedgerState:
    """The states of a send."""

    CLAIMED = "claimed"
    HANDED_OFF = "handed_off"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    #: Decided not to send, or nothing could be made to send; the detail is the reason.
    SUPPRESSED = "suppressed"


class LedgerRow(msgspec.Struct, frozen=True, gc=False):
    """One decision: a send, from its claim on, or a refusal.

    `lease` is when an unresolved claim lapses; a claim that lapsed keeps it, as `unknown`, until the user's state knows
    of it. `at` is the last change. `detail` is the provider's message id after a hand-off, else the reason.
    """

    user: str
    send: str
    state: str
    campaign: str
    step: str
    channel: str
    decided_at: int
    at: int
    attempts: int = 1
    lease: int = 0
    detail: str = ""


class InboxMarks(msgspec.Struct, frozen=True, gc=False):
    """When somebody read an inbox message, clicked it and dismissed it; 0: not yet."""

    opened: int = 0
    clicked: int = 0
    dismissed: int = 0


class InboxRow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename={"trigger": "shown_on"}):
    """What an app shows in its inbox: decided `at`, shown until `expires` (0: for ever). `data` is JSON.

    `placement` is where, empty for the list of messages; `trigger` is JSON that says when, empty for at once. `locale`
    is that of the text. What stands after it are marks (see `InboxMarks`), which are written apart.
    """

    user: str
    at: int
    send: str
    campaign: str
    step: str
    title: str
    body: str
    image: str
    deep_link: str
    data: bytes
    expires: int
    placement: str = ""
    trigger: bytes = b""
    locale: str = ""
    opened: int = 0
    clicked: int = 0
    dismissed: int = 0


class RunRow(msgspec.Struct, frozen=True, gc=False, rename={"definitions_hash": "definitions"}):
    """What the last bounded run on a store left: `as_of`, the definitions' hash, leaf keys and segments.

    `judged` says, for each hash that some user may still be judged by, what those definitions keep of events (see
    `users.rebuild`).
    """

    as_of: int
    definitions_hash: str
    leaves: tuple[int, ...] = ()
    segments: tuple[str, ...] = ()
    finished: bool = True
    judged: dict[str, tuple[int, ...]] = {}


class LeaseRow(msgspec.Struct, frozen=True, gc=False):
    """Who works on a store: what kind of job, its process (`pid`, `started`, `host`), since when and until when.

    `token` is unique to it.
    """

    job: str
    host: str
    pid: int
    started: str
    token: str
    since: int
    until: int


class HoldRow(msgspec.Struct, frozen=True, gc=False):
    """Sends of campaigns with a priority below `below` (0: none) wait from `since` until `until`, for the budgets of
    these service levels are used up.
    """

    below: int
    levels: tuple[str, ...]
    since: int
    until: int


class MetricRow(msgspec.Struct, frozen=True, gc=False):
    """One count of a series in the window that starts at `window`."""

    series: str
    window: int
    count: int


class ControlRow(msgspec.Struct, frozen=True, gc=False):
    """One message on the control table, see `users.control`. Ids sort by `published`, then in the order of publishing.

    `published` is the message's arrival time.
    """

    id: str
    published: int
    payload: bytes


class DeadLetterRow(msgspec.Struct, frozen=True, gc=False):
    """A message that was refused at `time` for a `cause`, as the store keeps it for a while.

    `id` is the same for the same refusal of the same message, however often that happens. `arrived` is when the message
    arrived, or when it was refused where that is unknown, as the dead letter says. `user` is whom the message names
    (`~` and an anonymous id for a visitor), as far as that can be read, else empty. `payload` is its beginning alone
    where `size`, of the whole in bytes, is more. `replayed` is when it was published again, or 0.
    """

    time: int
    id: str
    arrived: int
    user: str
    source: str
    cause: str
    detail: str
    payload: bytes
    size: int
    replayed: int = 0

    @property
    def weight(self) -> int:
        """About how many bytes it takes to keep it."""
        return len(self.payload) + len(self.detail) + len(self.source) + 200


class RecommendationRow(msgspec.Struct, frozen=True, gc=False):
    """One list of the run `made`: under a `name` products, the best first, as (id, score, users)."""

    made: int
    name: str
    products: tuple[tuple[str, float, int], ...]


class RecommendationRun(msgspec.Struct, frozen=True, gc=False):
    """A run: when it was `made`, which is its name, up to when it counted (`as_of`), and the run that was followed
    `before`, 0 for none.
    """

    made: int
    as_of: int
    before: int = 0

    def after(self, followed: "RecommendationRun | None") -> "RecommendationRun | None":
        """As it is followed in place of `followed`: None if that was made later."""
        if followed is None:
            return self
        if followed.made > self.made:
            return None
        return msgspec.structs.replace(self, before=followed.before if followed.made == self.made else followed.made)
