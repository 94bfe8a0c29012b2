"""What users of a store are members of, against what its archive says by columns.

The state of a user was made step by step, over months, by a job that was updated and died now and then; the archive
has all events, and is asked at once. Each user is judged at the time of the question, or at the user's clock where that
is later: the state is settled to it by the core, and nothing is written. A user's row is read before and after the
archive; if it has changed, all of that is done once more. Times are microseconds UTC.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from transforms.campaigns.load import Definitions
from transforms.events.event import SESSION, Event
from transforms.segments.columns.layout import Needs, NotColumnar, Prepared, needs_of
from transforms.segments.columns.memberships import USER, memberships
from transforms.segments.conditions import Condition
from transforms.segments.leaf_states import LeafStates
from transforms.segments.leaves import leaf_key
from transforms.segments.warming import atoms, references
from transforms.segments.written import condition_text
from transforms.storage.rows import EventRow, UserRow
from transforms.storage.scratch.folder import scratch_folder
from transforms.storage.users import EVERY_USER, UserRange
from transforms.users.archive import HistoryStore, archived, knows_ids, rows_of
from transforms.users.boundary import Failed, fold_apart
from transforms.users.effects import Recorded
from transforms.users.faults import open_user
from transforms.users.prepare.parts import write_part
from transforms.users.prepare.spill import RowBuilder, scanned
from transforms.users.rebuild import versions_of
from transforms.users.seeding_archive import Unapplied
from transforms.users.user import SeedState, User, Wake

__all__ = ["MOST_LISTED", "OUTCOMES", "Audit", "Difference", "audit", "columnar_segments"]

#: How the audit of a user may end. `moving`: the user changed while it was read, twice. `warming`, `missed`: a seed is
#: to come, or can come no more. `other_definitions`: the user was judged by others. `unreadable`: the state is.
OUTCOMES = ("agree", "differ", "moving", "warming", "missed", "other_definitions", "unreadable")
#: How many users are read together at most, and about how many events of theirs: fewer users where they have many.
_AT_ONCE, _EVENTS_AT_ONCE = 1_000, 50_000
#: How many users are read together first, when nobody knows yet how many events they have; and how many times as many
#: next at most.
_AT_FIRST, _TIMES = 10, 10
#: How many differences are listed; all are counted.
MOST_LISTED = 100
#: What the archive says of somebody of whom it has nothing.
_NOTHING = "nothing"


class Difference(msgspec.Struct, frozen=True):
    """A segment that a user is in (`live`) and should not be by the archive, or the other way round, at a time.

    `reason`: `condition`, an answer that the state keeps is not that of the archive, and `conditions` says which;
    `membership`, the answers agree, and the membership does not follow from them; `truncated`, the size limit has
    dropped some of the state; `older_rows`, the archive has rows of a version that kept less; `merged`, somebody else
    has taken the user over.
    """

    user: str
    segment: str
    live: bool
    at: int
    reason: str
    conditions: tuple[str, ...] = ()


class Audit(msgspec.Struct):
    """How many users ended how (`OUTCOMES`), the first differences, and how many there are by reason."""

    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    differences: list[Difference] = []
    reasons: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, other: "Audit", most: int = MOST_LISTED) -> None:
        """Take what was found of other users; which differences are listed does not depend on the order."""
        self.outcomes += other.outcomes
        self.reasons += other.reasons
        both = sorted([*self.differences, *other.differences], key=lambda each: (each.user, each.segment))
        self.differences = both[:most]


class _Read(NamedTuple):
    """A user as the row has it, the keys of all that was ever theirs with their versions, and the events of these."""

    user: User
    versions: dict[str, int]
    events: list[tuple[str, Event]]
    older: bool


class _Judged(NamedTuple):
    """A user as of the time at which it is judged, and the events that the archive has, with their keys."""

    user: User
    at: int
    events: list[tuple[str, Event]]
    older: bool


def columnar_segments(definitions: Definitions) -> dict[str, Condition]:
    """The segments that have a columnar form: neither they nor those that they refer to ask for an ended session."""
    conditions = definitions.asked.segments
    found: dict[str, Condition] = {}
    for name in TopologicalSorter({name: references(each) for name, each in conditions.items()}).static_order():
        try:
            needs_of(atoms(conditions[name]))
        except NotColumnar:
            continue
        if references(conditions[name]) <= found.keys():
            found[name] = conditions[name]
    return found


def audit(
    store: HistoryStore,
    definitions: Definitions,
    as_of: int,
    *,
    within: UserRange = EVERY_USER,
    most: int = MOST_LISTED,
    at_once: int = _AT_ONCE,
    events_at_once: int = _EVENTS_AT_ONCE,
) -> Audit:
    """Compare all users of a range of a store, anonymous ones too.

    Args:
      store: of a live job, or of a run over files.
      definitions: those of the job, as it has them now.
      as_of: when users are judged who have not gone on since.
      within: which users.
      most: how many differences are listed.
      at_once: how many users are read together at most.
      events_at_once: about how many events of theirs are.

    Raises:
      StoreError: the store cannot be read.
      OlderDefinitions: a user was judged by newer ones.
    """
    done, asks = Audit(), _Asks(definitions, as_of)
    rows, many = store.scan_users(within), min(at_once, _AT_FIRST)
    while some := list(islice(rows, many)):
        judged: list[_Judged] = []
        events = 1
        for read in _settled_reads(store, some, done):
            events += len(read.events)
            if (outcome := asks.hinders(read.user)) is not None:
                done.outcomes[outcome] += 1
            elif isinstance(found := asks.judge(read), str):
                done.outcomes[found] += 1
            else:
                judged.append(found)
        for differences in asks.compare(judged):
            done.outcomes["differ" if differences else "agree"] += 1
            done.reasons.update(each.reason for each in differences)
            done.differences += differences[: max(0, most - len(done.differences))]
        many = max(1, min(at_once, _TIMES * len(some), len(some) * events_at_once // events))
    return done


class _Together:
    """A store whose archive of some neighbours was read at once: one range of keys in place of many."""

    def __init__(self, store: HistoryStore, rows: Sequence[UserRow]) -> None:
        self._store, self._events = store, {row.user: list[EventRow]() for row in rows}
        for each in store.scan_archive(rows[0].user, rows[-1].user):
            if each.user in self._events:
                self._events[each.user].append(each)

    def scan_events(self, user: str) -> Iterator[EventRow]:
        """The events of one of them, or of whoever is merged into one."""
        rows = self._events.pop(user, None)  # nobody asks twice, as a rule
        yield from self._store.scan_events(user) if rows is None else rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _settled_reads(store: HistoryStore, rows: Sequence[UserRow], done: Audit) -> Iterator[_Read]:
    """What is read of users whose rows did not change meanwhile; those who move are tried once more."""
    together: Any = _Together(store, rows)
    reads = [read for row in rows if (read := _read(together, row, done)) is not None]
    moved = list(_changed(store, reads))
    away = {read.user.id for read in moved}
    yield from (read for read in reads if read.user.id not in away)
    for read in moved:
        row = store.read_users([read.user.id]).get(read.user.id)
        again = None if row is None else _read(store, row, done)
        if again is None:
            continue
        if any(_changed(store, [again])):
            done.outcomes["moving"] += 1
        else:
            yield again


def _read(store: HistoryStore, row: UserRow, done: Audit) -> _Read | None:
    """A user with the archive; None where there is nobody, or nobody who can be read."""
    user = open_user(row.user, row.state)
    if not isinstance(user, User):
        done.outcomes["unreadable"] += 1
        return None
    if user.created is None:
        return None
    if user.owner is not None:
        return _Read(user, {user.id: row.version}, [], older=False) if user.members else None
    versions = versions_of(store, user, row.version)
    unapplied = Unapplied(user, store, [*versions])
    rows = [each for each in rows_of(store, versions) if each.type != SESSION and not unapplied(each)]
    older = not all(knows_ids(each) for each in rows)
    return _Read(user, versions, [(each.user, archived(each)) for each in rows], older)


def _changed(store: HistoryStore, reads: Iterable[_Read]) -> Iterator[_Read]:
    """Those whose rows are not as they were read."""
    reads = list(reads)
    now = store.read_users(sorted({name for read in reads for name in read.versions}))
    for read in reads:
        if any(name not in now or now[name].version != version for name, version in read.versions.items()):
            yield read


class _Asks:
    """The questions of an audit."""

    def __init__(self, definitions: Definitions, as_of: int) -> None:
        self.definitions, self.as_of = definitions, as_of
        self.segments = columnar_segments(definitions)
        self.needs: Needs = needs_of(atom for each in self.segments.values() for atom in atoms(each))

    def hinders(self, user: User) -> str | None:
        """Why a user cannot be compared as its row stands."""
        plain = not self.definitions.release and not user.release
        return "other_definitions" if plain and user.definitions_hash != self.definitions.definitions_hash else None

    def judge(self, read: _Read) -> "_Judged | str":
        """A user settled to when it is judged, or why that says nothing."""
        at = max(self.as_of, read.user.clock)
        failed = Failed()
        user, effects = fold_apart(read.user, [Wake(at)], self.definitions, failed)
        if failed.inputs:
            return "unreadable"
        if user.warming:
            return "warming"
        if any(state is SeedState.MISSED for states in user.seeds.values() for state in states.values()):
            return "missed"
        own = [(user.id, effect.event) for effect in effects if isinstance(effect, Recorded)]
        return _Judged(user, at, read.events + [each for each in own if each[1].type != SESSION], read.older)

    def compare(self, judged: list[_Judged]) -> Iterator[list[Difference]]:
        """The differences of each user."""
        if not judged:
            return
        with scratch_folder() as folder:
            prepared = self._prepared(judged, folder)
            moments = {each.user.id: each.at for each in judged}
            answers = self._ask(self.segments, prepared, moments)
            differing = {each.user.id: self._segments_that_differ(each, answers[each.user.id]) for each in judged}
            told = self._leaves(prepared, moments, {name for each in differing.values() for name in each})
        for each in judged:
            yield self._differences(each, differing[each.user.id], told)

    def _prepared(self, judged: Iterable[_Judged], folder: Path) -> Prepared:
        rows = RowBuilder(self.needs)
        for each in judged:
            since = _ends(each.events)
            # Somebody of whom the archive has nothing is known, too.
            rows.add(each.user.id, Event(_NOTHING, "identify", "", each.at, each.at, each.user.id))
            for key, event in each.events:
                rows.add(each.user.id, event, (None, None) if key == each.user.id else (key, since[key]))
        partition, _ = write_part(0, rows.drain().lazy(), scanned([]), self.needs, folder)
        return Prepared(self.as_of, self.needs, () if partition is None else (partition,), str(folder))

    def _ask(
        self, conditions: Mapping[str, Condition], prepared: Prepared, moments: Mapping[str, int]
    ) -> dict[str, frozenset[str]]:
        """By user, which conditions hold, by name."""
        policies = self.definitions.policies
        defaults = policies.default_zone, policies.default_region
        names = list(conditions)
        found: dict[str, frozenset[str]] = {}
        for frame in memberships(conditions, prepared, moments, *defaults):
            for user, *truths in frame.select(USER, *names).iter_rows():
                found[user] = frozenset(name for name, holds in zip(names, truths, strict=True) if holds)
        return found

    def _segments_that_differ(self, judged: _Judged, answers: frozenset[str]) -> list[str]:
        if judged.user.owner is not None:
            return sorted(judged.user.members)
        return sorted((judged.user.members.keys() & self.segments.keys()) ^ answers)

    def _leaves(
        self, prepared: Prepared, moments: Mapping[str, int], segments: Iterable[str]
    ) -> Mapping[str, frozenset[str]]:
        """By user, which atomic conditions of segments hold by the archive, by the key of the leaf."""
        conditions = {
            f"{leaf_key(atom):016x}": atom
            for name in segments
            if name in self.segments
            for atom in atoms(self.segments[name])
        }
        return self._ask(conditions, prepared, moments) if conditions else {}

    def _differences(
        self, judged: _Judged, segments: Iterable[str], told: Mapping[str, frozenset[str]]
    ) -> list[Difference]:
        user = judged.user
        leaves = LeafStates(user.leaves, self.definitions.index.leaves).opened
        found = []
        for segment in segments:
            live = segment in user.members
            other = (
                []
                if user.owner is not None
                else [
                    condition_text(atom)
                    for atom in atoms(self.segments[segment])
                    if leaves[leaf_key(atom)].truth != (f"{leaf_key(atom):016x}" in told[user.id])
                ]
            )
            reason = _reason(judged, other=bool(other))
            found.append(Difference(user.id, segment, live, judged.at, reason, tuple(dict.fromkeys(other))))
        return found


def _reason(judged: _Judged, *, other: bool) -> str:
    if judged.user.owner is not None:
        return "merged"
    if judged.user.truncated:
        return "truncated"
    if judged.older:
        return "older_rows"
    return "condition" if other else "membership"


def _ends(events: Iterable[tuple[str, Event]]) -> dict[str, int]:
    """When the newest event of each key arrived."""
    found: dict[str, int] = {}
    for key, event in events:
        found[key] = max(found.get(key, 0), event.arrival)
    return found
