"""The store and the definitions: whether they can be read, and who works on the store."""

import time
from collections.abc import Iterator

from google.api_core.exceptions import DeadlineExceeded, RetryError, ServiceUnavailable
from google.auth.exceptions import GoogleAuthError, TransportError

from todoke.doctor.finding import Finding
from transforms.campaigns.load import Definitions, DefinitionsError, compiled
from transforms.campaigns.transforms import read_definitions
from transforms.events.plain import counted
from transforms.events.times import write_time
from transforms.storage.open import open_reader, parse_store
from transforms.storage.reader import Reader
from transforms.storage.store import NoStore, OlderStore, StoreError
from transforms.users.lease import HELD

__all__ = ["look_at_definitions", "look_at_store"]

#: Seconds that a call to Bigtable may take.
_PATIENCE = 8.0
_AWAY = (DeadlineExceeded, RetryError, ServiceUnavailable, TransportError)


def look_at_definitions(place: str) -> Iterator[Finding]:
    """Whether definitions can be read and have no mistakes."""
    try:
        found = compiled(read_definitions(place))
    except DefinitionsError as error:
        mistakes = error.problems.errors
        said = f"{counted(len(mistakes), 'mistake')}; the first: {mistakes[0]}"
        yield Finding("definitions", "missing", said, f"`todoke validate {place}` lists them", needed=True)
        return
    yield Finding("definitions", "ok", _said(found))


def _said(found: Definitions) -> str:
    kinds = ("segment", "campaign", "message")
    parts = ", ".join(counted(len(getattr(found, f"{kind}s")), kind) for kind in kinds)
    return f"{parts}; release {found.release}" if found.release else parts


def look_at_store(url: str) -> Iterator[Finding]:
    """Whether a store can be read, is of this version, and who works on it."""
    try:
        reader = open_reader(url, patience=_PATIENCE)
    except OlderStore:
        yield Finding("store", "note", "it is of an older version", "the next command that writes brings it up to date")
        return
    except NoStore as error:
        yield _closed(url, error)
        return
    try:
        yield Finding("store", "ok", f"{url} can be read, and has all its tables")
        yield from _lease(reader)
        run = reader.read_run()
        if run is not None and not run.finished:
            todo = "run it again with --continue"
            yield Finding("last run", "note", "a run over files goes on, or did not finish", todo)
    except StoreError as error:
        yield Finding("store", "unseen" if _is_away(error) else "missing", str(error), needed=True)
    finally:
        reader.close()


def _closed(url: str, error: NoStore) -> Finding:
    kind, place = parse_store(url)
    if _caused_by(error, GoogleAuthError) and not _is_away(error):
        return Finding("store", "unseen", "nobody to ask as: there are no credentials", needed=True)
    if _is_away(error):
        return Finding("store", "unseen", str(error), "is there a network?", needed=True)
    if kind == "sqlite" and str(error).startswith("there is no"):
        return Finding("store", "note", str(error), "`todoke run` and `todoke backfill` make it")
    todo = f"is {place} right, and may this account read it? templates/infra makes instance, tables and rights"
    return Finding("store", "missing", str(error), todo if kind == "bigtable" else "", needed=True)


def _is_away(error: BaseException) -> bool:
    return _caused_by(error, *_AWAY)


def _caused_by(error: BaseException | None, *kinds: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kinds):
            return True
        error = error.__cause__
    return False


def _lease(reader: Reader) -> Iterator[Finding]:
    row = reader.read_lease()
    now = time.time_ns() // 1000
    if row is None or row.until <= now:
        yield Finding("lease", "ok", "nobody on one machine works on the store")
    elif row.until > now + 2 * HELD:
        said = (
            f"{row.job} on {row.host.partition('/')[0]} holds it until {write_time(row.until)}, longer than any lease"
        )
        yield Finding("lease", "missing", said, "one of the two clocks is wrong: set both by NTP", needed=True)
    else:
        said = f"{row.job} (process {row.pid} on {row.host.partition('/')[0]}) since {write_time(row.since)}"
        yield Finding("lease", "ok", said)
