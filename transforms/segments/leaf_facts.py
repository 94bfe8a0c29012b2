"""Leaves over what is known of a user: attributes, contacts, consent, identity, place. They keep nothing."""

from collections.abc import Callable
from typing import Any, Protocol

from transforms.identity.channels import attributes_of
from transforms.identity.percentile import place, threshold
from transforms.identity.profile import KNOWN_ZONE, Profile
from transforms.segments.conditions import Attribute, Bucket, Consented, FactCondition, Identified, Near, Reachable
from transforms.segments.operators import TIME_OPERATORS, compile_test, next_change, time_test
from transforms.segments.sphere import coordinates, distance_km
from transforms.segments.values import compile_inner

__all__ = ["CONSENT", "IDENTIFIED", "REACHABLE", "ZONE_NAMES", "Nobody", "UserFacts", "compile_facts"]

#: Names of facts other than attributes.
REACHABLE, CONSENT, IDENTIFIED = "#reachable", "#consent", "#identified"
ZONE_NAMES = ("timezone", KNOWN_ZONE)


class UserFacts(Protocol):
    """What leaves read of a user."""

    id: str

    def value(self, name: str) -> Any:
        """An attribute's value or None."""

    def is_identified(self) -> bool:
        """Whether there is a user id."""

    def is_reachable(self, channel: str) -> bool:
        """Whether there is a live address."""

    def is_consented(self, topic: str, channel: str) -> bool:
        """Whether a topic may use a channel."""

    @property
    def zone(self) -> str:
        """The user's time zone."""


class Nobody:
    """A user about whom nothing is known."""

    id = ""
    zone = "UTC"

    def value(self, _name: str) -> Any:
        """Nothing."""
        return None

    def is_identified(self) -> bool:
        """Nobody is."""
        return False

    def is_reachable(self, channel: str) -> bool:
        """As for an empty profile."""
        return bool(Profile().addresses(channel))

    def is_consented(self, topic: str, channel: str) -> bool:
        """As for an empty profile."""
        return Profile().consented(topic, channel)


_EvaluateFacts = Callable[[UserFacts, int], tuple[bool, int | None]]


def compile_facts(condition: FactCondition) -> tuple[tuple[str, ...], _EvaluateFacts]:
    """The names of the facts that a condition reads, and a function that gives its truth and next deadline."""
    if isinstance(condition, Identified):
        return (IDENTIFIED,), lambda facts, _now: (facts.is_identified(), None)
    if isinstance(condition, Reachable):
        channel = condition.channel
        names = (REACHABLE, IDENTIFIED, *attributes_of(channel))
        return names, lambda facts, _now: (facts.is_reachable(channel), None)
    if isinstance(condition, Consented):
        return (CONSENT,), lambda facts, _now: (facts.is_consented(condition.topic, condition.channel), None)
    if isinstance(condition, Bucket):
        return (IDENTIFIED,), _evaluate_bucket(condition)
    if isinstance(condition, Near):
        return _compile_near(condition)
    return _compile_attribute(condition)


def _compile_attribute(condition: Attribute) -> tuple[tuple[str, ...], _EvaluateFacts]:
    name, operator = condition.name, condition.operator
    values = _values(name, condition.path)
    if operator.name in TIME_OPERATORS:

        def evaluate(facts: UserFacts, now: int) -> tuple[bool, int | None]:
            found, zone = values(facts), facts.zone
            return time_test(operator, found, now, zone), next_change(operator, found, now, zone)

        return (name, *ZONE_NAMES), evaluate
    test = compile_test(operator)
    return (name,), lambda facts, _now: (test(values(facts)), None)


def _values(name: str, path: str) -> Callable[[UserFacts], list[Any]]:
    """The values at a path inside an attribute; without a path, the attribute itself."""
    find = compile_inner(name, path) if path else None

    def values(facts: UserFacts) -> list[Any]:
        value = facts.value(name)
        if value is None:
            return []
        return [value] if find is None else find(value)

    return values


def _evaluate_bucket(condition: Bucket) -> _EvaluateFacts:
    salt, low, high = condition.salt, threshold(condition.low), threshold(condition.high)
    # A user about whom nothing is known has no place.
    return lambda facts, _now: (bool(facts.id) and low <= place(salt, facts.id) < high, None)


def _compile_near(condition: Near) -> tuple[tuple[str, ...], _EvaluateFacts]:
    """A trait is an object with `latitude` and `longitude`; in the context these two are attributes of their own."""
    centre, limit = (condition.latitude, condition.longitude), condition.within_km
    if condition.path:
        names: tuple[str, ...] = (condition.name,)
        values = _values(condition.name, condition.path)
    else:
        parts = ("latitude", "longitude")
        names = tuple(f"{condition.name}.{part}" for part in parts)

        def values(facts: UserFacts) -> list[Any]:
            return [{part: facts.value(name) for part, name in zip(parts, names, strict=True)}]

    def evaluate(facts: UserFacts, _now: int) -> tuple[bool, int | None]:
        places = [found for value in values(facts) if (found := coordinates(value)) is not None]
        return any(distance_km(centre, found) <= limit for found in places), None

    return names, evaluate
