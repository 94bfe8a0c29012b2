"""The service with all that it needs, from settings and the environment.

In a process of its own, `python -m services.engage` (`__main__`) serves it. In a process that serves more:

    settings = EngageSettings("sqlite:store.db", definitions="definitions", touches="queue:touches.db")
    with engaging(settings, os.environ) as app:
        ...  # serve `app` until it ends, and let requests end

When the context ends, what was taken is written, and the store is closed. A thread judges opens and clicks meanwhile;
of several processes with one queue of touches, one judges.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from services.addresses import Proxy
from services.collect.keys import KeyFile, Keys, keys_of_text
from services.collect.letters import StoreLetters
from services.counts import keep_minutes
from services.credentials import check_credentials
from services.definitions import watched_definitions
from services.engage.access import EngageAccess, engage_access
from services.engage.app import engage
from services.engage.desk import Desk, StoreView, now
from services.engage.inbox.marking import InboxMarker
from services.engage.table import TableSink
from services.engage.tracking.feeds import QueuedTouches, SubscribedTouches, TouchFeed
from services.engage.tracking.judge import Judge, judging
from services.engage.tracking.machines import Machines, machines_of
from services.engage.tracking.receipts import hand_off_of
from services.sink import KeyedPayload, QueueSink, Sink
from transforms.campaigns.load import Definitions, compiled
from transforms.channels.settings import signing_keys_of
from transforms.channels.tokens import SIGNING_KEYS, SigningKeys
from transforms.errors import WrongUse
from transforms.events.queue.append import Queue
from transforms.events.sources import parse_queue, parse_subscription, parse_topic
from transforms.metrics.sending import check_otlp, sending
from transforms.storage.open import open_reader, open_store, parse_store
from transforms.storage.reader import Reader
from transforms.storage.store import Store
from transforms.users.control import Receipt, encode_receipt

__all__ = ["EngageSettings", "checked", "engaging", "loaded"]

_T = TypeVar("_T")


class EngageSettings(msgspec.Struct, frozen=True):
    """What the service is to do.

    `store` is the URL of the users' store. `control_topic` is the one that the job reads receipts from,
    `pubsub:projects/P/topics/T`; empty: the store's own table, as of a job on this machine. `definitions` is a place of
    definitions. Write keys of apps are in the file `key_file`, or else in `keys` (`source=key,source=key`).

    Opens and clicks wait for their verdict in `touches`: `queue:PATH`, which is judged here, or
    `pubsub:projects/P/topics/T`, which the one process judges whose `judge` is `pubsub:projects/P/subscriptions/S`.
    Empty: they are judged at once, and not together. `proxy` says whence requests come, and `metrics_token` who may
    read what is counted (see `services.addresses`). With `otlp` counts are sent to a collector of OpenTelemetry.
    """

    store: str
    control_topic: str = ""
    definitions: str = ""
    keys: str = ""
    key_file: str = ""
    touches: str = ""
    judge: str = ""
    proxy: Proxy = Proxy()
    metrics_token: str = ""
    otlp: bool = False


@contextmanager
def engaging(
    settings: EngageSettings,
    environment: Mapping[str, str],
    definitions: Callable[[], Definitions] | None = None,
) -> Iterator[ASGIApp]:
    """The service, open as long as the context lasts.

    Args:
      settings: what it is to do.
      environment: signing keys, what proves who asks (`services.engage.access`), and which machines are known
        (`services.engage.tracking.machines`).
      definitions: the newest; default: those of the settings' place.

    Raises:
      NotStarted: the settings cannot be, or the store cannot be opened; the text says why, and shows no secret.
    """
    with ExitStack() as opened:
        kind, _ = _parsed("--store", parse_store, settings.store)
        signing_keys, access, machines = _read(settings, environment)
        store = opened.enter_context(closing(open_store(settings.store, create=kind == "sqlite", durable=True)))
        reader = opened.enter_context(closing(open_reader(settings.store)))
        if definitions is None and settings.definitions:
            definitions = opened.enter_context(watched_definitions(settings.definitions)).now
        nothing = compiled((("none.yaml", "{}"),))
        touches = _touches(settings)
        desk = Desk(
            sink=opened.enter_context(closing(_sink(settings, store))),
            view=opened.enter_context(closing(StoreView(reader))),
            definitions=definitions or (lambda: nothing),
            keys=signing_keys,
            access=access,
            touches=None if touches is None else opened.enter_context(closing(touches)),
            proxy=settings.proxy,
            machines=machines,
            metrics_token=settings.metrics_token,
            inbox=opened.enter_context(closing(InboxMarker(lambda: store))),
            letters=opened.enter_context(closing(StoreLetters(lambda: store, now))),
        )
        opened.enter_context(keep_minutes(desk.counts, lambda: store))
        if settings.otlp:
            opened.enter_context(sending(desk.counts.sums, "todoke-engage", secrets.token_hex(4)))
        if settings.judge or settings.touches.startswith("queue:"):
            opened.enter_context(judging(partial(_judge, settings, store, reader)))
        yield engage(desk)


def loaded(settings: EngageSettings, environment: Mapping[str, str]) -> ASGIApp:
    """An application whose lifespan is that of the service."""
    opened = ExitStack()
    app = opened.enter_context(engaging(settings, environment))

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        with opened:
            yield

    return Starlette(routes=[Mount("/", app=app)], lifespan=lifespan)


def checked(settings: EngageSettings, environment: Mapping[str, str]) -> None:
    """Find what cannot be before anything is served: in one line, and not once a worker.

    Raises:
      NotStarted: see `engaging`. Whether a broker answers is not asked: it may come later.
    """
    _read(settings, environment)
    if settings.otlp:
        check_otlp()
    _parsed("--store", parse_store, settings.store)
    if settings.control_topic:
        _parsed("--sink", parse_topic, settings.control_topic)
    elif not settings.store.startswith("sqlite:"):
        raise WrongUse("--sink: name the job's control topic, pubsub:projects/P/topics/T")
    if settings.touches.startswith("pubsub:"):
        _parsed("--touches", parse_topic, settings.touches)
    elif settings.touches:
        _parsed("--touches", parse_queue, settings.touches)
    if settings.judge:
        _parsed("--judge", parse_subscription, settings.judge)
        if not settings.touches.startswith("pubsub:"):
            raise WrongUse("--judge: it names a subscription of the topic --touches; a queue needs none")
    for flag, place in (
        ("--store", settings.store),
        ("--sink", settings.control_topic),
        ("--touches", settings.touches),
    ):
        check_credentials(flag, place)
    with watched_definitions(settings.definitions):
        pass


def _read(settings: EngageSettings, environment: Mapping[str, str]) -> tuple[SigningKeys, EngageAccess, Machines]:
    try:
        keys, access = signing_keys_of(environment), engage_access(environment, _write_keys(settings))
        machines = machines_of(environment)
    except ValueError as error:
        raise WrongUse(str(error)) from error
    if keys is None:
        raise WrongUse(f"set {SIGNING_KEYS}: what customers touch is sealed with it")
    return keys, access, machines


def _write_keys(settings: EngageSettings) -> Keys | None:
    if settings.key_file:
        return KeyFile(Path(settings.key_file))
    return Keys(keys_of_text(settings.keys)) if settings.keys else None


def _parsed(flag: str, parse: Callable[[str], _T], text: str) -> _T:
    try:
        return parse(text)
    except ValueError as error:
        raise WrongUse(f"{flag}: {error}") from error


def _sink(settings: EngageSettings, store: Store) -> Sink:
    if not settings.control_topic:
        return TableSink(store, now)
    return _topic(_parsed("--sink", parse_topic, settings.control_topic))


def _topic(topic: str) -> Sink:
    from services.pubsub import TopicSink  # noqa: PLC0415 - a slow import

    return TopicSink(topic, ordering=False)


def _touches(settings: EngageSettings) -> Sink | None:
    if not settings.touches:
        return None
    if settings.touches.startswith("pubsub:"):
        return _topic(_parsed("--touches", parse_topic, settings.touches))
    # Nothing is kept of a touch that has its verdict.
    return QueueSink(Queue(_parsed("--touches", parse_queue, settings.touches), retain=0))


def _feed(settings: EngageSettings) -> TouchFeed:
    if settings.judge:
        return SubscribedTouches(_parsed("--judge", parse_subscription, settings.judge))
    return QueuedTouches(_parsed("--touches", parse_queue, settings.touches))


@contextmanager
def _judge(settings: EngageSettings, store: Store, reader: Reader) -> Iterator[tuple[Judge, TouchFeed]]:
    """A judge with a sink and a loop of its own: requests do not wait for it. The thread that judges opens it."""
    feed = _feed(settings)
    with asyncio.Runner() as runner, closing(_sink(settings, store)) as sink:

        def publish(receipts: Sequence[Receipt]) -> None:
            runner.run(sink.publish([KeyedPayload(encode_receipt(each), str(each.user_id)) for each in receipts]))

        def hand_off(user: str, send: str) -> int | None:
            return hand_off_of(reader, user, send)

        yield Judge(feed, publish, hand_off, now), feed
