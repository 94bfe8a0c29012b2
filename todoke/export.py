"""`todoke export`: the archive of a store as files of events, in the form that is read."""

import re
import tempfile
from collections import Counter
from pathlib import Path

import msgspec

from beam_pipelines.places import check_written
from todoke.store import open_asked
from transforms.errors import RunFailed, WrongUse
from transforms.events.plain import counted, quoted
from transforms.users.export import Days, exported

__all__ = ["export"]

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")


def export(url: str, events: str, *, json: bool) -> None:
    """Write the archive, and print what was written.

    Raises:
      WrongUse: there is no such store, or the files cannot have this name.
      RunFailed: a file cannot be written.
      StoreError: the store cannot be read.
    """
    if _SCHEME.match(events):
        raise WrongUse(f"--events: an export is written to files of this machine; found {quoted(events)}")
    if events.count("*") > 1:
        raise WrongUse(f"--events: one `*` stands for the day of arrival; found {quoted(events)}")
    if "*" not in events:
        check_written("--events", events)
    store, counts = open_asked(url), Counter[str]()
    try:
        with tempfile.TemporaryDirectory(prefix="todoke-") as folder:
            days = Days(events, Path(folder))
            for arrival, call in exported(store, counts):
                counts["events"] += 1
                days.write(arrival, call)
            days.finish()
    except OSError as error:
        raise RunFailed(f"the export cannot be written: {error}") from error
    finally:
        store.close()
    said = {name: counts[name] for name in ("events", "users", "truncated", "older", "unreadable")} | {
        "files": len(days.files)
    }
    if json:
        print(msgspec.json.encode(said).decode())
        return
    events, users, files = (counted(said[f"{kind}s"], kind) for kind in ("event", "user", "file"))
    print(f"{events} of {users} in {files}")
    if said["truncated"]:
        print(f"  users whose state was truncated, and is less than their events: {said['truncated']:,}")
    if said["unreadable"]:
        print(f"  users whose state cannot be read, who are left out: {said['unreadable']:,}")
    if said["older"]:
        print(f"  users with rows of an older version, without the ids of calls: {said['older']:,}")
