"""Making seeds: which users of a store wait for which, and what evidence a history has for each.

An activation's seeds are made of what arrived before it. First the evidence of a history (by rows or columns) is
written by id into a `History`. Then the store is read once, and every user who waits gets a seed, if only an empty one.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from transforms.campaigns.load import Definitions
from transforms.events.times import write_time
from transforms.segments.evidence import Evidence
from transforms.segments.leaf_states import LeafStates
from transforms.segments.leaves import EventLeaf
from transforms.storage.rows import UserRow
from transforms.users.control import encode_inputs_control
from transforms.users.faults import open_user
from transforms.users.seeds import seeds_of
from transforms.users.user import Seed, SeedState, User

__all__ = ["History", "Owed", "Seeding", "activated", "awaited", "evidence_of", "owed_to", "seed_payloads"]

_AT_ONCE = 500
_decoder = msgspec.msgpack.Decoder(dict[int, Evidence])
_encoder = msgspec.msgpack.Encoder()


class History:
    """Evidence of the leaves of activations, by activation (microseconds UTC) and id, in a file of a folder.

    There is one row for each user with any, as MessagePack of {leaf: evidence}.
    """

    def __init__(self, folder: Path) -> None:
        self._file = sqlite3.connect(folder / "history.db", isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("PRAGMA synchronous = OFF")
        self._file.execute("CREATE TABLE evidence (at INTEGER, id TEXT, data BLOB, PRIMARY KEY (at, id)) WITHOUT ROWID")

    def write(self, at: int, evidence: Iterable[tuple[str, bytes]]) -> None:
        """Write the evidence of users, by id, that came before an activation."""
        self._file.execute("BEGIN")
        self._file.executemany("INSERT INTO evidence VALUES (?, ?, ?)", ((at, name, data) for name, data in evidence))
        self._file.execute("COMMIT")

    def read(self, at: int, names: Iterable[str]) -> dict[str, dict[int, Evidence]]:
        """The evidence of those of these users who have some."""
        asked = msgspec.json.encode(list(names)).decode()
        sql = "SELECT id, data FROM evidence WHERE at = ? AND id IN (SELECT value FROM json_each(?))"
        found = ((name, _decoder.decode(data)) for name, data in self._file.execute(sql, (at, asked)))
        return {name: evidence for name, evidence in found if evidence}

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Seeding(msgspec.Struct):
    """What was made: users looked at, and by activation the seeds with evidence, the empty ones, and the missed ones.

    `missed` are seeds that cannot make up for what their users missed (`SeedState.MISSED`).
    """

    users: int = 0
    seeded: Counter[int] = msgspec.field(default_factory=Counter)
    empty: Counter[int] = msgspec.field(default_factory=Counter)
    missed: Counter[int] = msgspec.field(default_factory=Counter)


class Owed(NamedTuple):
    """A seed of the history of `name` before `at`, to be sent to the key `user`."""

    at: int
    name: str
    user: str


def activated(definitions: Definitions, at: int) -> list[EventLeaf]:
    """The leaves that count from an activation on (microseconds UTC), as far as they are still asked."""
    keys = [key for key, since in definitions.activations.items() if since == at]
    return [leaf for key in keys if isinstance(leaf := definitions.index.leaves.get(key), EventLeaf)]


def evidence_of(user: User, leaves: Iterable[EventLeaf]) -> bytes:
    """The evidence that a user has of leaves, as `History` holds them."""
    states = LeafStates(user.leaves)
    kept = {leaf.key: states.opened[leaf.key].evidence for leaf in leaves if leaf.key in states}
    return _encoder.encode({key: evidence for key, evidence in kept.items() if evidence})


def awaited(rows: Iterable[UserRow], definitions: Definitions) -> set[int]:
    """The activations (microseconds UTC) of which some user waits for a seed; reads no further than it must."""
    sought = set(definitions.activations.values())
    found: set[int] = set()
    for row in rows:
        if found == sought:
            break
        user = open_user(row.user, row.state)
        if isinstance(user, User) and user.owner is None:
            found.update(at for at, _, state in _states(user, definitions) if state == SeedState.AWAITED)
    return found


def seed_payloads(
    rows: Iterable[UserRow], definitions: Definitions, wanted: set[int], history: History, done: Seeding
) -> Iterator[bytes]:
    """Messages of the control topic with the seeds of these activations, for all who wait for one.

    Args:
      rows: those of all users, anonymous ones too.
      definitions: of the release that a live job has; with awaited activations.
      wanted: activations, microseconds UTC.
      history: has the evidence of each of them.
      done: counts.
    """
    rows = iter(rows)
    while some := list(islice(rows, _AT_ONCE)):
        users = [open_user(row.user, row.state) for row in some]  # one that cannot be read waits until it can
        owed = [each for user in users if isinstance(user, User) for each in owed_to(user, definitions, wanted, done)]
        names = defaultdict(list)
        for at, name, _ in owed:
            names[at].append(name)
        evidence = {at: history.read(at, asked) for at, asked in names.items()}
        for at, name, user in owed:
            leaves = evidence[at].get(name, {})
            (done.seeded if leaves else done.empty)[at] += 1
            yield encode_inputs_control(
                user, [Seed(f"backfill {write_time(at)}", name, at, definitions.release, leaves)]
            )


def owed_to(user: User, definitions: Definitions, wanted: set[int], done: Seeding) -> Iterator[Owed]:
    """The seeds that a user waits for; for one who was merged into another since the activation they go on there.

    Such a past may be on its way, so that no other row shows that it waits. A seed that came already is a duplicate.
    """
    done.users += user.created is not None and user.owner is None
    for at, name, state in _states(user, definitions):
        if at not in wanted or (user.owner is not None and user.owner.since < at):
            continue  # the seed of whom it was merged into speaks for it
        if state == SeedState.AWAITED:
            yield Owed(at, name, user.id)
        elif state == SeedState.MISSED:
            done.missed[at] += 1


def _states(user: User, definitions: Definitions) -> Iterator[tuple[int, str, SeedState]]:
    """What is known of each seed of a user: activation, id, state. There are none of somebody who is not known."""
    if user.created is None:
        return
    for at, states in seeds_of(user, definitions).items():
        for name, state in states.items():
            yield at, name, state
