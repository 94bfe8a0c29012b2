"""200 is answered when nothing can be lost any more, and only then."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from collect_service import TRACK, serving

GOOD, BAD = TRACK, {"type": "track", "userId": "ann", "messageId": "m2"}


@contextmanager
def held(path: Path) -> Iterator[None]:
    """A database that another process writes to, without an end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("name", ["events.db", "store.db"])
def test_what_cannot_be_written_is_503_and_what_is_sent_again_arrives(tmp_path: Path, name: str) -> None:
    with serving(tmp_path, busy_seconds=0.1) as service:
        with held(tmp_path / name):
            assert service.batch(GOOD, BAD).status_code == 503
            assert service.published() == []
        answer = service.batch(GOOD, BAD)
        assert (answer.status_code, [each["index"] for each in answer.json()["refused"]]) == (200, [1])
        assert [call["messageId"] for call in service.published()] == ["m1"]
        assert [cause for cause, _ in service.letters()] == ["no_event"]  # once, though it was sent twice


def test_a_good_batch_does_not_wait_for_the_store(tmp_path: Path) -> None:
    with serving(tmp_path) as service, held(tmp_path / "store.db"):
        assert service.batch(GOOD).status_code == 200


def test_the_queue_has_what_was_answered_200_when_the_answer_comes(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        for number in range(3):
            assert service.batch({**TRACK, "messageId": f"m{number}"}).status_code == 200
            assert service.published()[-1]["messageId"] == f"m{number}"
