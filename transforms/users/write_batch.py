"""A bundle of the state machine: open users from their rows, fold inputs, write rows, and then give out results.

Both Beam shells use it; they differ in where a user's state comes from and in when a bundle is flushed.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from typing import NamedTuple

import msgspec

from transforms.campaigns.effects import Send
from transforms.campaigns.load import Definitions
from transforms.events.dead_letter import DeadLetter
from transforms.events.event import RECEIPT, Event
from transforms.events.live.feed import now
from transforms.events.live.inflight import InFlight
from transforms.events.plain import quoted
from transforms.logs import fields
from transforms.segments.values import DAY, MINUTE
from transforms.storage.archive import Archive
from transforms.storage.rows import EventKey
from transforms.storage.store import Store
from transforms.storage.users import Users
from transforms.users.advance import fold
from transforms.users.archive import HistoryStore
from transforms.users.boundary import Aside, apart
from transforms.users.effects import Account, Deleted, Effect, Forward, Redeliver
from transforms.users.faults import (
    BAD_STATE,
    INTERNAL,
    PASSED,
    Unreadable,
    called,
    dead_letter_of,
    open_user,
    set_aside,
    traced,
)
from transforms.users.handing_on import held_back, made_here
from transforms.users.one_way import one_way
from transforms.users.rate_limit import HOT_ID
from transforms.users.rebuild import Judged, bring_over
from transforms.users.rows import Rows
from transforms.users.seen import Seen, hash_message
from transforms.users.size_limit import enforce_size_limit
from transforms.users.tally import Tallies, Tally
from transforms.users.user import ANONYMOUS, Input, User, Wake, encode_user

__all__ = ["Handles", "WriteBatch", "applied_before", "open_users"]

_log = logging.getLogger(__name__)
#: Hot keys that a warning names, one warning a bundle.
_NAMED = 5


class Handles(msgspec.Struct, frozen=True):
    """Handles of messages that are accounted for: everything that came of them is written."""

    handles: tuple[str, ...]


class _Made(NamedTuple):
    """What inputs make of a user, of which nothing is kept yet."""

    user: User
    state: bytes
    effects: Sequence[Effect]
    tallies: Tallies
    rows: Rows | None


class WriteBatch:
    """What a bundle has decided and not yet given out. Without a store nothing is written.

    In a live job, whose messages are `in_flight`, handles of those that end here are given out too, and it is counted
    by minute of the `clock` (microseconds UTC) how soon what came in led to decisions. With `counts_with_rows` tallies
    are not given out, but written with the rows of which they tell. With `handles_go_one_way` the job is live, and its
    handles are of another process: see `one_way`.
    """

    def __init__(
        self,
        definitions: Definitions,
        store: Store | None,
        *,
        in_flight: InFlight | None = None,
        counts_with_rows: bool = False,
        handles_go_one_way: bool = False,
        clock: Callable[[], int] = now,
    ) -> None:
        self._in_flight = in_flight
        self._one_way = handles_go_one_way
        self._live = in_flight is not None or handles_go_one_way
        self._counts_with_rows = counts_with_rows
        self._clock = clock
        self.definitions = definitions
        self.store = store
        self._window = MINUTE if self._live else DAY
        self._tallies = Tallies(self._window)
        #: When the oldest event arrived that is applied here; on one machine the process looks at what waits itself.
        self._oldest: int | None = None
        self._warming: set[int] = set()  # activations that users who were judged here wait for
        self._rows = Rows()
        self._writing: Future[list[Forward]] | None = None
        self._sends: list[Send] = []
        self._forwards: list[Forward] = []
        self._refused: list[Account | DeadLetter] = []
        self._ended: list[str] = []
        self._gone_on: list[str] = []
        self._set_aside_by_rate: Counter[str] = Counter()

    @property
    def tallies(self) -> Tallies:
        """What was counted and is neither written nor given out yet."""
        return self._rows.tallies if self._counts_with_rows else self._tallies

    def apply(self, user: User, inputs: list[Input]) -> tuple[User, bytes]:
        """Apply inputs to a user and keep what comes of it until `flush`; returns the user, and encoded too.

        If that raises, inputs are applied in parts, and those that raise by themselves are set aside.
        """
        if self.store is None and not user.id.startswith(ANONYMOUS):
            inputs = self._without_merges(user, inputs)
        if self._live and not self._counts_with_rows:
            arrivals = [item.arrival for item in inputs if isinstance(item, Event)]
            self._oldest = min((*arrivals, *(() if self._oldest is None else (self._oldest,))), default=None)
        return self._apply(user, inputs)

    def add(self, user: User, state: bytes, effects: list[Effect]) -> None:
        """Keep a user, whose encoded state comes with it, and effects until `flush`."""
        self._keep(self._make(user, state, effects), ())

    def take_back(self, user: User, row: bytes) -> User:
        """Write a user over a row, encoded, of a forgotten time, see `Rows.take_back`; returns the user as written."""
        return self._rows.take_back(user, row, self.definitions.index.waiting(user.warming))

    def readable(
        self, users: Mapping[str, User | Unreadable], inputs: Mapping[str, Iterable[Input]]
    ) -> dict[str, User]:
        """The users who can be read. The others stay as they are: their inputs are set aside, and an error is
        logged.
        """
        found: dict[str, User] = {}
        for name, user in users.items():
            if isinstance(user, User):
                found[name] = user
                continue
            _log.critical("%s: what comes is set aside as %s", user.detail, BAD_STATE)
            self.tallies.count("internal", "state")
            for item in inputs.get(name, ()):
                self._set_aside(name, item, BAD_STATE, user.detail)
        return found

    def brought_over(self, store: HistoryStore, users: Mapping[str, User], judged: Judged) -> dict[str, User]:
        """The users for whom something is new, with what the archive has of it (see `bring_over`). A user for whom that
        raises goes on without it.

        Raises:
          StoreError: the archive cannot be read.
        """
        try:
            anew = bring_over(store, users, self.definitions, judged)
        except PASSED:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary around a key
            if len(users) > 1:
                apart = [self.brought_over(store, {name: user}, judged) for name, user in users.items()]
                return {name: user for each in apart for name, user in each.items()}
            _log.error(
                "what is new to %s cannot be made from the archive",
                [*users],
                exc_info=error,
                extra=fields(reason="rebuild"),
            )
            self.tallies.count("internal", "rebuild")
            return {}
        for user in anew.values():
            self.tallies.count("rebuilt", "truncated" if user.truncated else "whole")
        return anew

    def count_final(self, user: User, by: int = 1) -> None:
        """Count a user as a bounded run leaves it; with `by` -1 take back that it was counted."""
        counted = Tallies(self._window)
        try:
            counted.final(user, by)
        except PASSED:
            raise
        except Exception:  # noqa: BLE001 - the boundary around a key
            _log.critical("%s cannot be counted", quoted(user.id), exc_info=True)
            self.tallies.count("internal", "state")
        else:
            self.tallies.join(counted)

    def _fold(self, user: User, inputs: Sequence[Input], before: Sequence[Effect] = ()) -> _Made:
        user, effects = fold(user, inputs, self.definitions)
        if self.store is None and user.sends:  # there is no way back: no receipt comes, and nobody asks again
            user = msgspec.structs.replace(user, sends={})
        user, state, cut = enforce_size_limit(user, self.definitions)
        return self._make(user, state, [*before, *effects, *cut] if before or cut else effects)

    def _make(self, user: User, state: bytes, effects: list[Effect]) -> _Made:
        """Everything that is to be written and given out of a user; nothing is done yet."""
        tallies, rows = Tallies(self._window), None
        tallies.effects(effects)
        if self._live:
            tallies.live(effects, self.definitions.events, self.definitions.campaigns, self._clock())
        if self.store is not None:
            rows = Rows()
            rows.add(user, state, effects, self.definitions.index.waiting(user.warming))
        return _Made(user, state, effects, tallies, rows)

    def _keep(self, made: _Made, inputs: Sequence[Input]) -> tuple[User, bytes]:
        user, state, effects, tallies, rows = made
        self.tallies.join(tallies)
        if self._live and user.seeds:
            self._warming |= user.warming
        if self._one_way:
            effects, ended = one_way(inputs, effects)
            self._ended += ended
        going_on: list[str] = []
        for effect in effects:
            if isinstance(effect, Send):
                self._sends.append(effect)
            elif isinstance(effect, Redeliver):
                self._sends.append(effect.send)
            elif isinstance(effect, Forward):
                self._forwards.append(effect)
                going_on.append(effect.input.handle)
            elif isinstance(effect, Account) and effect.event is not None:
                self._refused.append(effect)
                going_on.append(effect.event.handle)
                if effect.cause == HOT_ID:
                    self._set_aside_by_rate[user.id] += 1
            elif isinstance(effect, Deleted):
                self._forget_sends(effect)
        if rows is not None:
            self._rows.join(rows)
        if self._in_flight is not None:
            self._note_handles(self._in_flight, inputs, going_on)
        return user, state

    def _forget_sends(self, deleted: Deleted) -> None:
        """Drop what the bundle decided before it deleted the user: it must not go out."""
        gone = [send for send in self._sends if send.user in deleted.users]
        self._sends = [send for send in self._sends if send.user not in deleted.users]
        for send in gone:
            self.tallies.count("suppressed", send.campaign, send.channel, "deleted", send.step, at=send.decided_at)

    def _apply(self, user: User, inputs: Sequence[Input]) -> tuple[User, bytes]:
        state = None
        for found in apart(user, inputs, self.definitions, self._fold):
            if not isinstance(found, Aside):
                user, state = self._keep(*found)
                continue
            item, error = found
            _log.error(
                "%s %s for %s is set aside as %s",
                called(item),
                quoted(item.id),
                quoted(user.id),
                INTERNAL,
                exc_info=error,
                extra=fields(reason=INTERNAL),
            )
            self.tallies.count("internal", called(item))
            self._set_aside(user.id, item, INTERNAL, traced(error))
        return user, encode_user(user) if state is None else state

    def _set_aside(self, key: str, item: Input, cause: str, detail: str) -> None:
        self.tallies.effects(set_aside(key, item, cause))
        if not isinstance(item, Wake) or item.control:
            self._refused.append(dead_letter_of(key, item, cause, detail))
        if self._in_flight is not None:
            self._note_handles(self._in_flight, (item,), (item.handle,))

    def write_beside(self, writer: Executor, most: int) -> None:
        """Once there are so many users, begin to write their rows in a thread; `flush` waits for it."""
        if self.store is not None and len(self._rows.users) >= most:
            self._writing = writer.submit(self._write_after, self._writing, self._rows)
            self._rows = Rows()

    def _write_after(self, earlier: Future[list[Forward]] | None, rows: Rows, *, last: bool = False) -> list[Forward]:
        """Write rows after the earlier ones, and not if those failed: a user may be among both."""
        taken = earlier.result() if earlier is not None else []
        also = partial(self._acknowledge, taken) if last else None
        return taken + (rows.write(self.store, self._clock(), also) if self.store is not None else [])

    def _acknowledge(self, earlier: list[Forward], store: Store, taken: list[Forward]) -> None:
        """Where the store can, acknowledge with the last rows what ends here, unless it is `held_back`."""
        if self._in_flight is None or not self._in_flight.is_transactional:
            return
        if not made_here([*self._forwards, *earlier, *taken]):
            self._in_flight.write_last(store, self._ended)

    def flush(self) -> Iterator[Send | Forward | Account | DeadLetter | Handles | Tally]:
        """Write the rows, and only then give out sends, forwarded inputs, refused messages, handles and tallies.

        Raises:
          StoreError: if rows could not be written; nothing was given out then.
        """
        # Once for each segment by whose older condition somebody was judged, since the new one waits for a seed.
        for segment in self.definitions.index.waiting(frozenset(at for at in self._warming if at <= self._clock())):
            self.tallies.count("warming", segment, at=self._clock())
        self._warming.clear()
        rows, self._rows = self._rows, Rows()
        writing, self._writing = self._writing, None
        taken = self._write_after(writing, rows, last=True)
        sends, self._sends = self._sends, []
        forwards, self._forwards = self._forwards, []
        refused, self._refused = self._refused, []
        ended, self._ended = self._ended, []
        gone_on, self._gone_on = self._gone_on, []
        forwards += taken
        if self._in_flight is not None:
            forwards, ended = held_back(self._in_flight, forwards, ended, gone_on)
        self._warn()
        yield from sends
        yield from forwards
        yield from refused
        if ended:
            yield Handles(tuple(ended))
        if self._oldest is not None:
            self.tallies.observe("behind", micros=self._clock() - self._oldest)
            self._oldest = None
        yield from self.tallies.drain()

    def _without_merges(self, user: User, inputs: list[Input]) -> list[Input]:
        """Without a store there is no way back, and so no merging of two users with a user id: set it aside.

        An alias of nobody, or of an anonymous id, hands nothing over here.
        """
        merges = [item for item in inputs if isinstance(item, Event) and item.previous == user.id != item.user]
        others = any(not isinstance(item, Wake) and item not in merges for item in inputs)
        if not others and user.created is None and len({item.user for item in merges}) <= 1:
            return inputs
        accounts = [Account("dead_letter", item.id, "unsupported", item) for item in merges]
        self.tallies.effects(accounts)
        self._refused += accounts
        return [item for item in inputs if item not in merges]

    def _warn(self) -> None:
        hot, self._set_aside_by_rate = self._set_aside_by_rate, Counter()
        if hot:
            worst = ", ".join(f"{quoted(key)} ({count:,})" for key, count in hot.most_common(_NAMED))
            _log.warning(
                "%d message(s) set aside as %s; most of %s", hot.total(), HOT_ID, worst, extra=fields(reason=HOT_ID)
            )

    def _note_handles(self, in_flight: InFlight, inputs: Iterable[Input], going_on: Collection[str]) -> None:
        """Messages that end here are acknowledged after the writes; those that go on, where they end."""
        if not going_on:  # nearly always
            self._ended += [item.handle for item in inputs if item.handle]
            return
        came = Counter(item.handle for item in inputs if item.handle)
        if not came:
            return
        ways = Counter(going_on)
        for handle, times in came.items():
            if ways[handle] > times:
                in_flight.retain(handle, ways[handle] - times)
            self._ended += [handle] * (times - ways[handle])
            self._gone_on += [handle] * bool(ways[handle])


def open_users(store: Users | None, names: list[str]) -> dict[str, User | Unreadable]:
    """Users as their rows have them, new ones where there is no row.

    Raises:
      StoreError: if the rows could not be read: only a confirmed missing row is a new user.
    """
    rows = store.read_users(names) if store is not None else {}
    return {name: open_user(name, rows[name].state) if name in rows else User(name) for name in names}


def applied_before(
    store: Archive, users: Mapping[str, User], inputs: Mapping[str, list[Input]]
) -> set[tuple[str, str]]:
    """The messages, as (user, message id), that an earlier run applied and the users' duplicate horizon has forgotten.

    Only messages that arrived before a user's clock can be; the archive of events knows them. A receipt of a send that
    is open was not, whatever the archive has: it was written there, and the run died before the user was.
    """
    keys = []
    for name, items in inputs.items():
        if name not in users:
            continue
        clock, seen, sends = users[name].clock, Seen(users[name].seen), users[name].sends
        keys += [
            EventKey(name, item.time, item.id)
            for item in items
            if isinstance(item, Event) and item.arrival <= clock and hash_message(item.id) not in seen
            if item.type != RECEIPT or item.properties.get("send") not in sends
        ]
    found = store.existing_events(keys) if keys else {}
    # A row of which the user knows nothing is one that a process wrote before it died.
    return {(key.user, key.id) for key, version in found.items() if version <= users[key.user].version}
