"""What a publication makes of a release, and the pointer as bytes."""

from typing import Any

import pytest
from core import DAY, START, compile_plain, texts_of
from releases import publish, release_of

from transforms.campaigns.load import compiled
from transforms.campaigns.publish import AHEAD, LEAST_AHEAD, ActivationRefused, next_release
from transforms.campaigns.release import (
    MOST_REVISIONS,
    PointerError,
    Release,
    decode_pointer,
    encode_pointer,
    encode_texts,
    read_release,
)

Plain = dict[str, Any]


def plain(**segments: Plain) -> Plain:
    return {"segments": {name: {"members": members} for name, members in segments.items()}}


def at_least(count: int, event: str = "A") -> Plain:
    return {"event": event, "count": {"at_least": count}}


def leaves(**segments: Plain) -> tuple[int, ...]:
    return compile_plain(plain(**segments)).event_leaves


def test_in_a_first_release_nothing_is_new() -> None:
    changes = next_release(None, texts_of(plain(a=at_least(1))), START)
    assert changes is not None
    assert (changes.release.number, changes.new, changes.activation) == (1, (), None)
    assert changes.kept == leaves(a=at_least(1))


def test_unless_a_time_is_given() -> None:
    changes = next_release(None, texts_of(plain(a=at_least(1))), START, START + AHEAD)
    assert changes is not None
    assert (changes.new, changes.activation, changes.added) == (leaves(a=at_least(1)), START + AHEAD, ("a",))


def test_what_is_published_already_changes_nothing() -> None:
    assert next_release(release_of(plain(a=at_least(1))), texts_of(plain(a=at_least(1))), START) is None


def test_leaves_are_kept_new_or_dropped_whatever_the_segments_are_called() -> None:
    before = release_of(plain(a=at_least(1), b=at_least(2)))
    changes = next_release(
        before, texts_of(plain(renamed=at_least(1), c=at_least(3), d={"attribute": "x", "exists": True})), START
    )
    assert changes is not None
    assert changes.kept == leaves(a=at_least(1))
    assert changes.new == leaves(a=at_least(3))
    assert changes.dropped == leaves(a=at_least(2))
    assert (changes.changed, changes.added) == ((), ("c",))
    assert changes.activation == START + AHEAD
    assert compiled(changes.release).activations == {leaves(a=at_least(3))[0]: START + AHEAD}


def test_a_leaf_that_a_running_job_still_counts_is_kept() -> None:
    """It was dropped, but older conditions with it may answer until the newer are seeded."""
    before = publish(release_of(plain(a=at_least(1))), plain(a=at_least(2)), START)
    again = next_release(before, texts_of(plain(a=at_least(1))), START + DAY)
    assert again is not None
    assert (again.kept, again.new, again.activation) == (leaves(a=at_least(1)), (), None)


def test_a_leaf_that_nobody_counts_any_more_begins_anew() -> None:
    before = release_of(plain(a=at_least(1), b=at_least(9)))
    before = publish(before, plain(a=at_least(1)), START)
    again = publish(before, plain(a=at_least(1), b=at_least(9)), START + DAY)
    assert [activation.at for activation in again.activations] == [START + DAY + AHEAD]


@pytest.mark.parametrize(("ahead", "refused"), [(LEAST_AHEAD, False), (LEAST_AHEAD - 1, True), (-DAY, True)])
def test_an_activation_is_far_enough_ahead(ahead: int, refused: bool) -> None:
    before, texts = release_of(plain(a=at_least(1))), texts_of(plain(a=at_least(2)))
    if refused:
        with pytest.raises(ActivationRefused, match="less than 60 seconds ahead"):
            next_release(before, texts, START, START + ahead)
    else:
        changes = next_release(before, texts, START, START + ahead)
        assert changes is not None
        assert changes.activation == START + ahead


def test_each_activation_is_later_than_those_before() -> None:
    before = publish(release_of(plain(a=at_least(1))), plain(a=at_least(2)), START, START + DAY)
    third = texts_of(plain(a=at_least(3)))
    with pytest.raises(ActivationRefused, match="name a later time"):
        next_release(before, third, START, START + DAY)
    changes = next_release(before, third, START)
    assert changes is not None
    assert changes.activation is not None
    assert changes.activation > START + DAY


