"""`todoke user`: one user with a timeline."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from todoke.clock import UTC_CLOCK, Clock, check_zone, clock, zone_in
from todoke.store import asked_row, open_asked_reader
from todoke.tables import moments, words
from todoke.terminal import Screen, json_text, plain_text
from transforms.events.consent import EVERY_TOPIC
from transforms.events.event import RECEIPT
from transforms.events.plain import quoted
from transforms.storage.reader import Reader
from transforms.storage.rows import LedgerState, UserRow
from transforms.views.users import past, profile

__all__ = ["print_user", "user", "user_json"]

#: How many rows of the archive, and of the ledger, the timeline shows for each id at most.
_EVENTS = 1000
#: What the timeline shows first of a receipt.
_RECEIPT_FIRST = ("reason", "machine", "link")
#: How many characters of an event's content the timeline shows.
_SHOWN = 100
#: The fields of a profile that are times, besides those of memberships, journeys and pending entries.
_TIMES = ("deleted", "known_since", "as_of")
#: The kinds of receipts whose reason stands in the line of the send, too.
_SAID_BY_SENDS = ("failed", "unknown", "expired", "suppressed")


def user(user_id: str, url: str, *, zone: str, json: bool) -> None:
    """Print one user, with times by `--zone`.

    Raises:
      WrongUse: the URL or the zone is wrong, or the store does not know the user.
      StoreError: the store cannot be read.
    """
    check_zone(zone)
    with open_asked_reader(url) as reader:
        if json:
            print(json_text(user_json(reader, user_id, zone)))
        else:
            print_user(Screen(), reader, user_id, zone)


def user_json(reader: Reader, user_id: str, zone: str = UTC_CLOCK.zone) -> dict[str, Any]:
    """The user's profile as its row has it, and the `timeline`, oldest first; anonymous pasts are part of it.

    Raises:
      WrongUse: the store does not know the user.
    """
    row = asked_row(reader, user_id)
    return _shown(reader, row, clock(zone, zone_in(row)))


def print_user(console: Console, reader: Reader, user_id: str, zone: str = UTC_CLOCK.zone) -> None:
    """Show a user to people.

    Raises:
      WrongUse: the store does not know the user.
    """
    row = asked_row(reader, user_id)
    by = clock(zone, zone_in(row))
    shown = _shown(reader, row, by)
    console.print(plain_text(user_id, "bold"))
    for name in ("known_since", "as_of", "deleted", "owner", "truncated"):
        if name in shown:
            console.print(plain_text(f"  {name.replace('_', ' ')}: {shown[name]}"))
    for key, value in shown.get("attributes", {}).items():
        console.print(plain_text(f"  attribute {key}: {quoted(value, _SHOWN)}"))
    for line in _consent(shown.get("consent", {})):
        console.print(plain_text(f"  consent {line}"))
    for name, since in shown.get("segments", {}).items():
        console.print(plain_text(f"  segment {name}: {since}"))
    for name in shown.get("warming", []):
        console.print(plain_text(f"  warming {name}: waits for a seed"))
    for journey in shown.get("journeys", []):
        console.print(plain_text(f"  journey {journey['campaign']}: waits at {journey['step']} until {journey['due']}"))
    for pending in shown.get("pending", []):
        console.print(
            plain_text(f"  entry into {pending['campaign']}: waits for what is missing until {pending['due']}")
        )
    columns = moments(f"time ({by.zone})"), words("what"), words("detail")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for entry in _told_once(shown["timeline"]):
        table.add_row(_to_second(entry["time"]), *map(plain_text, _describe(entry)))
    console.print(table)


def _shown(reader: Reader, row: UserRow, by: Clock) -> dict[str, Any]:
    shown = profile(row)
    entries = past(reader, row.user, shown, _EVENTS)
    timeline = [
        entry | {name: by.moved(entry[name]) for name in ("time", "arrival") if name in entry} for entry in entries
    ]
    return _moved(shown, by) | {"timeline": timeline}


def _moved(profile: dict[str, Any], by: Clock) -> dict[str, Any]:
    """A profile as its row has it, with times by a clock."""
    times: dict[str, Any] = {name: by.moved(profile[name]) for name in _TIMES if name in profile}
    if "segments" in profile:
        times["segments"] = {name: by.moved(since) for name, since in profile["segments"].items()}
    for name, times_of in (("journeys", ("entered", "due")), ("pending", ("triggered", "due"))):
        if name in profile:
            times[name] = [each | {moment: by.moved(each[moment]) for moment in times_of} for each in profile[name]]
    return profile | times


def _consent(said: dict[str, bool]) -> Iterator[str]:
    """Each consent that was set, and which of two wins: a denial of the whole channel."""
    for key, granted in said.items():
        whole = f"{EVERY_TOPIC}/{key.rpartition('/')[2]}"
        denied = granted and not said.get(whole, True)
        yield f"{key}: {quoted(granted)}" + (f", but {whole} denies it" if denied else "")


def _told_once(timeline: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A timeline without receipts that say again why a send, which it has too, did not go out."""
    sends = {entry["id"] for entry in timeline if entry["kind"] != "event"}
    for entry in timeline:
        said = entry["said"] if entry["kind"] == "event" and entry["type"] == RECEIPT else {}
        if said.get("send") not in sends or said.get("kind") not in _SAID_BY_SENDS:
            yield entry


def _to_second(time: str) -> str:
    """A time for people, under a heading that names the zone."""
    return time[:19].replace("T", " ")


def _cut(text: str) -> str:
    """A text cut to what a line of the timeline shows."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _describe(entry: dict[str, Any]) -> tuple[str, str]:
    if entry["kind"] == "event":
        values = entry["said"]
        if entry["type"] == RECEIPT:  # what its name does not say comes first, so that it is not cut off
            values = {name: values[name] for name in _RECEIPT_FIRST if name in values} | values
        said = ", ".join(f"{name} {quoted(value, _SHOWN)}" for name, value in values.items())
        arrived = _to_second(entry.get("arrival", entry["time"]))
        late = "" if arrived == _to_second(entry["time"]) else f" (arrived {arrived})"
        return entry["name"] or entry["type"].replace("_", " "), (_cut(said) + late).strip()
    what = f"{entry['campaign']}" + (f" / {entry['step']}" if entry["step"] else "")
    if entry["kind"] == "refusal":
        return f"no send: {entry['detail']}", what
    went_out = entry["state"] in (LedgerState.HANDED_OFF, LedgerState.CONFIRMED)  # else the detail says what happened
    why = f": {entry['detail']}" if entry["detail"] and not went_out else ""
    return f"{entry['channel']} {entry['state']}", what + why
