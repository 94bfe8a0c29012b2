"""`todoke backfill --write seeds`: the past that new conditions need, for users of a live job."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from beam_pipelines import backfill as job
from beam_pipelines.backfill_options import Backfill
from todoke.control import open_control, publish_evenly
from todoke.run import run_bounded
from todoke.sources import opened
from transforms.campaigns.load import Definitions, compiled
from transforms.errors import RunFailed, WrongUse
from transforms.events.times import write_time
from transforms.events.transforms import read_messages
from transforms.segments.columns.layout import NotColumnar, needs_of
from transforms.segments.leaves import EventLeaf
from transforms.storage.open import open_store
from transforms.storage.scratch.folder import scratch_folder
from transforms.storage.scratch.records import NoRoom
from transforms.storage.store import Store
from transforms.storage.users import Users
from transforms.users.prepare.evidence import evidence_before
from transforms.users.seeding import History, Seeding, activated, awaited, evidence_of, seed_payloads
from transforms.users.seeding_archive import archive_payloads
from transforms.users.user import decode_user

__all__ = ["seed_from_archive", "write_seeds"]


def write_seeds(asked: Backfill) -> dict[str, Any]:
    """Make the seeds that users of the store wait for, and publish them to its live job; returns the report.

    A seed is joined only once, and only users who wait get one, so after a failure this may be done again.

    Raises:
      WrongUse: an activation cannot be seeded this way, or not yet.
      RunFailed: the history cannot be read.
      StoreError, ControlFailed: the store cannot be read, or what it is told cannot be published.
    """
    started = time.monotonic()
    assert asked.release is not None
    assert asked.store is not None
    definitions = compiled(asked.release)
    store = open_store(asked.store, create=False)
    wanted, later = _wanted(asked, definitions, store)
    done, read = Seeding(), {"read": 0, "dead_letters": 0}
    if asked.of_archive:
        engine = "archive"
        seed_from_archive(store, definitions, wanted, asked.control_topic, asked.rate, done=done)
    else:
        engine = _engine(asked, definitions, wanted)
        read = _seed_from_files(asked, store, wanted, engine, done)
    store.close()
    return {
        "write": "seeds",
        "engine": engine,
        "release": definitions.release,
        **read,
        "users": done.users,
        "seeded": done.seeded.total(),
        "empty": done.empty.total(),
        "missed": done.missed.total(),
        "activations": {
            write_time(at): {"seeded": done.seeded[at], "empty": done.empty[at], "missed": done.missed[at]}
            for at in sorted(wanted)
        },
        "left_out": [write_time(at) for at in sorted(later)],
        "as_of": write_time(asked.as_of),
        "elapsed_s": round(time.monotonic() - started, 3),
    }


def seed_from_archive(
    store: Store,
    definitions: Definitions,
    wanted: set[int],
    topic: str | None,
    rate: float,
    *,
    done: Seeding,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Publish the seeds of these activations, made of the store's own archive; `done` counts them.

    Raises:
      StoreError, ControlFailed: the store cannot be read, or what it is told cannot be published.
    """
    payloads = archive_payloads(store, definitions, wanted, done) if wanted else iter(())
    with open_control(store, topic) as publish:
        publish_evenly(payloads, publish, rate, stopped=stopped)


def _seed_from_files(asked: Backfill, store: Store, wanted: set[int], engine: str, done: Seeding) -> dict[str, int]:
    """Publish seeds that are made of files; what was read of these."""
    assert asked.release is not None
    definitions = compiled(asked.release)
    asked = _opened(asked)
    read = {"read": 0, "dead_letters": 0}
    with scratch_folder() as folder:
        history = History(folder)
        for at in sorted(wanted):
            by = _by_columns if engine == "columns" else _by_rows
            read = by(asked, activated(definitions, at), at, folder / str(at), history)
        payloads = seed_payloads(store.scan_users() if wanted else (), definitions, wanted, history, done)
        with open_control(store, asked.control_topic) as publish:
            publish_evenly(payloads, publish, asked.rate)
        history.close()
    return read


def _opened(asked: Backfill) -> Backfill:
    config = msgspec.structs.replace(asked.config, source=opened(asked.config.source))
    return msgspec.structs.replace(asked, config=config)


def _wanted(asked: Backfill, definitions: Definitions, store: Users) -> tuple[set[int], set[int]]:
    """The activations to make seeds for, the named one or all that somebody waits for; and those that come too late.

    Raises:
      WrongUse: the pointer has no such activation, or all come too late.
    """
    times = set(definitions.activations.values())
    if asked.activation is not None and asked.activation not in times:
        known = ", ".join(write_time(at) for at in sorted(times)) or "none"
        raise WrongUse(f"--activation: the pointer has {known}; found {write_time(asked.activation)}")
    wanted = {asked.activation} if asked.activation is not None else awaited(store.scan_users(), definitions)
    later = {at for at in wanted if asked.as_of < at}
    if later and later == wanted:
        raise WrongUse(
            f"--as-of: new conditions count from {write_time(min(later))}, and {write_time(asked.as_of)} is before "
            "that: wait until the job has read past it, and give all events up to then"
        )
    return wanted - later, later


def _engine(asked: Backfill, definitions: Definitions, wanted: set[int]) -> str:
    """Columns where all conditions have a columnar form, unless rows are asked for.

    Raises:
      WrongUse: columns were asked for, and a condition has no columnar form.
    """
    if asked.engine == "rows":
        return "rows"
    leaves = [leaf for at in wanted for leaf in activated(definitions, at)]
    for leaf in leaves:
        try:
            needs_of([leaf.condition])
        except NotColumnar as kind:
            if asked.engine is None:
                return "rows"
            names = ", ".join(sorted(definitions.segments_of({leaf.key}))) or "an older revision"
            raise WrongUse(f"--engine: `{kind}` in {names} has no columnar form: use --engine rows") from kind
    return "columns"


def _by_columns(asked: Backfill, leaves: list[EventLeaf], at: int, folder: Path, history: History) -> dict[str, int]:
    try:
        announced = compiled(asked.config.definitions).routes.is_announcement
        done, evidence = evidence_before(read_messages(opened(asked.config.source)), leaves, at, folder, announced)
    except NoRoom as error:
        raise RunFailed(str(error)) from error
    except OSError as error:
        raise RunFailed(f"the events cannot be read: {error}") from error
    history.write(at, evidence)
    return {"read": done.accounts.get("read", 0), "dead_letters": done.accounts.get("dead_letter", 0)}


def _by_rows(asked: Backfill, leaves: list[EventLeaf], at: int, folder: Path, history: History) -> dict[str, int]:
    """A run over the history up to just before the activation, into a store of its own."""
    url = f"sqlite:{folder / 'history.db'}"
    letters = str(folder / "dead_letters.jsonl")
    config = msgspec.structs.replace(asked.config, store=url, as_of=at - 1, dead_letters=letters)
    console = Console(stderr=True, quiet=asked.log_format == "json")
    _, report = run_bounded(config, console=console, build=job.build)
    store = open_store(url)
    history.write(at, _evidence(store, leaves))
    store.close()
    return {name: report[name] for name in ("read", "dead_letters")}


def _evidence(store: Users, leaves: Iterable[EventLeaf]) -> Iterator[tuple[str, bytes]]:
    for row in store.scan_users():
        user = decode_user(row.state)
        if user.owner is None:  # else the user who has the past has the evidence too
            yield user.id, evidence_of(user, leaves)
