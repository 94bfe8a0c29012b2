"""What columnar evaluation reads: users and their events, split by the hash of the user, in Parquet.

A folder holds `prepared.json` and for each partition two files:

* `NNN-users.parquet`: `user` (a number, from 0 in each partition), `id` (`~` and the anonymous id of an anonymous
  user) and, for each fact that conditions ask for, the columns of the paths that they ask for (see `values`). A fact is
  an attribute, or a word in brackets.
* `NNN-events.parquet`, sorted by (name, user, time, hash): `name`, `user`, `time` (microseconds UTC), `hash` (8
  bytes, of the message id), `type`, and the columns of those paths of its properties that conditions ask for. Each
  event is there once, under the user who owns it in the end.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TypeVar

import msgspec
import polars as pl

from transforms.events.event import CALLS, SESSION_ENDED
from transforms.identity.channels import TOKENS, attributes_of, channels
from transforms.identity.profile import KNOWN_ZONE
from transforms.segments.conditions import (
    ANY,
    Attribute,
    Bucket,
    Condition,
    Consented,
    EventCondition,
    EventFilter,
    Identified,
    Near,
    Reachable,
    filters_of,
    paths_of,
)
from transforms.segments.operators import TIME_OPERATORS

__all__ = [
    "BLOCKED",
    "TOKEN",
    "ZONE_FACTS",
    "Needs",
    "NotColumnar",
    "Partition",
    "Prepared",
    "consent_fact",
    "events_named",
    "needs_of",
    "open_prepared",
    "place_facts",
]

#: The fact that a user has a live push token, and the addresses that must not be used.
TOKEN, BLOCKED = "[token]", "[blocked]"
#: Where a user's zone is found, in this order.
ZONE_FACTS = ("timezone", KNOWN_ZONE)

#: Partitions that are worked on at once: polars leaves cores idle between the steps of a single one.
_AT_ONCE = 2

Paths = dict[str, tuple[str, ...]]
_Made = TypeVar("_Made")


class NotColumnar(Exception):
    """A condition has no columnar form, so rows must answer it. The message names it."""


class Needs(msgspec.Struct, frozen=True):
    """What conditions read of events and users.

    `events` holds the paths of properties by the event's name, `facts` the paths inside a fact by its name; `""` is the
    whole fact.
    """

    events: Paths
    facts: Paths

    def missing_in(self, other: "Needs") -> list[str]:
        """What these need and the others lack."""
        return [
            f"{kind} {name}" + (f" ({path})" if path else "")
            for kind, mine, theirs in (("event", self.events, other.events), ("fact", self.facts, other.facts))
            for name, paths in mine.items()
            for path in paths or ("",)
            if name not in theirs or (path and path not in theirs[name])
        ]


class Partition(msgspec.Struct, frozen=True):
    """The two files of one partition."""

    users: str
    events: str


class Prepared(msgspec.Struct, frozen=True):
    """What a folder holds. `until` is the arrival (microseconds UTC) up to which events were taken."""

    until: int
    needs: Needs
    partitions: tuple[Partition, ...]
    folder: str = ""

    def users(self, partition: Partition) -> pl.LazyFrame:
        """The users of a partition."""
        return pl.scan_parquet(Path(self.folder) / partition.users, glob=False)

    def events(self, partition: Partition) -> pl.LazyFrame:
        """The events of a partition."""
        return pl.scan_parquet(Path(self.folder) / partition.events, glob=False)

    def each(self, work: Callable[[Partition], _Made]) -> Iterator[_Made]:
        """The result of `work` for each partition, in order; threads work on a few at a time."""
        waiting: deque[Future[_Made]] = deque()
        with ThreadPoolExecutor(_AT_ONCE, "partitions") as pool:
            for partition in self.partitions:
                waiting.append(pool.submit(work, partition))
                if len(waiting) == _AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def check(self, conditions: Iterable[Condition]) -> None:
        """Raise `ValueError` if the conditions need something that was not prepared."""
        if missing := needs_of(conditions).missing_in(self.needs):
            raise ValueError(
                f"{self.folder}: prepared for other definitions, without {', '.join(missing)}: prepare anew"
            )


def open_prepared(folder: Path) -> Prepared:
    """The folder that `users.prepare` wrote."""
    prepared = msgspec.json.decode((folder / "prepared.json").read_bytes(), type=Prepared)
    return msgspec.structs.replace(prepared, folder=str(folder))


def events_named(events: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """The events that a filter with this name may take, sorted by (user, time, hash)."""
    if name == ANY:
        return events.filter(pl.col("type").is_in(CALLS)).sort("user", "time", "hash")
    return events.filter(pl.col("name") == name)


def consent_fact(topic: str, channel: str) -> str:
    """The name of the fact whether a topic may use a channel, as the user said last."""
    return f"[consent]{topic}/{channel}"


def place_facts(name: str) -> list[str]:
    """The facts that hold a place of the context."""
    return [f"{name}.latitude", f"{name}.longitude"]


def needs_of(conditions: Iterable[Condition]) -> Needs:
    """What atomic conditions read.

    Raises:
      NotColumnar: for one that has no columnar form.
    """
    events: dict[str, set[str]] = {}
    facts: dict[str, set[str]] = {}

    def event(filtered: EventFilter, paths: Iterable[str]) -> None:
        if filtered.name == SESSION_ENDED:  # sessions end in the state machine, and in no file
            raise NotColumnar(f"event: {filtered.name}")
        events.setdefault(filtered.name, set()).update(paths, (path for path, _ in filtered.where))

    def fact(*names: str, path: str = "") -> None:
        for name in names:
            facts.setdefault(name, set()).add(path)

    for condition in conditions:
        if isinstance(condition, EventCondition):
            for filtered in filters_of(condition):
                event(filtered, paths_of(condition))
            if isinstance(getattr(condition, "since", None), date):
                fact(*ZONE_FACTS)
            continue
        match condition:
            case Near(name, ""):
                fact(*place_facts(name))
            case Near(name, path):
                fact(name, path=path if path != name else "")
            case Attribute(name, path, operator):
                fact(name, path=path if path != name else "")
                if operator.name in TIME_OPERATORS:
                    fact(*ZONE_FACTS)
            case Reachable(channel):
                declared = channels()[channel]
                fact(*attributes_of(channel), *([TOKEN] if TOKENS in declared.reads else []))
                fact(*([BLOCKED] if declared.key is not None else []))
            case Consented(topic, channel):
                fact(consent_fact(topic, channel), consent_fact("all", channel))
            case Identified() | Bucket():
                pass
            case _:
                raise NotColumnar(type(condition).__name__)
    return Needs(_sorted(events), _sorted(facts))


def _sorted(paths: Mapping[str, set[str]]) -> Paths:
    return {name: tuple(sorted(found)) for name, found in sorted(paths.items())}
