"""Leaves as columns: each kind of atomic condition as aggregates over events, a truth, and the evidence that it keeps.

`REGISTRY` is the one list of kinds. A kind that is not in it has no columnar form and is refused as `NotColumnar`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date
from itertools import product
from typing import Any

import msgspec
import polars as pl

from transforms.identity.channels import REGION, TOKENS, USER, Channel, Facts, attributes_of, channels
from transforms.identity.percentile import place, threshold
from transforms.segments.columns.aggregates import Aggregate
from transforms.segments.columns.gathered import DistinctValues, EachCount, EachMissing, Gathered, OneAfterAnother
from transforms.segments.columns.layout import BLOCKED, TOKEN, NotColumnar, consent_fact, place_facts
from transforms.segments.columns.totals import gather_total
from transforms.segments.columns.values import any_element, by_row, by_value, either, satisfies
from transforms.segments.columns.windows import NOW, Now, between, inside
from transforms.segments.conditions import (
    Attribute,
    Bucket,
    Consented,
    Count,
    Distinct,
    EventCondition,
    EventFilter,
    FactCondition,
    FirstLast,
    Identified,
    Missing,
    Near,
    Reachable,
    Sequence,
    Total,
)
from transforms.segments.leaf_stamps import most_stamps
from transforms.segments.leaves import compile_asked, leaf_key
from transforms.segments.operators import TIME_OPERATORS, Operator, compile_test, time_test
from transforms.segments.sphere import coordinates, distance_km

__all__ = ["ZONE", "ColumnLeaf", "KeptStamps", "Scope", "compile_leaf", "matching"]

_decode = msgspec.json.Decoder().decode
_BLOCKED = f"{BLOCKED}#other"
#: The column with each user's time zone.
ZONE = "[zone]"


class Scope(msgspec.Struct, frozen=True):
    """What leaves are compiled for: the time of the question (see `Now`), the columns that the two tables have, and the
    region of phone numbers that name none.
    """

    now: Now
    events: frozenset[str]
    users: frozenset[str]
    region: str = ""


class KeptStamps(msgspec.Struct, frozen=True):
    """Which events a leaf keeps as stamps: the newest `most` of each user, or with `oldest` the oldest.

    With a `tag`, stamps are (time, tag) instead of (time, hash of the message id).
    """

    events: EventFilter
    most: int
    oldest: bool = False
    tag: int | None = None


class ColumnLeaf(msgspec.Struct, frozen=True):
    """A compiled leaf.

    `aggregates` holds, by the event's name, what to compute of each user's events of that name. `truth` is an
    expression over users with those aggregates. An aggregate may be null; the truth never is. A leaf that needs more is
    `gathered`, and its truth is a column named by its key. `since` holds the dates that times are compared with (see
    `floor_of`). `zone` says that the truth reads `ZONE`.
    """

    key: int
    truth: pl.Expr
    aggregates: Mapping[str, Mapping[str, Aggregate]] = {}
    kept: tuple[KeptStamps, ...] = ()
    since: frozenset[date] = frozenset()
    zone: bool = False
    gathered: Gathered | None = None

    @property
    def zoned(self) -> bool:
        """Whether the answer depends on the user's time zone."""
        return self.zone or bool(self.since)


def compile_leaf(condition: EventCondition | FactCondition, scope: Scope) -> ColumnLeaf:
    """Compile an atomic condition.

    Raises:
      NotColumnar: its kind has no columnar form.
    """
    compiler = REGISTRY.get(type(condition))
    if compiler is None:
        raise NotColumnar(type(condition).__name__)
    return compiler(condition, f"{leaf_key(condition):016x}", scope)


def matching(events: EventFilter, columns: Collection[str]) -> list[pl.Expr]:
    """The tests that tell whether an event of the filter's name is one of these."""
    tests = [] if events.type is None else [pl.col("type") == events.type]
    for path, asked in events.where:
        test = compile_asked(asked)
        if isinstance(asked, Operator):
            tests.append(satisfies(path, asked, test, columns))
        else:
            tests.append(any_element(path, test, columns))
    return tests


