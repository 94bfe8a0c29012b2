"""All inputs of each user from messages in files, in one process: what the bounded shell does by a shuffle.

Messages are decoded once and spilled by the hash of their key, so that no step holds more than one part of the users,
and those who are named in an `alias`. Nothing here writes to a store, so users do not learn that their push token has a
new owner.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from zlib import crc32

import msgspec

from transforms.campaigns.load import Definitions
from transforms.events.decode import Refused, decode_announced
from transforms.events.event import Event
from transforms.users.boundary import Failed, fold_apart
from transforms.users.effects import Forward
from transforms.users.user import ANONYMOUS, Announcement, Input, User, by_arrival, route

__all__ = ["Histories"]

#: Inputs that are held before they are written.
_AT_ONCE = 20_000
#: As often as a bounded run reads what goes from user to user.
_MOST_PASSES = 100

_Keyed = list[tuple[str, Input]]
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Keyed)


class Histories:
    """The inputs of every user, spilled into a folder in so many parts.

    `accounts` counts what was read, what could not be decoded, and what came later than asked; `newest` is the newest
    arrival (microseconds UTC) of the rest, 0 where there is none. `announcements` concern no user, and are told to
    each. `failed` has what raised for one of them, here or in the caller.
    """

    def __init__(self, folder: Path, parts: int = 32) -> None:
        self.accounts = Counter({"read": 0, "dead_letters": 0, "later": 0})
        self.newest = 0
        self.announcements: list[Input] = []
        self.failed = Failed()
        self._folder = folder
        self._parts = parts
        self._held: dict[str, _Keyed] = {}
        self._count = 0
        #: Users who are named in an alias.
        self._aliased: set[str] = set()

    def read(self, messages: Iterable[bytes], until: int, announced: Callable[[str], bool] = lambda _: False) -> None:
        """Take messages, JSON of calls, that arrived no later than `until`; `announced`: see `decode_announced`."""
        for message in messages:
            self.accounts["read"] += 1
            try:
                event, _ = decode_announced(message, None, announced)
            except Refused:
                self.accounts["dead_letters"] += 1
                continue
            if event.arrival > until:
                self.accounts["later"] += 1
                continue
            self.newest = max(self.newest, event.arrival)
            if event.user is None and event.anonymous is None:
                self.announcements.append(Announcement(event))
                continue
            if event.type == "alias":
                self._aliased |= {str(event.user), str(event.previous)}
            self._put(route(event), event)
        self._flush()

    def each(self, definitions: Definitions) -> Iterator[tuple[str, list[Input]]]:
        """Every key once, with its inputs in the order of (arrival, id); anonymous ids first. May be called once.

        What goes from an id to its owner depends on the definitions, since the owner gets its leaves.
        """
        for part in range(self._parts):
            for key, inputs in self._grouped(f"anonymous-{part}"):
                for forward in _forwards(key, inputs, definitions, self.failed):
                    self._put(forward.user, forward.input)
                yield key, inputs
        self._flush()
        aliased: dict[str, list[Input]] = {}
        for part in range(self._parts):
            for key, inputs in self._grouped(f"users-{part}"):
                if key in self._aliased:
                    aliased[key] = inputs
                else:
                    yield key, inputs
        yield from _exchanged(aliased, definitions, self.failed).items()

    def _put(self, key: str, item: Input) -> None:
        kind = "anonymous" if key.startswith(ANONYMOUS) else "users"
        self._held.setdefault(f"{kind}-{crc32(key.encode()) % self._parts}", []).append((key, item))
        self._count += 1
        if self._count >= _AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        for name, held in self._held.items():
            data = _encode(held)
            with (self._folder / name).open("ab") as file:
                file.write(len(data).to_bytes(8, "big") + data)
        self._held, self._count = {}, 0

    def _grouped(self, name: str) -> Iterator[tuple[str, list[Input]]]:
        place = self._folder / name
        found: dict[str, list[Input]] = {}
        if place.exists():
            with place.open("rb") as file:
                while size := file.read(8):
                    for key, item in _decoder.decode(file.read(int.from_bytes(size, "big"))):
                        found.setdefault(key, []).append(item)
        for key in list(found):
            yield key, _ordered(found.pop(key))


def _ordered(inputs: Iterable[Input]) -> list[Input]:
    return sorted(inputs, key=by_arrival)


def _forwards(key: str, inputs: list[Input], definitions: Definitions, failed: Failed) -> list[Forward]:
    """What goes from an id to others."""
    if all(isinstance(item, Event) and item.user is None for item in inputs):
        return []
    _, effects = fold_apart(User(key), inputs, definitions, failed)
    return [effect for effect in effects if isinstance(effect, Forward)]


def _exchanged(own: dict[str, list[Input]], definitions: Definitions, failed: Failed) -> dict[str, list[Input]]:
    """The inputs of users who were merged: their own, and what other users forward to them."""
    inputs = own
    for _ in range(_MOST_PASSES):
        passed: dict[str, list[Input]] = {}
        for key, items in inputs.items():
            for forward in _forwards(key, items, definitions, failed):
                passed.setdefault(forward.user, []).append(forward.input)
        keys = {**own, **passed}
        after = {key: _ordered([*own.get(key, ()), *passed.get(key, ())]) for key in keys}
        if after == inputs:
            return inputs
        inputs = after
    raise RuntimeError(f"messages go back and forth between users after {_MOST_PASSES} passes")
