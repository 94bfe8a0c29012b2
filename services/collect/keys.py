"""Write keys: which source sends, from which origins, and how much.

A file of keys is JSON, an object by the source's name:

    {"shop-web": {"keys": ["new", "old"], "origins": ["https://shop.example"], "rate": 500, "address_rate": 20}}

Each of a source's keys is valid, so that one can be replaced without a gap. `origins` are those of browsers: without
them any origin may send, with an empty list no browser may. `rate` is in calls a second, and `address_rate` likewise of
what comes from one address; both are for each process, and without them nothing is bounded. `announces` says that the
source may send events without ids, which are for everybody; browsers' keys are public, so that theirs may not.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path

import msgspec

from services.rates import Rates
from transforms.errors import NotStarted

__all__ = ["VARIABLE", "BadKeys", "KeyFile", "KeySource", "Keys", "keys_of_text", "read_keys"]

#: The environment's variable with keys: `source=key,source=key`.
VARIABLE = "TODOKE_WRITE_KEYS"
#: A shorter key could be guessed.
SHORTEST_KEY = 16
#: How often the file is looked at, in seconds.
LOOK_SECONDS = 1.0
#: Sources and addresses whose rates are kept, and of how many seconds an address may save up what it does not send: a
#: page that opens sends much at once.
MOST_SOURCES, MOST_ADDRESSES, ADDRESS_SECONDS = 10_000, 100_000, 10

_log = logging.getLogger(__name__)


class BadKeys(NotStarted):
    """Write keys that cannot be read; the text says where. Keys themselves are never in it."""


class KeySource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who sends with a key. `origins` None: any; a rate that is None: no bound."""

    keys: tuple[str, ...]
    name: str = ""
    origins: frozenset[str] | None = None
    rate: float | None = None
    address_rate: float | None = None
    announces: bool = False

    def allows(self, origin: str) -> bool:
        """Whether a browser's page of this origin may send."""
        return self.origins is None or origin in self.origins


class Keys:
    """The sources by their keys. Rates go on over a reload.

    Args:
      clock: seconds that never go back.
    """

    def __init__(self, sources: Iterable[KeySource], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rates: Rates[str] = Rates(MOST_SOURCES)
        self._address_rates: Rates[tuple[str, str]] = Rates(MOST_ADDRESSES)
        self._replace(sources)

    def find(self, key: str) -> KeySource | None:
        """The source of a key. Keys are found by their hash, so that the time it takes says nothing about them."""
        return self._by_key.get(_hashed(key))

    def allows(self, origin: str) -> bool:
        """Whether any source's browsers may send from an origin: a preflight does not say whose it is."""
        return any(source.allows(origin) for source in self._sources)

    def wait(self, source: KeySource, count: int, address: str = "") -> int:
        """Take calls of a source's rates; returns 0, or in how many whole seconds to try again."""
        now, wait = self._clock(), 0.0
        if source.address_rate is not None and address:
            rate = source.address_rate
            wait = self._address_rates.take((source.name, address), count, rate, ADDRESS_SECONDS * rate, now)
        if source.rate is not None and not wait:
            wait = self._rates.take(source.name, count, source.rate, source.rate, now)
        return math.ceil(wait)

    def refresh(self) -> None:
        """Look for changed keys; here there are none."""

    def _replace(self, sources: Iterable[KeySource]) -> None:
        found = list(sources)
        by_key: dict[bytes, KeySource] = {}
        for source in found:
            for key in source.keys:
                if by_key.setdefault(_hashed(key), source) is not source:
                    raise BadKeys(f"a key of the source {source.name} is also one of {by_key[_hashed(key)].name}")
        self._sources, self._by_key = found, by_key


class KeyFile(Keys):
    """The keys of a file, which is read again when it has changed. One that cannot be read changes nothing.

    Raises:
      BadKeys: the file cannot be read at the start.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._seen, self._looked = _stamp(path), clock()
        super().__init__(read_keys(path), clock)

    def refresh(self) -> None:
        """Look for changed keys, at most once a second."""
        if self._clock() < self._looked + LOOK_SECONDS:
            return
        self._looked = self._clock()
        if (stamp := _stamp(self._path)) == self._seen:
            return
        self._seen = stamp
        try:
            self._replace(read_keys(self._path))
        except BadKeys as error:
            _log.warning("the keys stay as they were: %s", error)


def read_keys(path: Path) -> list[KeySource]:
    """The sources of a file.

    Raises:
      BadKeys: it cannot be read, or is not as it should be.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, KeySource])
    except OSError as error:
        raise BadKeys(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise BadKeys(f"{path}: {error}") from None
    return _checked(found, str(path))


def keys_of_text(text: str) -> list[KeySource]:
    """The sources of `source=key,source=key`; a source that is there twice has both keys.

    Raises:
      BadKeys: it is not of this form.
    """
    keys: dict[str, tuple[str, ...]] = {}
    for number, part in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        name, equals, key = map(str.strip, part.partition("="))
        if not (name and equals and key):
            raise BadKeys(f"{VARIABLE}: part {number} is not source=key")
        keys[name] = (*keys.get(name, ()), key)
    return _checked({name: KeySource(each) for name, each in keys.items()}, VARIABLE)


def _checked(found: Mapping[str, KeySource], place: str) -> list[KeySource]:
    if not found:
        raise BadKeys(f"{place}: there is no source")
    for name, source in found.items():
        if not name:
            raise BadKeys(f"{place}: a source needs a name")
        if not source.keys:
            raise BadKeys(f"{place}: the source {name} has no keys")
        if any(len(key) < SHORTEST_KEY for key in source.keys):
            raise BadKeys(f"{place}: a key of the source {name} has fewer than {SHORTEST_KEY} characters")
        if any(rate is not None and not 0 < rate < math.inf for rate in (source.rate, source.address_rate)):
            raise BadKeys(f"{place}: a rate of the source {name} is not above 0")
    return [msgspec.structs.replace(source, name=name) for name, source in found.items()]


def _hashed(key: str) -> bytes:
    return blake2b(key.encode(errors="surrogatepass"), digest_size=16).digest()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