def _dates(condition: EventCondition) -> frozenset[date]:
    since = getattr(condition, "since", None)
    return frozenset([since]) if isinstance(since, date) else frozenset()


def _gather(condition: Any, key: str, gathered: Gathered) -> ColumnLeaf:
    return ColumnLeaf(int(key, 16), pl.col(key), since=_dates(condition), gathered=gathered)


def _count(condition: Count, key: str, scope: Scope) -> ColumnLeaf:
    if condition.same is not None:
        return _gather(condition, key, EachCount(condition))
    tests = [*inside(pl.col("time"), condition, scope.now), *matching(condition.events, scope.events)]
    return ColumnLeaf(
        int(key, 16),
        between(pl.col(key), condition),
        {condition.events.name: {key: Aggregate("count", tuple(tests))}},
        (KeptStamps(condition.events, most_stamps(condition.low, condition.high)),),
        _dates(condition),
    )


def _first_last(condition: FirstLast, key: str, scope: Scope) -> ColumnLeaf:
    tests = matching(condition.events, scope.events)
    turn = scope.now - condition.age
    truth = pl.col(key) <= turn if condition.older else pl.col(key) > turn
    return ColumnLeaf(
        int(key, 16),
        truth.fill_null(value=False),
        {condition.events.name: {key: Aggregate("last" if condition.last else "first", tuple(tests))}},
        (KeptStamps(condition.events, 1, oldest=not condition.last),),
    )


def _missing(condition: Missing, key: str, scope: Scope) -> ColumnLeaf:
    if condition.same is not None:
        return _gather(condition, key, EachMissing(condition))
    begun, ended = f"{key}.a", f"{key}.b"
    aggregates: dict[str, dict[str, Aggregate]] = {}
    for alias, events in ((begun, condition.events), (ended, condition.missing)):
        newest = Aggregate("last", tuple(matching(events, scope.events)))
        aggregates.setdefault(events.name, {})[alias] = newest
    # The newest A itself must lie in the window: if it does not, no older A counts.
    overdue = pl.col(begun) <= scope.now - condition.age
    unanswered = pl.col(ended).is_null() | (pl.col(ended) < pl.col(begun))
    truth = pl.all_horizontal(overdue, unanswered, *inside(pl.col(begun), condition, scope.now)).fill_null(value=False)
    kept = (KeptStamps(condition.events, 1, tag=0), KeptStamps(condition.missing, 1, tag=1))
    return ColumnLeaf(int(key, 16), truth, aggregates, kept, _dates(condition))


def _attribute(condition: Attribute, key: str, scope: Scope) -> ColumnLeaf:
    operator = condition.operator
    path = condition.path or condition.name
    if operator.name in TIME_OPERATORS:
        now = scope.now
        if isinstance(now, int):
            timed = satisfies(
                path, operator, lambda values, zone: time_test(operator, values, now, zone), scope.users, (ZONE,)
            )
        else:
            timed = satisfies(
                path, operator, lambda values, zone, at: time_test(operator, values, at, zone), scope.users, (ZONE, NOW)
            )
        return ColumnLeaf(int(key, 16), timed, zone=True)
    return ColumnLeaf(int(key, 16), satisfies(path, operator, compile_test(operator), scope.users))


def _bucket(condition: Bucket, key: str, _scope: Scope) -> ColumnLeaf:
    salt, low, high = condition.salt, threshold(condition.low), threshold(condition.high)
    return ColumnLeaf(int(key, 16), by_value("id", lambda user: low <= place(salt, user) < high))


def _near(condition: Near, key: str, scope: Scope) -> ColumnLeaf:
    """A trait is an object with `latitude` and `longitude`; in the context these two are facts of their own."""
    centre, limit = (condition.latitude, condition.longitude), condition.within_km

    def near(values: list[Any]) -> bool:
        places = [found for value in values if (found := coordinates(value)) is not None]
        return any(distance_km(centre, found) <= limit for found in places)

    if not condition.path:
        columns = [f"{fact}#number" for fact in place_facts(condition.name)]
        there = [by_value(columns, lambda latitude, longitude: near([{"latitude": latitude, "longitude": longitude}]))]
        return ColumnLeaf(int(key, 16), either(there if scope.users >= {*columns} else []))
    object_, many = f"{condition.path}#other", f"{condition.path}#many"
    tests = [by_value(object_, lambda text: near([_decode(text)]))] if object_ in scope.users else []
    tests += [by_value(many, lambda text: near(_decode(text)))] if many in scope.users else []
    return ColumnLeaf(int(key, 16), either(tests))