def test_a_pointer_keeps_the_newest_revisions() -> None:
    release = release_of(plain(a=at_least(1)))
    for count in range(2, 8):
        release = publish(release, plain(a=at_least(count)), START + count * DAY)
    assert (release.number, len(release.revisions)) == (7, MOST_REVISIONS)
    counted = {leaf for activation in release.activations for leaf in activation.leaves}
    assert counted == {leaf for count in range(4, 8) for leaf in leaves(a=at_least(count))}


def test_a_revision_that_asks_the_same_takes_the_place_of_the_last() -> None:
    """Else five corrections of a text would push out the conditions that answer while a backfill runs."""
    before = publish(release_of(plain(a=at_least(1))), plain(a=at_least(2)), START)
    named = plain(a=at_least(2))
    named["segments"]["a"]["name"] = "Another name"
    after = publish(before, named, START + DAY)
    assert after.number == 3
    assert [each.definitions_hash for each in after.revisions[1:]] == [
        each.definitions_hash for each in before.revisions[1:]
    ]
    assert after.activations == before.activations


class TestPointer:
    """The bytes, and the files beside them."""

    @pytest.fixture
    def release(self) -> Release:
        return publish(release_of(plain(a=at_least(1)), START), plain(a=at_least(2)), START + DAY)

    @pytest.fixture
    def files(self, release: Release) -> dict[str, bytes]:
        names = {each.definitions_hash: f"{each.definitions_hash}.json" for each in release.revisions}
        files = {f"gs://b/d/{each.definitions_hash}.json": encode_texts(each.texts) for each in release.revisions}
        return {"gs://b/d/p.json": encode_pointer(release, names), **files}

    def read(self, files: dict[str, bytes], known: Release | None = None) -> Release:
        def reading(place: str) -> bytes:
            if place not in files:
                raise PointerError(f"{place} cannot be read")
            return files[place]

        return read_release("gs://b/d/p.json", reading, known)[0]

    def test_it_is_read_as_it_was_written(self, release: Release, files: dict[str, bytes]) -> None:
        found = self.read(files)
        assert found.pointer == "gs://b/d/p.json"
        assert (found.number, found.revisions, found.activations) == (2, release.revisions, release.activations)

    def test_texts_that_are_known_are_not_read_again(self, release: Release, files: dict[str, bytes]) -> None:
        assert self.read({"gs://b/d/p.json": files["gs://b/d/p.json"]}, release).revisions == release.revisions

    def test_other_texts_than_it_names_are_refused(self, release: Release, files: dict[str, bytes]) -> None:
        newest = f"gs://b/d/{release.revisions[0].definitions_hash}.json"
        with pytest.raises(PointerError, match="does not hold revision"):
            self.read({**files, newest: encode_texts((("a.yaml", "segments: {}"),))})
        with pytest.raises(PointerError, match="not the texts of definitions"):
            self.read({**files, newest: b"[1"})
        del files[newest]
        with pytest.raises(PointerError, match="cannot be read"):
            self.read(files)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"[]",
            b"{}",
            b'{"serial": 0, "revisions": []}',
            b'{"serial": 1, "revisions": []}',
            b'{"serial": 1, "revisions": [{"revision": "a", "file": "b", "published": "today"}]}',
            b'{"serial": 1, "revisions": [{"revision": "a", "file": "b", "published": "2026-03-10T12:00:00Z"}], '
            b'"activations": [{"serial": 1, "at": "2026-03-10T12:00:00Z", "leaves": ["xyz"]}]}',
            b"segments: {a: {owner: o}}",
            b"[" * 100_000,
        ],
    )
    def test_what_is_no_pointer_is_refused(self, data: bytes) -> None:
        with pytest.raises(PointerError, match="not a pointer"):
            decode_pointer(data)

    @pytest.mark.parametrize("name", ["../x.json", "/etc/x.json", "a\\\\b.json", ""])
    def test_it_names_files_beside_it_only(self, release: Release, files: dict[str, bytes], name: str) -> None:
        names = {each.definitions_hash: name for each in release.revisions}
        with pytest.raises(PointerError, match="the name of a file beside it"):
            self.read({**files, "gs://b/d/p.json": encode_pointer(release, names)})
