"""`todoke publish`: new definitions for a running job, by a pointer that it watches."""

import sys
import time
from pathlib import Path

from todoke.terminal import json_text
from transforms.campaigns.differences import UNTIL_SEEDED, counted_text
from transforms.campaigns.load import DefinitionsError, compiled, read_texts
from transforms.campaigns.publish import ActivationRefused, Changes, next_release
from transforms.campaigns.release import (
    PointerError,
    Release,
    Texts,
    beside,
    encode_pointer,
    encode_texts,
    read_release,
)
from transforms.campaigns.transforms import file_exists, is_pointer, read_file, write_file
from transforms.errors import WrongUse
from transforms.events.plain import quoted
from transforms.events.times import read_time, write_time

__all__ = ["named_from", "publish", "write_release"]


def publish(definitions: Path, pointer: str, activate: str | None, *, json: bool) -> None:
    """Check definitions, write their texts beside the pointer, and let it name them; print what changes.

    Raises:
      WrongUse, DefinitionsError: nothing was published.
      PointerError: the pointer cannot be read or written, or somebody else published meanwhile; it names what it did.
    """
    if not is_pointer(pointer):
        raise WrongUse(f"--to: a pointer is a file that ends in .json; found {quoted(pointer)}")
    given = read_texts(definitions)
    texts = named_from(given, definitions)
    at = None if activate is None else _time(activate)
    before, found = read_release(pointer, read_file) if file_exists(pointer) else (None, b"")
    try:
        changes = next_release(before, texts, time.time_ns() // 1000, at)
    except ActivationRefused as error:
        raise WrongUse(f"--activate: {error}") from error
    except DefinitionsError:
        compiled(given)  # which says the same of the files as they were named here
        raise
    if changes is None:
        assert before is not None
        _print_unchanged(before, pointer, json=json)
        return
    write_release(pointer, changes.release, found)
    if json:
        print(json_text(_as_json(changes)))
    else:
        _print(changes, pointer, activate)


def _time(text: str) -> int:
    try:
        return read_time(text)
    except ValueError as error:
        raise WrongUse(f"--activate: {error}") from error


def named_from(texts: Texts, place: Path) -> Texts:
    """Files by their paths from the folder of the definitions, as people know them who read about mistakes."""
    folder = place if place.is_dir() else place.parent
    return tuple((Path(name).relative_to(folder).as_posix(), text) for name, text in texts)


def write_release(pointer: str, release: Release, found: bytes) -> None:
    """Write the new texts, then the pointer, so that all that it names is there.

    Raises:
      PointerError: they cannot be written, or the pointer is no longer what was `found` (empty: there was none).
    """
    stem = pointer.rpartition("/")[2].removesuffix(".json")
    files = {each.definitions_hash: f"{stem}-{each.definitions_hash}.json" for each in release.revisions}
    newest = release.revisions[0]
    write_file(beside(pointer, files[newest.definitions_hash]), encode_texts(newest.texts))
    if (read_file(pointer) if file_exists(pointer) else b"") != found:
        raise PointerError(f"{pointer} was changed by somebody else meanwhile: publish again")
    write_file(pointer, encode_pointer(release, files))


def _as_json(changes: Changes) -> dict[str, object]:
    return {
        "serial": changes.release.number,
        "revision": changes.release.revisions[0].definitions_hash,
        "new": [f"{leaf:016x}" for leaf in changes.new],
        "kept": [f"{leaf:016x}" for leaf in changes.kept],
        "dropped": [f"{leaf:016x}" for leaf in changes.dropped],
        "activation": None if changes.activation is None else write_time(changes.activation),
        "changed": changes.changed,
        "added": changes.added,
    }


def _print_unchanged(before: Release, pointer: str, *, json: bool) -> None:
    newest = before.revisions[0].definitions_hash
    if json:
        print(json_text({"serial": before.number, "revision": newest, "unchanged": True}))
    else:
        print(f"{pointer}: revision {newest} is published already, as release {before.number}")


def _print(changes: Changes, pointer: str, activate: str | None) -> None:
    release = changes.release
    print(f"{pointer}: revision {release.revisions[0].definitions_hash} is release {release.number}")
    print(counted_text(len(changes.new), len(changes.kept), len(changes.dropped)))
    if changes.activation is None:
        if release.number == 1:
            print("all of them count from the beginning: right for a job without users, or with these definitions")
        elif activate is not None:
            print("none is new: --activate has no effect", file=sys.stderr)
        return
    print(f"the new ones count from {write_time(changes.activation)}")
    print("for users known before then:")
    for names, answers in ((changes.changed, "old"), (changes.added, "no")):
        for name in names:
            print(f"  {name}: {UNTIL_SEEDED[answers]}")
