"""`todoke export`: what a store holds, as files for others: events, memberships, sends; or all of one user."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from glob import escape, glob
from pathlib import Path
from typing import Any, TextIO

import msgspec
import pyarrow as pa

from beam_pipelines.places import check_apart, check_written
from todoke.store import open_asked
from todoke.terminal import json_text, print_error
from transforms.errors import RunFailed, WrongUse
from transforms.events.plain import counted, quoted
from transforms.events.row_files import RowFiles, whole_file
from transforms.events.times import write_time
from transforms.storage.scratch.folder import scratch_folder
from transforms.storage.store import Store
from transforms.users.export import CALLS, MEMBERS, SENDS, exported, exported_members, exported_sends
from transforms.views.person import PARTS, Person, person, rows_of
from transforms.views.users import profile

__all__ = ["export", "export_user"]

#: So many files are named that are not of an export.
_SHOWN = 5
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
#: Rows with the part of a file's name that they belong to.
_Rows = Iterator[tuple[str, dict[str, Any]]]


def _calls(store: Store, counts: Counter[str]) -> _Rows:
    return ((write_time(arrival)[:10], call) for arrival, call in exported(store, counts))


def _members(store: Store, _: Counter[str]) -> _Rows:
    return ((row["segment"], row) for row in exported_members(store))


def _sends(store: Store, _: Counter[str]) -> _Rows:
    return ((write_time(decided_at)[:10], row) for decided_at, row in exported_sends(store))


#: What can be exported: the columns, the rows, and what `*` stands for in the name of a file.
_KINDS: dict[str, tuple[pa.Schema, Callable[[Store, Counter[str]], _Rows], str]] = {
    "events": (CALLS, _calls, "the day of arrival"),
    "members": (MEMBERS, _members, "the segment"),
    "sends": (SENDS, _sends, "the day of the decision"),
}

_COUNTED = {"members": ("membership",), "sends": ("send or refusal", "sends and refusals")}


def export(url: str, asked: dict[str, str], *, json: bool) -> None:
    """Write files of each kind that is asked for, and print what was written.

    Args:
      url: of the store.
      asked: the pattern of files by kind: `events`, `members`, `sends`.
      json: print the counts as JSON.

    Raises:
      WrongUse: there is no such store, or files cannot have such a name, or nothing is asked for.
      RunFailed: a file cannot be written.
      StoreError: the store cannot be read.
    """
    if not asked:
        raise WrongUse("name what is to be exported: --events, --members, --sends or --user")
    for kind, pattern in asked.items():
        _check(kind, pattern)
    if len(set(asked.values())) < len(asked):
        raise WrongUse("events, members and sends go to files of their own; two of these have the same name")
    check_apart([(f"--{kind}", pattern) for kind, pattern in asked.items()], [("--store", url)])
    said: dict[str, dict[str, int]] = {}
    with closing(open_asked(url)) as store:
        for kind, pattern in asked.items():
            said[kind] = _write(store, kind, pattern)
    if json:
        print(msgspec.json.encode(said["events"] if [*said] == ["events"] else said).decode())
        return
    for kind, counts in said.items():
        _print(kind, counts)


def _check(kind: str, pattern: str) -> None:
    if _SCHEME.match(pattern):
        raise WrongUse(f"--{kind}: an export is written to files of this machine; found {quoted(pattern)}")
    if pattern.count("*") > 1:
        raise WrongUse(f"--{kind}: one `*` stands for {_KINDS[kind][2]}; found {quoted(pattern)}")
    if "*" not in pattern:
        check_written(f"--{kind}", pattern)


def _write(store: Store, kind: str, pattern: str) -> dict[str, int]:
    schema, rows, _ = _KINDS[kind]
    counts = Counter[str]()
    with _writing(), scratch_folder() as folder:
        files = RowFiles(pattern, folder, schema)
        for part, row in rows(store, counts):
            files.write(part, row)
        files.finish()
    _say_left(pattern, files.files)
    more = ("users", "truncated", "older", "unreadable") if kind == "events" else ()
    return {kind: files.rows} | {name: counts[name] for name in more} | {"files": len(files.files)}


def _say_left(pattern: str, written: Collection[str]) -> None:
    """Name files of an export before, of parts that have no rows now: whoever reads all of them reads these too."""
    named = glob("*".join(map(escape, pattern.split("*"))))  # noqa: PTH207 - patterns may be absolute
    if left := sorted({str(Path(name)) for name in named} - {*written}):
        more = f" and {len(left) - _SHOWN:,} more" if len(left) > _SHOWN else ""
        print_error(f"not of this export, though named like it: {', '.join(left[:_SHOWN])}{more}")


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunFailed(f"the export cannot be written: {error}") from error


def _print(kind: str, said: dict[str, int]) -> None:
    files = counted(said["files"], "file")
    if kind != "events":
        print(f"{counted(said[kind], *_COUNTED[kind])} in {files}")
        return
    print(f"{counted(said['events'], 'event')} of {counted(said['users'], 'user')} in {files}")
    if said["truncated"]:
        print(f"  users whose state was truncated, and is less than their events: {said['truncated']:,}")
    if said["unreadable"]:
        print(f"  users whose state cannot be read, who are left out: {said['unreadable']:,}")
    if said["older"]:
        print(f"  users with rows of an older version, without the ids of calls: {said['older']:,}")


def export_user(url: str, user: str, out: str | None) -> None:
    """Write all that a store holds of one person as one JSON object, to a file or to standard output.

    Raises:
      WrongUse: there is no such store, the file cannot be, or nothing is held of that id.
      RunFailed: the file cannot be written.
      StoreError: the store cannot be read.
    """
    if out is not None:
        _check("out", out)
        check_apart([("--out", out)], [("--store", url)])
    with closing(open_asked(url)) as store:
        found = person(store, user)
        if found.row is None and not any(True for part in PARTS for _ in rows_of(store, found, part)):
            raise WrongUse(f"the store holds nothing of {quoted(user)}")
        if out is None:
            _write_person(store, found, sys.stdout)
            return
        with _writing(), whole_file(Path(out)) as place, place.open("w", encoding="utf-8") as file:
            _write_person(store, found, file)
    print(f"all that is held of {quoted(found.user)} is in {quoted(out)}")


def _write_person(store: Store, found: Person, file: TextIO) -> None:
    """Write a row a line: however much there is of somebody, one row is in memory."""
    shown = {"asked": found.asked, "user": found.user, "ids": found.ids}
    about = shown | {"profile": None if found.row is None else profile(found.row)}
    file.write(json_text(about).removesuffix("}"))
    for part in PARTS:
        file.write(f',\n"{part}": [')
        for number, row in enumerate(rows_of(store, found, part)):
            file.write(f"{',' if number else ''}\n{json_text(row)}")
        file.write("]")
    file.write("}\n")
