"""Recommendations for messages that show them, looked up where their sends are about to go out.

The newest run's lists are followed. What a user has had is read of the archive: no row is kept by user. Times are
microseconds UTC.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, Protocol

from transforms.campaigns.effects import Send
from transforms.campaigns.recommend import Recommend
from transforms.campaigns.recommended import (
    EVERYONE,
    ListedProduct,
    list_of_product,
    list_of_segment,
    product_ids,
    recommended,
)
from transforms.channels.gate import Profiles
from transforms.events.times import write_time
from transforms.messages.definitions import Message, texts_of
from transforms.messages.scope import RECOMMENDATIONS
from transforms.segments.conditions import ANY
from transforms.segments.leaves import matcher
from transforms.segments.values import SECOND, compile_path
from transforms.storage.rows import EventRow, RecommendationRow, RecommendationRun
from transforms.users.archive import archived
from transforms.users.user import ANONYMOUS

__all__ = ["MOST_EVENTS", "Found", "Recommender", "shows_recommendations"]

#: So many of a user's newest events are looked at, and so many of their newest products are gone by.
MOST_EVENTS, MOST_HAD = 1_000, 10
#: So many ids of one person are looked at, in the archive of each.
_MOST_IDS = 8
#: How often it is looked which run holds.
_LOOK_EVERY = 10 * SECOND
#: Users whose events are read at once.
_READ_AT_ONCE = 8

#: What is recommended, by the id of the send.
Found = dict[str, list[dict[str, Any]]]


class RecommendationStore(Protocol):
    """The part of a store that is looked at."""

    def read_events(self, user: str, limit: int | None = None) -> list[EventRow]: ...

    def read_recommendation_run(self) -> RecommendationRun | None: ...

    def read_recommendations(self, made: int, names: Sequence[str]) -> dict[str, RecommendationRow]: ...


def shows_recommendations(message: Message) -> bool:
    """Whether a text of a message names recommendations."""
    return any(
        RECOMMENDATIONS in source
        for text in texts_of(message)
        for source in (*text.sources.values(), *(partial for _, partial in text.partials))
    )


class _Had(NamedTuple):
    """Products of a user: those of late, the newest first, and all that are known."""

    lately: list[str]
    ever: set[str]


class Recommender:
    """Looks up what is recommended to the users of sends.

    Args:
      clock: the time that counts for a send.
      store: where lists and events are.
    """

    def __init__(self, clock: Callable[[Send], int], store: RecommendationStore) -> None:
        self._clock = clock
        self._store = store
        self._asked: Recommend | None = None
        self._showing: frozenset[str] = frozenset()
        self._run: RecommendationRun | None = None
        self._looked = -_LOOK_EVERY
        self._pool = ThreadPoolExecutor(_READ_AT_ONCE, "recommending")

    def follow(self, asked: Recommend | None, messages: Mapping[str, Message]) -> None:
        """Go on with other definitions."""
        self._asked = asked
        self._showing = (
            frozenset(name for name, message in messages.items() if shows_recommendations(message))
            if asked is not None
            else frozenset()
        )

    def shows(self, send: Send) -> bool:
        """Whether the message of a send shows recommendations."""
        return send.message in self._showing

    def close(self) -> None:
        """End its threads."""
        self._pool.shutdown()

    def look_up(self, sends: Sequence[Send], profiles: Profiles) -> Found:
        """What is recommended to the users of sends; nothing where no run holds, or it is too old.

        Raises:
          StoreError: it could not be looked up.
        """
        asked, run = self._asked, self._newest()
        if asked is None or run is None:
            return {}
        sends = [send for send in sends if self._clock(send) - run.as_of <= asked.expires]
        asking = {send.user: (profiles.get(send.user, {}), self._clock(send)) for send in sends}
        found = self._pool.map(lambda name: self._had(asked, name, *asking[name]), asking)
        had = dict(zip(asking, found, strict=True))
        lists = self._lists(run, asked, [each.lately for each in had.values()])
        made = write_time(run.as_of)[:10]
        return {
            send.id: [
                {**each, "date": made}
                for each in recommended(
                    *(asked, had[send.user].lately, had[send.user].ever),
                    *(_segments(asked, profiles.get(send.user, {})), lists),
                )
            ]
            for send in sends
        }

    def _newest(self) -> RecommendationRun | None:
        moment = time.monotonic_ns() // 1_000
        if moment - self._looked >= _LOOK_EVERY:
            self._run, self._looked = self._store.read_recommendation_run(), moment
        return self._run

    def _lists(
        self, run: RecommendationRun, asked: Recommend, had: Sequence[Sequence[str]]
    ) -> dict[str, list[ListedProduct]]:
        names = {list_of_product(product) for products in had for product in products}
        names |= {list_of_segment(segment) for segment in (*asked.segments, EVERYONE)}
        rows = self._store.read_recommendations(run.made, sorted(names)) if had else {}
        return {name: [ListedProduct(*each) for each in row.products] for name, row in rows.items()}

    def _had(self, asked: Recommend, user: str, profile: Mapping[str, Any], now: int) -> _Had:
        """What a user has, by the newest events under the ids that are theirs."""
        takes, at = matcher(asked.events), compile_path(asked.product)
        rows = [
            row for name in islice(_ids(user, profile), _MOST_IDS) for row in self._store.read_events(name, MOST_EVENTS)
        ]
        newest: dict[str, int] = {}
        for row in sorted(rows, key=lambda row: (-row.time, row.id)):
            if asked.events.name in (ANY, row.name) and takes(event := archived(row)):
                for product in product_ids(at(event.properties)):
                    newest.setdefault(product, row.time)
        lately = [product for product, time_ in newest.items() if time_ > now - asked.within]
        return _Had(lately[:MOST_HAD], set(newest))


def _ids(user: str, profile: Mapping[str, Any]) -> Iterator[str]:
    yield profile.get("user", user)
    yield from profile.get("merged", ())
    for name in profile.get("anonymous", ()):
        yield f"{ANONYMOUS}{name}"


def _segments(asked: Recommend, profile: Mapping[str, Any]) -> list[str]:
    return [name for name in asked.segments if name in profile.get("segments", {})]