def _identified(_condition: Identified, key: str, _scope: Scope) -> ColumnLeaf:
    return ColumnLeaf(int(key, 16), ~pl.col("id").str.starts_with("~"))


def _reachable(condition: Reachable, key: str, scope: Scope) -> ColumnLeaf:
    """The channel makes addresses of each distinct combination of the facts that it reads."""
    channel, names = channels()[condition.channel], attributes_of(condition.channel)
    columns = [pl.col(f"{name}#text") if f"{name}#text" in scope.users else pl.lit(None, pl.String) for name in names]
    asked = [column.alias(name) for column, name in zip(columns, names, strict=True)]
    asked += [pl.col(_BLOCKED)] if channel.key is not None and _BLOCKED in scope.users else []
    told = {REGION: scope.region} if REGION in channel.reads else {}
    # Of a token and a user it is only known whether there is one, which the whole column says at once.
    known = {
        TOKENS: (_fact(TOKEN, "exists", True, scope), (["a token"], [])),
        USER: (_identified(Identified(), key, scope).truth, ("a user", "")),
    }
    known = {name: both for name, both in known.items() if name in channel.reads}
    ways: list[pl.Expr] = []
    for there in product((True, False), repeat=len(known)):
        said = told | {name: values[not has] for (name, (_, values)), has in zip(known.items(), there, strict=True)}

        def reached(*values: str | None, said: dict[str, Any] = said) -> bool:
            facts = said.copy()
            facts.update(zip(names, values[: len(names)], strict=True))
            return bool(_unblocked(channel, facts, values[len(names) :]))

        truths = [has if is_there else ~has for (has, _), is_there in zip(known.values(), there, strict=True)]
        truths.append(by_row(asked, reached) if asked else pl.lit(value=reached()))
        ways.append(pl.all_horizontal(truths))
    return ColumnLeaf(int(key, 16), either(ways))


def _unblocked(channel: Channel, facts: Facts, blocked: tuple[str | None, ...]) -> Iterable[str]:
    """The addresses that facts give, without those that must not be used (the rule is `Profile.addresses`)."""
    found, key = channel.addresses(facts), channel.key
    if key is None or not blocked or blocked[0] is None:
        return found
    gone = _decode(blocked[0])
    return [address for address in found if address not in gone and key(address) not in gone]


def _consented(condition: Consented, key: str, scope: Scope) -> ColumnLeaf:
    said, whole = consent_fact(condition.topic, condition.channel), consent_fact("all", condition.channel)
    granted = _fact(said, "is", True, scope)
    if channels()[condition.channel].granted:
        granted = granted | _fact(said, "exists", False, scope)
    return ColumnLeaf(int(key, 16), granted & ~_fact(whole, "is", False, scope))


def _fact(name: str, operator: str, operand: bool, scope: Scope) -> pl.Expr:
    asked = Operator(operator, operand)
    return satisfies(name, asked, compile_test(asked), scope.users)


#: What compiles each kind of condition.
REGISTRY: dict[type, Callable[[Any, str, Scope], ColumnLeaf]] = {
    Count: _count,
    FirstLast: _first_last,
    Missing: _missing,
    Distinct: lambda condition, key, _scope: _gather(condition, key, DistinctValues(condition)),
    Sequence: lambda condition, key, _scope: _gather(condition, key, OneAfterAnother(condition)),
    Total: lambda condition, key, _scope: _gather(condition, key, gather_total(condition)),
    Attribute: _attribute,
    Bucket: _bucket,
    Near: _near,
    Identified: _identified,
    Reachable: _reachable,
    Consented: _consented,
}
