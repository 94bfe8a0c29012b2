"""A process and its pointer: what is newer is taken, whatever is wrong leaves the definitions as they were."""

import logging
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from apache_beam.io.localfilesystem import LocalFileSystem
from core import START, texts_of
from releases import publish, release_of

from transforms.campaigns.load import DefinitionsError
from transforms.campaigns.release import (
    OlderDefinitions,
    PointerError,
    Release,
    Revision,
    beside,
    encode_pointer,
    encode_texts,
    hash_definitions,
    read_release,
)
from transforms.campaigns.transforms import file_exists, read_definitions, read_file, watcher_of, write_file
from transforms.campaigns.watcher import DefinitionsWatcher
from transforms.job import Job

Plain = dict[str, Any]


def plain(count: int) -> Plain:
    return {"segments": {"a": {"members": {"event": "A", "count": {"at_least": count}}}}}


def write(pointer: str, release: Release) -> None:
    names = {each.definitions_hash: f"{each.definitions_hash}.json" for each in release.revisions}
    for each in release.revisions:
        write_file(beside(pointer, names[each.definitions_hash]), encode_texts(each.texts))
    write_file(pointer, encode_pointer(release, names))


@pytest.fixture
def pointer(tmp_path: Path) -> str:
    return str(tmp_path / "p.json")


FIRST = release_of(plain(1), START)
SECOND = publish(FIRST, plain(2), START)
THIRD = publish(SECOND, plain(3), START)


def watching(pointer: str, release: Release = FIRST) -> DefinitionsWatcher:
    write(pointer, release)
    return DefinitionsWatcher(read_release(pointer, read_file)[0], read_file)


def test_what_the_pointer_names_is_taken_when_it_is_looked_at(pointer: str) -> None:
    seen = watching(pointer)
    write(pointer, SECOND)
    assert seen.now().release == 1
    seen.poll()
    assert (seen.now().release, seen.now().definitions_hash) == (2, SECOND.revisions[0].definitions_hash)
    assert set(seen.now().activations) == set(SECOND.activations[0].leaves)


def test_who_needs_newer_ones_looks_at_once(pointer: str) -> None:
    seen = watching(pointer)
    write(pointer, THIRD)
    assert seen.at_least(2).release == 3
    with pytest.raises(OlderDefinitions, match=r"release 4 .* knows release 3"):
        seen.at_least(4)


def test_plain_definitions_are_never_newer() -> None:
    seen = watcher_of(texts_of(plain(1)), Job())
    seen.start()
    seen.poll()
    assert seen.at_least(0).release == 0
    with pytest.raises(OlderDefinitions):
        seen.at_least(1)


def test_a_thread_takes_them_in_the_background(pointer: str) -> None:
    write(pointer, FIRST)
    release = read_definitions(pointer)
    assert isinstance(release, Release)
    job = Job()
    seen = watcher_of(msgspec.structs.replace(release, every=0.01), job)
    assert watcher_of(release, job) is seen, "one for each pointer of a job in a process"
    write(pointer, SECOND)
    until = time.monotonic() + 60
    while seen.now().release == 1 and time.monotonic() < until:
        time.sleep(0.01)
    job.close()
    assert seen.now().release == 2


BROKEN: dict[str, bytes | Release] = {
    "no JSON": b"{",
    "another file": b'{"type": "service_account"}',
    "texts that are not there": encode_pointer(
        THIRD, {each.definitions_hash: "missing.json" for each in THIRD.revisions}
    ),
    "an older release": FIRST,
    "another release of that number": publish(FIRST, plain(4), START),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_pointer_leaves_what_was_and_says_so_once(
    pointer: str, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen = watching(pointer, SECOND)
    if isinstance(named := BROKEN[what], Release):
        write(pointer, named)
    else:
        Path(pointer).write_bytes(named)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            seen.poll()
    assert seen.now().release == 2
    (said,) = caplog.records
    assert said.getMessage().startswith("the definitions stay those of release 2: ")
    write(pointer, THIRD)
    seen.poll()
    assert seen.now().release == 3


def test_definitions_with_mistakes_are_not_taken(pointer: str, caplog: pytest.LogCaptureFixture) -> None:
    """Such as those of a newer version of the program."""
    seen = watching(pointer)
    wrong = (("w.yaml", "segments: {a: {owner: o, members: {evnt: A}}}"),)
    write(pointer, msgspec.structs.replace(SECOND, revisions=(Revision(hash_definitions(wrong), wrong),)))
    seen.poll()
    assert seen.now().release == 1
    assert "w.yaml:1: error: segments.a.members: expected one of" in caplog.text


def test_a_launch_with_a_broken_pointer_is_refused(pointer: str) -> None:
    with pytest.raises(DefinitionsError, match=r"p\.json:1: error: .* cannot be read"):
        read_definitions(pointer)
    Path(pointer).write_bytes(b"segments: {}")
    with pytest.raises(DefinitionsError, match="not a pointer of `todoke publish`"):
        read_definitions(pointer)


class Elsewhere(LocalFileSystem):
    """Beam finds it by its scheme, as it finds Google's: `elsewhere://` and a path."""

    @classmethod
    def scheme(cls) -> str:
        return "elsewhere"

    def open(self, path: str, *args: Any, **kwargs: Any) -> Any:
        return super().open(path.removeprefix("elsewhere://"), *args, **kwargs)

    def create(self, path: str, *args: Any, **kwargs: Any) -> Any:
        return super().create(path.removeprefix("elsewhere://"), *args, **kwargs)

    def exists(self, path: str) -> bool:
        return super().exists(path.removeprefix("elsewhere://"))


def test_a_pointer_may_lie_in_any_of_beams_file_systems(tmp_path: Path) -> None:
    pointer = f"elsewhere://{tmp_path}/p.json"
    assert not file_exists(pointer)
    write(pointer, SECOND)
    assert file_exists(pointer)
    release = read_definitions(pointer)
    assert isinstance(release, Release)
    assert (release.pointer, release.number, release.revisions) == (pointer, 2, SECOND.revisions)
    assert (tmp_path / "p.json").exists()


@pytest.mark.parametrize("place", ["elsewhere:///nowhere/p.json", "nosuch://bucket/p.json", "/nowhere/p.json"])
def test_what_cannot_be_read_is_named(place: str) -> None:
    with pytest.raises(PointerError, match=f"{place} cannot be read"):
        read_file(place)
