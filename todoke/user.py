"""`todoke user`: one user with a timeline."""

from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from todoke.store import open_asked
from todoke.terminal import Screen, json_text, plain_text
from transforms.errors import WrongUse
from transforms.events.event import GROUP, SET
from transforms.events.plain import quoted
from transforms.events.times import write_time
from transforms.storage.rows import EventRow, LedgerRow, LedgerState
from transforms.storage.store import Store
from transforms.users.user import ANONYMOUS

__all__ = ["print_user", "user", "user_json"]

#: What the timeline shows of the archive, and of the ledger, at most of each id.
_EVENTS = 1000
#: Characters of what an event said that the timeline shows.
_SHOWN = 100


def user(user_id: str, url: str, *, json: bool) -> None:
    """Print one user.

    Raises:
      WrongUse: the URL is none, or the store does not know the user.
      StoreError: the store cannot be read.
    """
    store = open_asked(url)
    if json:
        print(json_text(user_json(store, user_id)))
    else:
        print_user(Screen(), store, user_id)
    store.close()


def user_json(store: Store, user_id: str) -> dict[str, Any]:
    """The user's profile as its row has it, and the `timeline`, oldest first; anonymous pasts are part of it.

    Raises:
      WrongUse: the store does not know the user.
    """
    row = store.read_users([user_id]).get(user_id)
    if row is None:
        raise WrongUse(f"the store knows no user {quoted(user_id)}")
    shown: dict[str, Any] = msgspec.json.decode(row.profile)
    entries: list[dict[str, Any]] = []
    # By id: what a process was writing for a visitor when it died may have come again for the user.
    events: dict[str, dict[str, Any]] = {}
    for name in [user_id, *shown.get("merged", []), *(ANONYMOUS + source for source in shown.get("anonymous", []))]:
        events |= {event.id: _event(event) for event in store.read_events(name, _EVENTS)}
        entries += [_decision(sent) for sent in store.read_ledger(name, _EVENTS)]
    entries += events.values()
    shown["timeline"] = sorted(entries, key=lambda entry: (entry["time"], entry["kind"]))
    return shown


def print_user(console: Console, store: Store, user_id: str) -> None:
    """Show a user to people.

    Raises:
      WrongUse: the store does not know the user.
    """
    shown = user_json(store, user_id)
    console.print(plain_text(user_id, "bold"))
    for name in ("known_since", "as_of", "deleted", "owner", "truncated"):
        if name in shown:
            console.print(plain_text(f"  {name.replace('_', ' ')}: {shown[name]}"))
    for name in ("attributes", "consent", "segments"):
        for key, value in shown.get(name, {}).items():
            console.print(plain_text(f"  {name.removesuffix('s')} {key}: {value}"))
    for name in shown.get("warming", []):
        console.print(plain_text(f"  warming {name}: waits for a seed"))
    for journey in shown.get("journeys", []):
        console.print(plain_text(f"  journey {journey['campaign']}: waits at {journey['step']} until {journey['due']}"))
    for pending in shown.get("pending", []):
        console.print(
            plain_text(f"  entry into {pending['campaign']}: waits for what is missing until {pending['due']}")
        )
    table = Table("time (UTC)", "what", "detail", box=None, padding=(0, 2, 0, 0))
    for entry in shown["timeline"]:
        table.add_row(_clock(entry["time"]), *map(plain_text, _describe(entry)))
    console.print(table)


def _clock(time: str) -> str:
    """A time to the second, as people read it."""
    return time[:19].replace("T", " ")


def _event(row: EventRow) -> dict[str, Any]:
    payload = msgspec.json.decode(row.payload)
    said = payload["traits"] if row.type in ("identify", GROUP, SET) else payload["properties"]
    if group := payload.get("group"):
        said = {"group": group} | said
    shown = {
        "time": write_time(row.time),
        "kind": "event",
        "type": row.type,
        "name": row.name,
        "said": said,
        "id": row.id,
    }
    return shown if row.arrival == row.time else shown | {"arrival": write_time(row.arrival)}


def _decision(row: LedgerRow) -> dict[str, Any]:
    refused = row.state == LedgerState.SUPPRESSED
    return {
        "time": write_time(row.decided_at),
        "kind": "refusal" if refused else "send",
        "campaign": row.campaign,
        "step": row.step,
        "channel": row.channel,
        "state": row.state,
        "detail": row.detail,
        "id": row.send,
    }


def _cut(text: str) -> str:
    """As much as a line of the timeline shows."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _describe(entry: dict[str, Any]) -> tuple[str, str]:
    if entry["kind"] == "event":
        said = ", ".join(f"{name} {value}" for name, value in entry["said"].items())
        arrived = _clock(entry.get("arrival", entry["time"]))
        late = "" if arrived == _clock(entry["time"]) else f" (arrived {arrived})"
        return entry["name"] or entry["type"].replace("_", " "), (_cut(said) + late).strip()
    what = f"{entry['campaign']}" + (f" / {entry['step']}" if entry["step"] else "")
    if entry["kind"] == "refusal":
        return f"no send: {entry['detail']}", what
    return f"{entry['channel']} {entry['state']}", what
