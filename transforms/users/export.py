"""The archive as files: each row as the call that it was, in the form that is read, by the day on which it arrived.

Rows are written as they are found, user by user, into one plain file a day; then each of these becomes a file of the
kind that is asked for. No step holds more than a chunk. Times are microseconds UTC.
"""

import gzip
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.events.calls import OBJECTS, call_of
from transforms.events.event import SESSION
from transforms.events.records import RECORDS
from transforms.events.times import write_time
from transforms.storage.rows import EventRow
from transforms.storage.users import Users
from transforms.users.archive import HistoryStore, archived, knows_ids, rows_of
from transforms.users.faults import open_user
from transforms.users.user import ANONYMOUS, User

__all__ = ["Days", "exported"]

_AT_ONCE = 20_000
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
#: The columns of Parquet; objects are JSON, as the reader takes them.
_NAMES = ("type", "messageId", "userId", "anonymousId", "previousId", "groupId", "event", "name", *OBJECTS)
_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in (*_NAMES, "timestamp", "arrival")),
        pa.field("historical", pa.bool_()),
    ]
)


def exported(store: HistoryStore, counts: Counter[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each event of the archive as a call, with its arrival.

    `counts` gets the `users` whose events these are, those of them that were `truncated` and those with `older` rows:
    of a version that kept no ids of calls, which cannot all be read again as they were. Users who are `unreadable` are
    left out.

    Raises:
      StoreError: the store cannot be read.
    """
    for row in store.scan_users():
        user = open_user(row.user, row.state)
        if not isinstance(user, User):
            counts["unreadable"] += 1
            continue
        if user.owner is not None and _is_taken_over(store, user):
            continue
        merged = store.read_users(user.merged)
        versions = {user.id: row.version} | {name: each.version for name, each in merged.items()}
        found, older = 0, False
        for each in rows_of(store, versions):
            if each.type == SESSION:  # made again of its calls
                continue
            older = older or not knows_ids(each)
            if (call := _call(each, user.id)) is not None:
                found += 1
                yield each.arrival, call
        counts["users"] += found > 0
        counts["truncated"] += found > 0 and user.truncated > 0
        counts["older"] += older


def _is_taken_over(store: Users, user: User) -> bool:
    """Whether somebody has the past of a user, and so the rows: it may be on its way yet."""
    seen, owner = {user.id}, user.owner
    while owner is not None and owner.first not in seen:
        seen.add(owner.first)
        row = store.read_users([owner.first]).get(owner.first)
        if row is None:
            return False
        following = open_user(row.user, row.state)
        if not isinstance(following, User):
            return False
        if user.id in following.merged:
            return True
        owner = following.owner
    return False


def _call(row: EventRow, person: str) -> dict[str, Any] | None:
    """A row as the call that it was; None where it does not know enough of it."""
    event = archived(row)
    key_is_user = not row.user.startswith(ANONYMOUS)
    user, anonymous = event.user, event.anonymous
    if key_is_user:
        user = user or row.user  # a visitor's call that went to whoever had the visitor then
    else:
        anonymous = anonymous or row.user.removeprefix(ANONYMOUS)
        if not knows_ids(row) and not person.startswith(ANONYMOUS):
            user = person
    if row.type in RECORDS:
        user, anonymous = (row.user, None) if key_is_user else (None, anonymous)
    return call_of(msgspec.structs.replace(event, user=user, anonymous=anonymous))


class Days:
    """Calls by the day of their arrival, in files.

    Args:
      pattern: of the files, with `*` for the day; without it all days go into one. `.parquet` and `.gz` at its end say
        the kind.
      scratch: an empty folder.
    """

    def __init__(self, pattern: str, scratch: Path) -> None:
        self.files: list[str] = []
        self._pattern, self._scratch = pattern, scratch
        self._held: dict[str, list[bytes]] = {}
        self._count = 0

    def write(self, arrival: int, call: Mapping[str, Any]) -> None:
        """Take a call."""
        day = write_time(arrival)[:10] if "*" in self._pattern else ""
        self._held.setdefault(day, []).append(_encode(call))
        self._count += 1
        if self._count >= _AT_ONCE:
            self._flush()

    def finish(self) -> None:
        """Make the files. One that is there already is replaced when the new one is whole.

        Raises:
          OSError: one cannot be written.
        """
        self._flush()
        for spilled in sorted(self._scratch.iterdir()):
            place = Path(self._pattern.replace("*", spilled.name.removeprefix("day-")))
            place.parent.mkdir(parents=True, exist_ok=True)
            unfinished = place.with_name(f".{place.name}.part")
            _made(spilled, unfinished, place.name)
            unfinished.replace(place)
            spilled.unlink()
            self.files.append(str(place))

    def _flush(self) -> None:
        for day, lines in self._held.items():
            with (self._scratch / f"day-{day}").open("ab") as file:
                file.write(b"\n".join(lines) + b"\n")
        self._held, self._count = {}, 0


def _made(spilled: Path, place: Path, name: str) -> None:
    """Write lines as what the name of a file says."""
    kind = name.removesuffix(".gz")
    if kind.endswith(".parquet"):
        plain = place.with_name(f"{place.name}.plain") if name.endswith(".gz") else place
        with pq.ParquetWriter(plain, _SCHEMA) as writer:
            for rows in _rows(spilled):
                writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))
        if plain != place:
            _zip(plain, place)
            plain.unlink()
    elif name.endswith(".gz"):
        _zip(spilled, place)
    else:
        shutil.copyfile(spilled, place)


def _zip(source: Path, place: Path) -> None:
    with source.open("rb") as read, gzip.open(place, "wb", compresslevel=6) as written:
        shutil.copyfileobj(read, written, 1 << 20)


def _rows(spilled: Path) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    with spilled.open("rb") as file:
        for line in file:
            call = _decode(line)
            rows.append(call | {name: _encode(call[name]).decode() for name in OBJECTS if name in call})
            if len(rows) >= _AT_ONCE:
                yield rows
                rows = []
    if rows:
        yield rows
