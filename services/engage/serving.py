"""The service with all that it needs, from settings and the environment.

    settings = EngageSettings("sqlite:store.db", definitions="definitions", key_file="keys.json")
    with engaging(settings, os.environ) as app:
        ...  # serve `app` until it ends, and let requests end

When the context ends, what was taken is written, and the store is closed.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
from starlette.types import ASGIApp

from services.collect.keys import KeyFile, Keys, keys_of_text
from services.collect.letters import StoreLetters
from services.definitions import watched_definitions
from services.engage.access import engage_access
from services.engage.app import engage
from services.engage.desk import Desk, StoreView, now
from services.engage.inbox.marking import InboxMarker
from services.engage.table import TableSink
from services.sink import Sink
from transforms.campaigns.load import Definitions, compiled
from transforms.channels.settings import signing_keys_of
from transforms.channels.tokens import SIGNING_KEYS
from transforms.errors import WrongUse
from transforms.events.sources import parse_topic
from transforms.storage.open import open_reader, open_store, parse_store
from transforms.storage.store import Store

__all__ = ["EngageSettings", "engaging"]


class EngageSettings(msgspec.Struct, frozen=True):
    """What the service is to do.

    `store` is the URL of the users' store. `control_topic` is the one that the job reads receipts from,
    `pubsub:projects/P/topics/T`; empty: the store's own table, as of a job on this machine. `definitions` is a place of
    definitions. Write keys of apps are in the file `key_file`, or else in `keys` (`source=key,source=key`).
    """

    store: str
    control_topic: str = ""
    definitions: str = ""
    keys: str = ""
    key_file: str = ""


@contextmanager
def engaging(
    settings: EngageSettings,
    environment: Mapping[str, str],
    definitions: Callable[[], Definitions] | None = None,
) -> Iterator[ASGIApp]:
    """The service, open as long as the context lasts.

    Args:
      settings: what it is to do.
      environment: signing keys, and what proves who asks (`services.engage.access`).
      definitions: the newest; default: those of the settings' place.

    Raises:
      NotStarted: the settings cannot be, or the store cannot be opened; the text says why, and shows no secret.
    """
    with ExitStack() as opened:
        try:
            kind, _ = parse_store(settings.store)
            signing_keys = signing_keys_of(environment)
            access = engage_access(environment, _write_keys(settings))
        except ValueError as error:
            raise WrongUse(str(error)) from error
        if signing_keys is None:
            raise WrongUse(f"set {SIGNING_KEYS}: what customers touch is sealed with it")
        store = opened.enter_context(closing(open_store(settings.store, create=kind == "sqlite")))
        reader = opened.enter_context(closing(open_reader(settings.store)))
        if definitions is None and settings.definitions:
            definitions = opened.enter_context(watched_definitions(settings.definitions)).now
        nothing = compiled((("none.yaml", "{}"),))
        desk = Desk(
            sink=opened.enter_context(closing(_sink(settings, store))),
            view=opened.enter_context(closing(StoreView(reader))),
            definitions=definitions or (lambda: nothing),
            keys=signing_keys,
            access=access,
            inbox=opened.enter_context(closing(InboxMarker(lambda: store))),
            letters=opened.enter_context(closing(StoreLetters(lambda: store, now))),
        )
        yield engage(desk)


def _write_keys(settings: EngageSettings) -> Keys | None:
    if settings.key_file:
        return KeyFile(Path(settings.key_file))
    return Keys(keys_of_text(settings.keys)) if settings.keys else None


def _sink(settings: EngageSettings, store: Store) -> Sink:
    if not settings.control_topic:
        return TableSink(store, now)
    from services.pubsub import TopicSink  # noqa: PLC0415 - a slow import

    try:
        return TopicSink(parse_topic(settings.control_topic), ordering=False)
    except ValueError as error:
        raise WrongUse(f"--control-topic: {error}") from error
