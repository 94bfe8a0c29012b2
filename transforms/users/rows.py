"""From users and effects to rows: what a bundle writes, in the order that a crash may interrupt."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from transforms.campaigns.effects import Suppressed
from transforms.campaigns.entry import digest
from transforms.events.times import write_time
from transforms.segments.values import MINUTE
from transforms.storage.identities import LINKED_IDS, Identities
from transforms.storage.rows import EventRow, IdentityRow, LedgerRow, LedgerState, MemberRow, UserRow
from transforms.storage.store import Store
from transforms.storage.users import Users
from transforms.users.archive import event_row
from transforms.users.effects import Deleted, Effect, Forward, Linked, Recorded, SegmentEntered, SegmentLeft
from transforms.users.faults import open_user
from transforms.users.newest import version_of
from transforms.users.parts import PARTS
from transforms.users.tally import Tallies
from transforms.users.user import ANONYMOUS, Owner, TokenReassigned, User, encode_user

__all__ = ["Rows", "profile_json", "user_row"]


class Rows:
    """The writes of one bundle. Repeating them changes nothing, so a bundle that failed midway may run again."""

    def __init__(self) -> None:
        self.users: dict[str, UserRow] = {}
        self.events: list[EventRow] = []
        self.identities: list[IdentityRow] = []
        #: Ids of users whom a deletion made forget them: written before it, so that it finds the dead letters of these.
        self.lost_ids: list[IdentityRow] = []
        self.members: dict[tuple[str, str], MemberRow] = {}
        self.refusals: list[LedgerRow] = []
        self.deletions: list[Deleted] = []
        #: What is counted with these writes.
        self.tallies = Tallies(MINUTE)

    def add(self, user: User, state: bytes, effects: list[Effect], warming: Sequence[str] = ()) -> None:
        """Add what became of one user, whose encoded state comes with it. `warming`: see `profile_json`."""
        for effect in effects:
            if isinstance(effect, Recorded):
                self.events.append(event_row(effect, user.version))
            elif isinstance(effect, SegmentEntered | SegmentLeft):
                entered = isinstance(effect, SegmentEntered)
                row = MemberRow(effect.segment, effect.user, effect.at, user.version, entered)
                self.members[effect.segment, effect.user] = row
            elif isinstance(effect, Linked):
                self.identities.append(IdentityRow(effect.kind, effect.value, effect.user, effect.time // 1000))
            elif isinstance(effect, Suppressed):
                self.refusals.append(refusal_row(effect))
            elif isinstance(effect, Deleted):
                self._forget(effect)
        self.users[user.id] = user_row(user, state, warming)

    def take_back(self, user: User, row: bytes, warming: Sequence[str] = ()) -> User:
        """Add a user over a row, encoded, of a time that the engine has gone back from.

        The version is greater than that of the row, and the index of members is as the user says, whatever the row has
        put into it. `warming`: see `profile_json`. Returns the user with that version.
        """
        forgotten = open_user(user.id, row)
        before = forgotten.members if isinstance(forgotten, User) else {}
        user = msgspec.structs.replace(user, version=version_of(row) + 1)
        for segment in before.keys() | user.members.keys():
            since = user.members.get(segment)
            if since != before.get(segment):
                at = user.clock if since is None else since
                self.members[segment, user.id] = MemberRow(segment, user.id, at, user.version, since is not None)
        self.users[user.id] = user_row(user, encode_user(user), warming)
        return user

    def join(self, later: "Rows") -> None:
        """Add the writes of what came later."""
        for deleted in later.deletions:
            self._forget(deleted)
        self.events += later.events
        self.identities += later.identities
        self.lost_ids += later.lost_ids
        self.refusals += later.refusals
        self.members |= later.members
        self.users |= later.users
        self.tallies.join(later.tallies)

    def write(
        self, store: Store, now: int, also: Callable[[Store, list[Forward]], None] | None = None
    ) -> list[Forward]:
        """Write everything: deletions, events, members who begin, identities, refusals, users, members who cease, and
        what was counted. In SQLite that is one transaction.

        In Bigtable what comes again after a crash in between may come in another order, and then undo nothing: so no
        row may say that somebody is no member before their own row says so (see `members`). Counts are the last, so
        that a crash may lose some, and doubles none.

        Returns what users must be told whose tokens have new owners: a token belongs to the user who registered it
        last.

        Args:
          store: where to.
          now: the minute in which counts without a time count; microseconds UTC.
          also: is called last in the transaction, with what is returned.

        Raises:
          StoreError: if the store goes on refusing; nothing that depends on these rows may be emitted then.
        """
        if not (self.users or self.tallies):
            return []
        with store.transaction():
            taken = self._write(store, now)
            if also is not None:
                also(store, taken)
            return taken

    def _write(self, store: Store, now: int) -> list[Forward]:
        if self.lost_ids:
            store.write_identities(self.lost_ids)
        for deleted in self.deletions:
            self._bury(store, deleted)
            for user in deleted.users:
                store.delete_user(user, deleted.segments, deleted.identities)
        store.write_events(self.events)
        store.write_members([row for row in self.members.values() if row.active])
        taken = self._write_identities(store)
        store.record(self.refusals)
        store.write_users([*self.users.values()])
        store.write_members([row for row in self.members.values() if not row.active])
        if self.tallies:
            store.add_metrics(self.tallies.rows(now))
        return taken

    def _write_identities(self, store: Identities) -> list[Forward]:
        """Owners are read before and after the write, so that one of two users who register at once is told, too.

        The former owner of a token is noted beside it: if this process dies before that owner is told, the registration
        comes again.
        """
        tokens = sorted({row.value for row in self.identities if row.kind == "token"})
        before = store.read_identities("token", tokens) if tokens else {}
        store.write_identities([_after(row, before.get(row.value)) for row in self.identities])
        after = store.read_identities("token", tokens) if tokens else {}
        losers: dict[tuple[str, str], None] = {}
        for row in (*before.values(), *after.values(), *(row for row in self.identities if row.kind == "token")):
            for user in filter(None, (row.user, row.previous)):
                if (owner := after.get(row.value)) is not None and owner.user != user:
                    losers[user, row.value] = None
        return [
            Forward(user, TokenReassigned(after[token].version * 1000, token, after[token].version * 1000))
            for user, token in losers
        ]

    def _bury(self, store: Users, deleted: Deleted) -> None:
        """Leave of each id that was merged into a deleted user only who owns it.

        So what comes for it goes to the user who knows of the deletion, or to a later owner.
        """
        merged = [id_ for id_ in deleted.users if id_ != deleted.user]
        rows = (store.read_users(merged) if merged else {}) | {
            id_: self.users[id_] for id_ in merged if id_ in self.users
        }
        for id_ in merged:
            left = tombstone_of(id_, deleted, rows.get(id_))
            self.users[id_] = user_row(left, encode_user(left))

    def _forget(self, deleted: Deleted) -> None:
        """Drop rows from before a deletion, which is carried out before the rest is written."""
        users = set(deleted.users)
        self.events = [row for row in self.events if row.user not in users]
        self.lost_ids += [row for row in self.identities if row.user in users and row.kind in LINKED_IDS]
        self.identities = [row for row in self.identities if row.user not in users]
        self.refusals = [row for row in self.refusals if row.user not in users]
        self.members = {key: row for key, row in self.members.items() if row.user not in users}
        self.deletions.append(deleted)


def tombstone_of(id_: str, deleted: Deleted, row: UserRow | None) -> User:
    """What is left of an id that was merged into a deleted user; `row` is its own as it was."""
    found = User(id_) if row is None else open_user(id_, row.state)
    clock, owner = (found.clock, found.owner) if isinstance(found, User) else (0, None)
    left = User(id_, 1 if row is None else row.version + 1, max(clock, deleted.at), deleted=deleted.time)
    owner = owner or Owner(deleted.user, deleted.at, deleted.user)
    return msgspec.structs.replace(left, owner=owner, deleted_at=deleted.at)


def _after(row: IdentityRow, before: IdentityRow | None) -> IdentityRow:
    """A registration that knows whose the token was before; nobody asks that of other kinds."""
    if before is None:
        return row
    return msgspec.structs.replace(row, previous=before.previous if before.user == row.user else before.user)


def refusal_row(refused: Suppressed) -> LedgerRow:
    """A refusal as the ledger keeps it: its name is made of the decision, so that a repeated one is the same row."""
    return LedgerRow(
        user=refused.user,
        send=digest("refused", refused.campaign, refused.entry, refused.step),
        state=LedgerState.SUPPRESSED,
        campaign=refused.campaign,
        step=refused.step,
        channel="",
        decided_at=refused.at,
        at=refused.at,
        attempts=0,
        detail=refused.reason,
    )


def user_row(user: User, state: bytes, warming: Sequence[str] = ()) -> UserRow:
    """A user as its row; `state` is the user encoded. `warming`: see `profile_json`."""
    shown = msgspec.json.encode(profile_json(user, warming))
    return UserRow(user.id, user.version, state, shown, PARTS.deadline_of(user), len(user.sends))


def profile_json(user: User, warming: Sequence[str] = ()) -> dict[str, Any]:
    """What code outside the state machine may read of a user.

    `warming` are the segments whose conditions wait for a seed: older ones answer, or they say no.
    """
    shown: dict[str, Any] = {"user": user.id}
    if user.deleted is not None:
        shown["deleted"] = write_time(user.deleted)
    if user.owner is not None:
        shown["owner"] = user.owner.latest
    if user.created is None or user.owner is not None:
        return shown
    profile = user.profile
    shown["known_since"] = write_time(user.created)
    shown["as_of"] = write_time(user.clock)
    shown["attributes"] = profile.values()
    shown["tokens"] = profile.live_tokens()
    shown["consent"] = {key: granted for key, (_, _, granted) in sorted(profile.consent.items())}
    shown["segments"] = {name: write_time(since) for name, since in sorted(user.members.items())}
    if warming:
        shown["warming"] = list(warming)
    shown["journeys"] = [
        {
            "campaign": journey.campaign,
            "entered": write_time(journey.entered),
            "step": journey.waiting,
            "due": write_time(journey.due),
        }
        for journey in user.journeys.values()
        if not journey.is_pending
    ]
    if pending := [journey for journey in user.journeys.values() if journey.is_pending]:
        shown["pending"] = [
            {"campaign": each.campaign, "triggered": write_time(each.entered), "due": write_time(each.due)}
            for each in pending
        ]
    shown["blocked"] = {address: reason for address, (_, _, reason) in sorted(profile.blocked.items())}
    shown["anonymous"] = [name.removeprefix(ANONYMOUS) for name in user.merged if name.startswith(ANONYMOUS)]
    if user.truncated:
        shown["truncated"] = user.truncated
    shown["merged"] = [name for name in user.merged if not name.startswith(ANONYMOUS)]
    return shown
