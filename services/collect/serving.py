"""The service with all that it needs, from what a command line says.

In a process of its own, `python -m services.collect` (`__main__`) serves it. In a process that serves more:

    settings = CollectSettings("queue:events.db", store="sqlite:store.db", key_file="keys.json")
    with collecting(settings) as collect:
        app = Starlette(routes=[Mount("/", app=collect.app)])  # for any ASGI server; no lifespan is needed
        ...                                                    # serve until it ends, and let requests end

`collect.app` answers the paths of docs/reference/collect.md, and 404 for all others: routes of other applications come
first. When the context ends, what was taken is written, and files are closed. `loaded` makes an application that opens
and closes everything by itself, for `services.server.serve`.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
from starlette.types import ASGIApp

from services.collect.app import Collect, now
from services.collect.calls import never
from services.collect.keys import KeyFile, Keys, keys_of_text
from services.collect.late_store import LateStore
from services.collect.letters import Letters, SinkLetters, StoreLetters
from services.collect.limits import USUAL, Limits
from services.counts import keep_minutes
from services.credentials import check_credentials
from services.definitions import watched_definitions
from services.sink import QueueSink, Sink
from transforms.campaigns.watcher import DefinitionsWatcher
from transforms.errors import WrongUse
from transforms.events.queue.append import Queue
from transforms.events.sources import parse_queue, parse_topic
from transforms.metrics.sending import check_otlp, sending
from transforms.storage.open import parse_store

__all__ = ["CollectSettings", "checked", "collecting", "loaded"]

_T = TypeVar("_T")


class CollectSettings(msgspec.Struct, frozen=True):
    """What the service is to do.

    `sink` is `queue:PATH` or `pubsub:projects/P/topics/T`. `store` is the URL of the store that keeps refused calls and
    minute counts; `dead_letters` is a topic, `pubsub:projects/P/topics/T`, to which refused calls go in its place. Keys
    are in the file `key_file`, or else in `keys` (`source=key,source=key`). `ordering` is of Pub/Sub alone. `retain` is
    for how long a queue keeps what the job has acknowledged, in microseconds; None: for ever. `definitions` is a place
    of definitions: the events of their announcements may come without ids, from sources that announce. `metrics_token`:
    see `Collect`. With `otlp` counts are sent to a collector of OpenTelemetry.
    """

    sink: str
    store: str = ""
    dead_letters: str = ""
    keys: str = ""
    key_file: str = ""
    ordering: bool = False
    retain: int | None = None
    definitions: str = ""
    limits: Limits = USUAL
    metrics_token: str = ""
    otlp: bool = False


@contextmanager
def collecting(settings: CollectSettings, announced: Callable[[str], bool] | None = None) -> Iterator[Collect]:
    """The service, open as long as the context lasts.

    Args:
      settings: what it is to do.
      announced: says of an event's name whether it may come without ids; default: what the definitions say.

    Raises:
      NotStarted: the settings cannot be, or keys or queue cannot be opened; the text says why.
    """
    keys = _keys(settings)
    with ExitStack() as opened:
        store = opened.enter_context(closing(_parsed("--store", LateStore, settings.store))) if settings.store else None
        letters = opened.enter_context(closing(_letters(settings, store)))
        sink = opened.enter_context(closing(_sink(settings)))
        if announced is None and settings.definitions:
            announced = _announced(opened.enter_context(watched_definitions(settings.definitions)))
        collect = Collect(
            keys,
            sink,
            letters,
            announced=announced or never,
            limits=settings.limits,
            metrics_token=settings.metrics_token,
        )
        if store is not None:
            opened.enter_context(keep_minutes(collect.counts, store.get))
        if settings.otlp:
            opened.enter_context(sending(collect.counts.sums, "todoke-collect", secrets.token_hex(4)))
        yield collect


def loaded(settings: CollectSettings) -> ASGIApp:
    """An application whose lifespan is that of the service."""
    opened = ExitStack()
    collect = opened.enter_context(collecting(settings))

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        with opened:
            yield

    collect.app.router.lifespan_context = lifespan
    return collect.app


def checked(settings: CollectSettings) -> None:
    """Find what cannot be before anything is served: in one line, and not once a worker.

    Raises:
      NotStarted: see `collecting`. Whether a broker or a store answers is not asked: they may come later.
    """
    _keys(settings)
    if settings.otlp:
        check_otlp()
    if not settings.store and not settings.dead_letters:
        raise WrongUse("refused calls need a place: name a --store, or --dead-letters pubsub:projects/P/topics/T")
    for flag, place in (("--sink", settings.sink), ("--dead-letters", settings.dead_letters)):
        if place.startswith("pubsub:") or (place and flag == "--dead-letters"):
            _parsed(flag, parse_topic, place)
            check_credentials(flag, place)
    if settings.store:
        _parsed("--store", parse_store, settings.store)
        check_credentials("--store", settings.store)
    if settings.definitions:
        with watched_definitions(settings.definitions):
            pass
    if not settings.sink.startswith("pubsub:"):
        _sink(settings).close()


def _announced(definitions: DefinitionsWatcher) -> Callable[[str], bool]:
    def announced(name: str) -> bool:
        return definitions.now().routes.is_announcement(name)  # which change

    return announced


def _parsed(flag: str, parse: Callable[[str], _T], text: str) -> _T:
    try:
        return parse(text)
    except ValueError as error:
        raise WrongUse(f"{flag}: {error}") from error


def _keys(settings: CollectSettings) -> Keys:
    return KeyFile(Path(settings.key_file)) if settings.key_file else Keys(keys_of_text(settings.keys))


def _sink(settings: CollectSettings) -> Sink:
    if settings.sink.startswith("pubsub:"):
        return _topic(_parsed("--sink", parse_topic, settings.sink), ordering=settings.ordering)
    return QueueSink(Queue(_parsed("--sink", parse_queue, settings.sink), retain=settings.retain))


def _topic(topic: str, *, ordering: bool) -> Sink:
    from services.pubsub import TopicSink  # noqa: PLC0415 - a slow import

    return TopicSink(topic, ordering=ordering)


def _letters(settings: CollectSettings, store: LateStore | None) -> Letters:
    if settings.dead_letters:
        return SinkLetters(_topic(_parsed("--dead-letters", parse_topic, settings.dead_letters), ordering=False))
    assert store is not None, "`checked` refuses that"
    return StoreLetters(store.get, now)
