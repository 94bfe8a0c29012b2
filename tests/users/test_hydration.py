"""Rows of users are read ahead in batches; no retry, no eviction and no failed read loses or repeats anything.

`Counting` stands before the real store, counts what is read, and can break off: BundleBasedDirectRunner runs a failed
bundle again, without the state that it had set.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import TimestampedValue
from core import DAY, HOUR, START, texts_of
from msgspec.structs import replace
from shells import Outcome, append, lines, stream_of, streamed, track, unbounded

from transforms.events.event import Event
from transforms.storage.open import open_store
from transforms.storage.rows import UserRow
from transforms.storage.store import StoreError
from transforms.users import transforms as machine
from transforms.users.hydrate import transforms as hydrate
from transforms.users.hydrate.hints import decode_hinted
from transforms.users.hydrate.transforms import Hydrate

pytestmark = pytest.mark.timeout(120)

TEXTS = texts_of(
    {
        "segments": {"often": {"members": {"event": "Viewed", "count": {"at_least": 2}}}},
        "campaigns": {
            "hello": {
                "trigger": {"event": "Ordered"},
                "steps": [{"send": "push"}],
                "reenter": "always",
                "consent": "offers",
                "max_delay": "365d",
            }
        },
        "messages": {"push": {"channel": "push", "title": "Hello"}},
    }
)


class Counting:
    """A store that counts reads of users, and refuses, after it wrote a user with an open send, as often as told."""

    reads: ClassVar[list[int]] = []
    refusals: ClassVar[int] = 0
    blind: ClassVar[bool] = False

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read_users(self, users: list[str]) -> dict[str, UserRow]:
        if Counting.blind:
            raise StoreError("refused for the test")
        Counting.reads.append(len(users))
        found: dict[str, UserRow] = self._store.read_users(users)
        return found

    def transaction(self) -> Any:
        """Rows stand by themselves, as in Bigtable."""
        return nullcontext()

    def write_users(self, rows: list[UserRow]) -> None:
        self._store.write_users(rows)
        if Counting.refusals and any(row.open_sends for row in rows):
            Counting.refusals -= 1
            raise StoreError("written, and refused for the test")


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> type[Counting]:
    for module in (hydrate, machine):
        monkeypatch.setattr(module, "open_store", lambda url: Counting(open_store(url)))
    monkeypatch.setattr(Counting, "reads", [])
    monkeypatch.setattr(Counting, "refusals", 0)
    monkeypatch.setattr(Counting, "blind", False)
    return Counting


@pytest.fixture(params=["sqlite", "bigtable"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("bigtable").url)


def test_users_at_first_sight_are_read_in_batches(tmp_path: Path, url: str, counting: type[Counting]) -> None:
    """Half of 2,000 have rows. Inputs of one user become one element, with all parts and the earliest timestamp."""
    store = open_store(url)
    store.write_users([UserRow(f"u{number}", 1, f"state {number}".encode(), b"{}") for number in range(1000)])
    store.close()
    keyed = [
        TimestampedValue((f"u{number}", f"input {number} {part}".encode()), number + part)
        for part in range(2)
        for number in range(2000)
    ]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        inputs = pipeline | beam.Create(keyed, reshuffle=False) | "Stamp" >> beam.Map(lambda stamped: stamped)
        hinted = inputs | Hydrate(url) | "See" >> beam.Map(as_written)
        _ = hinted | "Write" >> beam.Map(append, str(tmp_path / "hinted"))
    assert sum(counting.reads) == 2000
    assert len(counting.reads) <= 8, "one bundle or two"
    found = lines(tmp_path / "hinted", tuple[str, list[str], str | None, float])
    hints = {key: hint for key, _, hint, _ in found if hint is not None}
    assert hints == {f"u{number}": f"state {number}" if number < 1000 else "" for number in range(2000)}
    parts = sorted((part, key) for key, parts, _, _ in found for part in parts)
    assert parts == sorted((f"input {number} {part}", f"u{number}") for part in range(2) for number in range(2000))
    assert all(at <= int(key[1:]) + 1 for key, _, _, at in found)


def as_written(
    element: tuple[str, bytes], timestamp: Any = beam.DoFn.TimestampParam
) -> tuple[str, list[str], str | None, float]:
    """A hydrated element, as it is written into a file."""
    key, hinted = element[0], decode_hinted(element[1])
    hint = None if hinted.hint is None else hinted.hint.decode()
    return key, [part.decode() for part in hinted.parts], hint, timestamp.micros / 1_000_000


def test_a_new_job_finds_the_users_of_an_old_one(tmp_path: Path, url: str, counting: type[Counting]) -> None:
    for turn in range(2):
        events = [track("Viewed", turn * HOUR, f"{turn} {number}", user=f"u{number}") for number in range(20)]
        counting.reads.clear()
        (tmp_path / str(turn)).mkdir()
        found = unbounded(tmp_path / str(turn), events, TEXTS, store=url)
        assert counting.reads == [20]
        assert found.adds_up(20)
    assert [set(user.members) for user in found.users.values()] == [{"often"}] * 20


def test_a_user_is_not_read_again_while_the_state_is_held(tmp_path: Path, counting: type[Counting]) -> None:
    events = [track("Viewed", minute, user="u1") for minute in range(20)]
    streamed(tmp_path, stream_of(*events), TEXTS)
    assert counting.reads == [1]


def test_a_failed_read_fails_the_bundle(tmp_path: Path, url: str, counting: type[Counting]) -> None:
    """Nobody becomes a new user because the store could not be asked."""
    unbounded(tmp_path, [track("Viewed", 0)], TEXTS, store=url)
    counting.blind = True
    with pytest.raises(Exception, match="refused for the test"):
        unbounded(tmp_path, [track("Viewed", HOUR)], TEXTS, store=url)
    counting.blind = False
    store = open_store(url)
    assert set(store.read_users(["u1"])) == {"u1"}
    assert len(store.read_events("u1")) == 1
    store.close()


@pytest.mark.parametrize("known", [False, True])
def test_a_bundle_that_wrote_its_rows_and_runs_again_decides_the_same(
    tmp_path: Path, url: str, counting: type[Counting], known: bool
) -> None:
    """Without the hint it would find its own input in the row, as a duplicate, and its send would be lost."""
    if known:
        streamed(tmp_path / "before", stream_of(track("Viewed", -HOUR)), TEXTS, store=url)
    once = streamed(tmp_path / "once", stream_of(track("Ordered", 0)), TEXTS, store=f"sqlite:{tmp_path / 'other.db'}")
    counting.refusals = 2
    found = streamed(tmp_path / "again", stream_of(track("Ordered", 0)), TEXTS, store=url)
    assert counting.refusals == 0
    assert found.send_ids == once.send_ids
    assert len(found.send_ids) == 1
    assert found.summary.by_label("accounts", "outcome") == {"applied": 1}
    assert found.users["u1"].version == 2 if known else 1


def test_a_user_who_comes_back_in_a_bundle_that_runs_again_gets_what_is_open(
    tmp_path: Path, counting: type[Counting]
) -> None:
    """This process has read the row lately, so there is no hint, and the row knows the input already."""

    def run(folder: str) -> Outcome:
        other = track("Viewed", 181 * DAY, user="marks the time")
        return streamed(
            tmp_path / folder, stream_of(track("Viewed", 0), 181 * DAY, other, track("Ordered", 182 * DAY)), TEXTS
        )

    expected = run("once")
    assert counting.reads == [1, 1, 1], "each at first sight, and u1 after the state was cleared"
    assert len(expected.send_ids) == 1
    counting.refusals = 2
    found = run("again")
    assert counting.refusals == 0
    assert found.send_ids == expected.send_ids
    assert found.users["u1"].members == expected.users["u1"].members
    assert found.summary.by_label("accounts", "outcome") == {"applied": 2, "duplicate": 1}


def test_idle_users_are_cleared_and_come_back_whole(tmp_path: Path, url: str, counting: type[Counting]) -> None:
    stream = stream_of(
        track("Viewed", 0, "a"),
        track("Viewed", 0, "held", user="held"),
        170 * DAY,
        track("Viewed", 170 * DAY, "still", user="held"),
        181 * DAY,
        track("Viewed", 181 * DAY, "again", user="held"),
        track("Viewed", 181 * DAY, "b"),
    )
    found = streamed(tmp_path, stream, TEXTS, store=url)
    assert counting.reads == [1, 1, 1], "u1 twice, and who was heard of in between once"
    assert set(found.users["u1"].members) == set(found.users["held"].members) == {"often"}
    assert found.adds_up(5)
    assert found.summary.by_label("accounts", "outcome") == {"applied": 5}


def test_idle_anonymous_ids_are_cleared_sooner(tmp_path: Path, counting: type[Counting]) -> None:
    def seen(day: int) -> Event:
        at = START + day * DAY
        return Event(f"{day}", "track", "Viewed", at, at, anonymous="a1")

    found = streamed(tmp_path, stream_of(seen(0), 29 * DAY, seen(29), 60 * DAY, seen(60)), TEXTS)
    assert counting.reads == [1, 1]
    assert set(found.users["~a1"].members) == {"often"}
    assert found.adds_up(3)


def test_an_owner_has_the_past_before_what_is_passed_on(tmp_path: Path, url: str) -> None:
    """A job died when the visitor was written and the owner was not; what came last comes first."""
    texts = texts_of(
        {
            "campaigns": {
                "welcome": {
                    "trigger": {"event": "Ordered"},
                    "steps": [{"send": "push"}],
                    "reenter": "never",
                    "consent": "offers",
                    "max_delay": "365d",
                }
            },
            "messages": {"push": {"channel": "push", "title": "Hello"}},
        }
    )
    ordered = [replace(track("Ordered", number * HOUR), user=None, anonymous="v1") for number in (0, 2)]
    named = Event("named", "identify", "", START + HOUR, START + HOUR, user="ada", anonymous="v1")
    for folder in ("first", "again"):
        (tmp_path / folder).mkdir()
    first = unbounded(tmp_path / "first", [ordered[0], named], texts, store=url)
    store = open_store(url)
    store.delete_user("ada", [], [], row=True)
    store.close()
    again = unbounded(tmp_path / "again", [ordered[1]], texts, store=url)
    assert again.users["ada"].merged == ("~v1",)
    assert {send.id for send in again.sends} <= {send.id for send in first.sends}  # open still
    assert {send.user for send in first.sends} == {"~v1"}
    assert again.refusals == {("welcome", "", "reentry"): 1}
