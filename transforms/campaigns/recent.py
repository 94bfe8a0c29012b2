"""The newest events that campaigns may ask for after the fact: those of exits, of waits for an event, and of goals.

Messages come in any order. An order that is applied before the trigger that it followed must end the journey all the
same. So the newest of each such event is kept, joined by maximum, and an entry looks back at it. Times are microseconds
UTC.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec

from transforms.campaigns.part import Lost, Part, Piece, PieceGroup
from transforms.events.event import CALLS, Event
from transforms.segments.conditions import ANY, EventFilter
from transforms.segments.leaves import matcher
from transforms.segments.operators import canonical_number
from transforms.segments.values import compile_path, is_number

if TYPE_CHECKING:
    from transforms.campaigns.trigger import Trigger

__all__ = ["VALUES_KEPT", "EventQuery", "KeptRecent", "Newest", "Recent", "by_name", "place_of", "value_at"]

#: Values at the path of a `same` that are remembered of a user, those with the newest events.
VALUES_KEPT = 64
#: Longer values are kept as hashes, since there is no bound to what users send.
_SHORT = 64
#: The one place of events that are asked for without `same`.
_ALL = ""


class Newest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The newest of some events, by time and then message id; `value` is what a goal adds up."""

    time: int
    id: str
    value: float = 0

    @property
    def order(self) -> tuple[int, str]:
        """The greatest of these is kept."""
        return self.time, self.id


#: By `EventQuery.key`, then by the value at the path of `same` (see `place_of`). Never changed in place.
KeptRecent = dict[int, dict[str, Newest]]


class EventQuery(NamedTuple):
    """Events that a campaign asks for: with `same` those whose value there is the trigger's. `value` is the path of
    what a goal adds up.
    """

    key: int
    matches: Callable[[Event], bool]
    name: str
    same: str | None = None
    value: str | None = None

    @classmethod
    def of(cls, events: EventFilter, *, same: str | None = None, value: str | None = None) -> "EventQuery":
        """Compiled; what is asked for twice has one key."""
        text = msgspec.json.encode([*events.canonical, same, value])
        key = int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
        return cls(key, matcher(events), events.name, same, value)

    def __call__(self, event: Event, trigger: Mapping[str, Any]) -> bool:
        """Whether an event is one of these, given the properties of the trigger. With `same`, both must have the same
        value at that path.
        """
        if not self.matches(event):
            return False
        if self.same is None:
            return True
        mine = place_of(self.same, event.properties)
        return mine is not None and mine == place_of(self.same, trigger)

    def worth(self, event: Event) -> float:
        """The number at the goal's path, 0 where the event has none."""
        found = value_at(self.value, event.properties) if self.value is not None else None
        return float(found) if is_number(found) else 0.0


class Recent(Part, msgspec.Struct, gc=False):
    """The newest events of one user, being changed. `_asked` is what campaigns ask for, by the name of the event."""

    fields: ClassVar[Mapping[str, str]] = {"recent": "kept"}
    given = ("definitions.routes.recent",)

    kept: KeptRecent
    _asked: Mapping[str, list[EventQuery]]

    def asks(self, name: str) -> bool:
        """Whether events of a name may be asked for."""
        return name in self._asked or ANY in self._asked

    def add(self, event: Event) -> None:
        """Remember an event as far as it is asked for."""
        for asked in self._asked.get(event.name, ()):
            self._add(asked, event)
        if ANY in self._asked and event.type in CALLS:
            for asked in self._asked[ANY]:
                self._add(asked, event)

    def later(self, asked: EventQuery, trigger: Mapping[str, Any], since: int, id_: str | None) -> Newest | None:
        """The newest event that is asked for, if it is strictly later than the trigger.

        Args:
          asked: which events.
          trigger: the trigger's properties.
          since: its time.
          id_: its message id, None where it was no event; then only times are compared.
        """
        places = self.kept.get(asked.key)
        if places is None:
            return None
        place = _kept_place(asked, trigger)
        found = places.get(place) if place is not None else None
        if found is None:
            return None
        return found if (found.time > since if id_ is None else found.order > (since, id_)) else None

    def join(self, theirs: Any, _user: Any, _arrival: int) -> None:
        """Of each the newest."""
        for key, places in theirs.recent.items():
            self._put(key, places)

    def redefine(self, user: Any, _trigger: "Trigger") -> None:
        """Forget what nothing asks for any more."""
        asked = user.definitions.routes.recent_keys
        if not self.kept.keys() <= asked:
            self.kept = {key: places for key, places in self.kept.items() if key in asked}

    def pieces(self, _clock: int) -> Iterator[Piece]:
        """Each event, by key and place."""
        for key, places in self.kept.items():
            for place, newest in places.items():
                yield Piece.of(newest.time, PieceGroup.GUARDS, "recent", (key, place), place, newest)

    def drop(self, lost: Lost, _user: Any) -> None:
        """Forget some."""
        left = {
            key: {place: newest for place, newest in places.items() if (key, place) not in lost["recent"]}
            for key, places in self.kept.items()
        }
        self.kept = {key: places for key, places in left.items() if places}

    def _add(self, asked: EventQuery, event: Event) -> None:
        if asked.matches(event):
            place = _kept_place(asked, event.properties)
            if place is not None:
                self._put(asked.key, {place: Newest(event.time, event.id, asked.worth(event))})

    def _put(self, key: int, found: Mapping[str, Newest]) -> None:
        mine = self.kept.get(key, {})
        newer = {p: newest for p, newest in found.items() if p not in mine or newest.order > mine[p].order}
        if not newer:
            return
        both = mine | newer
        if len(both) > VALUES_KEPT:
            newest = sorted(both, key=lambda place: (both[place].order, place))[-VALUES_KEPT:]
            both = {place: both[place] for place in newest}
        self.kept = self.kept | {key: both}


def by_name(asked: Iterable[EventQuery]) -> dict[str, list[EventQuery]]:
    """What is asked for by the name of the event, each once."""
    found: dict[str, dict[int, EventQuery]] = {}
    for each in asked:
        found.setdefault(each.name, {})[each.key] = each
    return {name: list(each.values()) for name, each in found.items()}


def value_at(path: str, properties: Mapping[str, Any]) -> Any:
    """The text, number or boolean at a path of properties, None where there is none."""
    found = compile_path(path)(dict(properties))
    return found[0] if found and isinstance(found[0], str | int | float | bool) else None


def place_of(path: str, properties: Mapping[str, Any]) -> str | None:
    """The value at a path as text, the same for equal ones (5.0 is 5, and true is not 1); None where there is none."""
    value = value_at(path, properties)
    if isinstance(value, float):
        value = canonical_number(value)
    return None if value is None else msgspec.json.encode(value).decode()


def _kept_place(asked: EventQuery, properties: Mapping[str, Any]) -> str | None:
    """Where the newest event is kept: by the value at `same`, of a long one by its hash."""
    if asked.same is None:
        return _ALL
    place = place_of(asked.same, properties)
    return place if place is None or len(place) <= _SHORT else blake2b(place.encode(), digest_size=16).hexdigest()
