"""The calls of a smoke test, and what a job must have made of them: the same as a run over files on this machine."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from todoke.store import open_asked_reader
from transforms.metrics.counts import counts_of, summed
from transforms.storage.pages import MOST, every
from transforms.views.segments import members
from transforms.views.sends import sends

__all__ = ["BROKEN", "DEFINITIONS", "calls", "counted", "differences", "fold_here", "write_calls"]

DEFINITIONS = Path(__file__).parent.parent / "templates" / "smoke" / "definitions.yaml"
#: Among the calls: so many that cannot be read.
BROKEN = 5
_SEGMENTS, _CAMPAIGN = ("buyers", "regulars"), "greet"
#: Calls of one user: who it is, and up to three orders.
_OF_USER = 4


def calls(count: int, run: str, now: datetime) -> Iterator[tuple[str, bytes]]:
    """User ids and calls, the same for a `run` whenever it is asked; the last `BROKEN` cannot be read."""
    for place in range(count - BROKEN):
        user, turn = f"{run}-{place // _OF_USER}", place % _OF_USER
        at = (now - timedelta(seconds=count - place)).astimezone(UTC).isoformat().replace("+00:00", "Z")
        call = {"messageId": f"{run}-{place}", "userId": user, "timestamp": at, "sentAt": at}
        if turn == 0:
            call |= {"type": "identify", "traits": {"name": f"User {place}"}}
        elif turn <= place // _OF_USER % 3 + 1:
            call |= {"type": "track", "event": "Order Completed", "properties": {"total": 10 * turn}}
        else:
            call |= {"type": "track", "event": "Product Viewed", "properties": {}}
        yield user, json.dumps(call).encode()
    for place in range(BROKEN):
        yield "", f"not a call {run} {place}".encode()


def write_calls(path: Path, found: Sequence[tuple[str, bytes]]) -> None:
    """Write calls as a file that `todoke run` reads."""
    path.write_bytes(b"".join(payload + b"\n" for _, payload in found))


def fold_here(folder: Path, events: Path) -> str:
    """Run over the calls on this machine; returns the URL of the store."""
    store = f"sqlite:{folder / 'here.db'}"
    words = ["run", "--definitions", DEFINITIONS, "--events", events, "--store", store, "--runner=FnApiRunner"]
    subprocess.run([sys.executable, "-m", "todoke", *map(str, words), "--outbox", str(folder / "outbox")], check=True)
    return store


def counted(url: str) -> int:
    """How many messages a live job has accounted for."""
    with open_asked_reader(url) as reader:
        sums = summed(counts_of(reader, "accounts", None))
    return sum(count for (name, _), count in sums.items() if name == "accounts")


def differences(here: str, there: str) -> list[str]:
    """What two stores know differently of the calls: members of segments, sends of the campaign, dead letters."""
    found = []
    ours, theirs = _known(here), _known(there)
    for what in ours:
        missing, more = ours[what] - theirs[what], theirs[what] - ours[what]
        if missing or more:
            some = ", ".join(sorted(map(str, missing | more))[:3])
            found.append(f"{what}: {len(missing)} are missing, {len(more)} are too many, such as {some}")
    return found


def _known(url: str) -> dict[str, set[Any]]:
    known: dict[str, set[Any]] = {}
    with open_asked_reader(url) as reader:
        for segment in _SEGMENTS:
            page = every(partial(members, reader, segment, MOST))
            known[f"members of {segment}"] = {member.user for member in page}
        found = every(partial(sends, reader, MOST, campaign=_CAMPAIGN))
        known[f"sends of {_CAMPAIGN}"] = {(send["user"], send["state"], send["step"]) for send in found}
        letters = every(partial(reader.page_dead_letters, MOST))
        known["dead letters"] = {(letter.cause, letter.payload) for letter in letters}
    return known
