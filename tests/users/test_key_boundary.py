"""One boundary around a key: what one user's inputs, state or conditions raise ends with that user, and is told."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from core import HOUR, START, compile_plain, decode_all, texts_of
from generators import histories
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shells import AS_OF, append, kept_tallies, lines, track
from shop import SHOP
from strength import examples

from transforms.campaigns.effects import Send
from transforms.campaigns.load import Definitions
from transforms.campaigns.release import OlderDefinitions
from transforms.events.dead_letter import DeadLetter
from transforms.events.event import Event
from transforms.metrics.report import Summary, report_json
from transforms.segments import leaves
from transforms.segments.conditions import Count
from transforms.segments.evidence import Kind
from transforms.storage.open import open_store
from transforms.storage.rows import UserRow
from transforms.storage.store import StoreError
from transforms.users.control import decode_control
from transforms.users.effects import Forward
from transforms.users.inputs.transforms import Keyed, KeyInputs, NewestArrival, RefusedLetters
from transforms.users.live.shard import encode_parts, shard_of
from transforms.users.live.transforms import AdvanceLive
from transforms.users.seen import Seen
from transforms.users.tally import Tally
from transforms.users.transforms import AdvanceBounded, AdvanceUnbounded
from transforms.users.user import ANONYMOUS, Input, Merge, Seed, User, Wake, by_arrival, decode_user, encode_user, route
from transforms.users.write_batch import WriteBatch

Plain = dict[str, Any]


class Poisoned(Exception):
    pass


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of whatever is called `Fragile` fail at time; counts of every event fail by one with `poison` in it."""
    sound = leaves._KINDS[Count]

    def compile_count(condition: Any) -> Kind:
        kind = sound(condition)

        def add(evidence: Any, stamp: Any, tag: int, properties: Plain) -> Any:
            if "poison" in properties:
                raise Poisoned
            return kind.add(evidence, stamp, tag, properties)

        def evaluate(evidence: Any, now: int, zone: str) -> Any:
            truth, deadline = kind.evaluate(evidence, now, zone)
            if evidence and not truth and condition.events.name == "Fragile":
                raise Poisoned
            return truth, deadline

        return Kind(add, kind.join, evaluate)

    monkeypatch.setitem(leaves._KINDS, Count, compile_count)


class Run(msgspec.Struct):
    """What became of inputs without Beam, as both shells have it."""

    users: dict[str, Plain]
    sends: list[str]
    letters: list[DeadLetter]
    summary: Summary

    @property
    def causes(self) -> Counter[str]:
        return Counter(letter.cause for letter in self.letters)


def run(definitions: Definitions, inputs: Iterable[tuple[str, Input]], as_of: int) -> Run:
    """One bundle of anonymous ids, and one of users; nothing is stored."""
    waiting: dict[str, list[Input]] = {}
    for key, item in inputs:
        waiting.setdefault(key, []).append(item)
    users, results = {}, []
    for anonymous in (True, False):
        batch = WriteBatch(definitions, None)
        for key in [key for key in waiting if key.startswith(ANONYMOUS) is anonymous]:
            user, _ = batch.apply(User(key), [*sorted(waiting[key], key=by_arrival), Wake(as_of)])
            batch.count_final(user)
            users[key] = user
        results += list(batch.flush())
        for forward in [result for result in results if isinstance(result, Forward)]:
            waiting.setdefault(forward.user, []).append(forward.input)
    kept = {
        key: msgspec.structs.asdict(user) | {"version": 0, "packed_members": user.members, "rate_window": 0}
        for key, user in users.items()
    }
    letters = [result for result in results if isinstance(result, DeadLetter)]
    tallies = [result for result in results if isinstance(result, tuple)]
    sends = sorted(result.id for result in results if isinstance(result, Send))
    return Run(kept, sends, letters, Summary.of(as_of, tallies))


def bad(event: Event, number: int, events: list[Event]) -> Event:
    """An event that raises where its user counts it. It identifies no one sooner than the others do: that counts."""
    properties = {**event.properties, "poison": True}
    made = msgspec.structs.replace(event, id=f"bad {number}", type="track", name="Viewed", properties=properties)
    if event.user is None or any(
        each.user is not None and each.anonymous == event.anonymous and by_arrival(each) < by_arrival(made)
        for each in events
    ):
        return made
    return msgspec.structs.replace(made, anonymous=None)


@settings(
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(histories(), st.data())
def test_what_raises_takes_nothing_else_with_it(poison: None, history: list[Plain], data: st.DataObject) -> None:
    definitions = compile_plain(SHOP)
    events = decode_all(history)
    like = data.draw(st.lists(st.sampled_from([each for each in events if each.type != "alias"] or events), max_size=3))
    hostile = [bad(event, number, events) for number, event in enumerate(like) if event.type != "alias"]
    alone = run(definitions, [(route(event), event) for event in events], AS_OF)
    among = run(definitions, [(route(event), event) for event in [*events, *hostile]], AS_OF)
    known = {key: user for key, user in among.users.items() if key in alone.users}
    assert known == alone.users
    assert all(user["created"] is None for key, user in among.users.items() if key not in alone.users)
    assert among.sends == alone.sends
    assert among.causes == Counter({"internal": len(hostile)} if hostile else {})
    ends = [found.summary.by_label("accounts", "outcome") for found in (alone, among)]
    assert ends[1] == ends[0] | ({"dead_letter": len(hostile)} if hostile else {})


def test_a_dead_letter_says_what_was_raised(poison: None) -> None:
    found = run(compile_plain(SHOP), [("u1", track("Viewed", 0, "v", properties={"poison": 1}))], AS_OF)
    (letter,) = found.letters
    assert (letter.cause, letter.source) == ("internal", "advance")
    assert "Poisoned" in letter.detail
    assert "Traceback" in letter.detail
    assert json.loads(letter.payload)["properties"] == {"poison": 1}
    assert found.summary.by_label("internal", "kind") == {"track": 1}


FRAGILE = {
    "segments": {
        "fragile": {"members": {"event": "Fragile", "within": "1h"}},
        "sound": {"members": {"event": "Sound", "within": "2h"}},
        "lost": {"members": {"not": {"event": "Sound", "within": "3h"}}},
    },
    "campaigns": {
        "wait": {
            "trigger": {"event": "Sound"},
            "steps": [{"wait": "1h"}, {"send": "push"}],
            "reenter": "never",
            "consent": "offers",
        }
    },
    "messages": {"push": {"channel": "push", "title": "Hello"}},
}


def test_of_time_that_raises_only_the_leaf_is_dropped(poison: None) -> None:
    events = [track("Fragile", 0), track("Sound", 0, "s")]
    found, sound = (
        run(compile_plain(FRAGILE), [("u1", each) for each in some], AS_OF) for some in (events, events[1:])
    )
    assert found.letters == []
    assert found.summary.by_label("internal", "kind") == {"leaf": 1}
    assert found.sends == sound.sends != []
    assert found.users["u1"]["packed_members"] == sound.users["u1"]["packed_members"] == {"lost": START + 3 * HOUR}
    assert found.summary.by_labels("left", "segment", "via")["fragile"] == {"truncated": 1}
    assert found.summary.by_label("accounts", "outcome") == {"applied": 2}


def test_of_time_that_raises_only_the_wait_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    from transforms.campaigns.sending import Sending

    def decide(*_: Any) -> None:
        raise Poisoned

    monkeypatch.setattr(Sending, "decide", decide)
    found = run(compile_plain(FRAGILE), [("u1", track("Sound", 0, "s"))], AS_OF)
    assert (found.letters, found.sends) == ([], [])
    assert found.summary.by_label("internal", "kind") == {"wait": 1}
    assert found.summary.by_label("suppressed", "reason") == {"internal": 1}
    assert found.users["u1"]["packed_members"] == {"lost": START + 3 * HOUR}


def test_a_merge_and_a_seed_are_set_aside_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from transforms.users.editor import UserEditor

    def join(*_: Any) -> None:
        raise Poisoned

    monkeypatch.setattr(UserEditor, "join", join)
    monkeypatch.setattr("transforms.users.advance.check_release", join)
    merge = Merge(START, User("u2", clock=START, created=START), control=True)
    seed = Seed("s", "u1", START + 1, 0)
    found = run(compile_plain(FRAGILE), [("u1", merge), ("u1", track("Sound", HOUR, "s")), ("u1", seed)], AS_OF)
    assert found.causes == {"internal": 2}
    assert found.summary.by_label("internal", "kind") == {"merge": 1, "seed": 1}
    assert found.summary.by_labels("control", "outcome", "cause") == {"dead_letter": {"internal": 2}}
    assert found.summary.by_label("accounts", "outcome") == {"applied": 1}
    back = [decode_control(letter.payload, None) for letter in found.letters]
    assert back == [("u1", [merge]), ("u1", [seed])]


@pytest.mark.parametrize("error", [StoreError("away"), OlderDefinitions(2, 1), MemoryError(), OSError()])
def test_what_is_no_fault_of_a_user_fails_the_bundle(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def add(*_: Any) -> None:
        raise error

    monkeypatch.setattr(leaves.EventLeaf, "add", add)
    with pytest.raises(type(error)):
        run(compile_plain(FRAGILE), [("u1", track("Sound", 0, "s"))], AS_OF)


def test_the_largest_numbers_are_numbers() -> None:
    goal = {"event": "Sound", "value": "revenue", "within": "3d"}
    campaign = {**FRAGILE["campaigns"]["wait"], "goals": {"ordered": goal}}
    definitions = compile_plain({**FRAGILE, "campaigns": {"wait": campaign}})
    values = [5, 1.8e302, 1.7e308, 1.7e308, 2**64 - 1, -1.5, True, "1", None]
    worth = [track("Sound", hour * HOUR, properties={"revenue": value}) for hour, value in enumerate(values)]
    found = run(definitions, [("u1", each) for each in worth], AS_OF)
    assert found.letters == []
    exact = (int(1.8e302) + 2 * int(1.7e308) + 2**64) * 10**6 - 1_500_000
    assert found.summary.by_label("value", "campaign") == {"wait": exact}, "but for what triggered it"
    (goals,) = report_json(found.summary, definitions, 0)["goals"]
    assert (goals["conversions"], goals["value"]) == (1, exact // 10**6), "which no float can hold"


class Written(msgspec.Struct):
    """What a shell left of a job."""

    users: dict[str, bytes]
    letters: list[tuple[str, str]]
    summary: Summary


def by_shard(keyed: Keyed) -> Keyed:
    return shard_of(keyed[0]), encode_parts([keyed])


def through_a_shell(shell: str, folder: Path, events: list[Event], url: str) -> Written:
    """Events through a shell on a store, as the job has it."""
    texts = texts_of(SHOP | {"policies": {"default_zone": "Asia/Tokyo"}})  # not compiled before there was poison
    folder.mkdir()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        keyed = pipeline | beam.Create(events, reshuffle=False) | "KeyInputs" >> KeyInputs()
        users: Any = keyed.users
        if shell == "bounded":
            as_of = beam.pvalue.AsSingleton(keyed.arrivals | NewestArrival(0, AS_OF))
            advance: Any = AdvanceBounded(texts, as_of, url, continued=True)
        elif shell == "unbounded":
            advance = AdvanceUnbounded(texts, url)
        else:
            users, advance = users | "ByShard" >> beam.Map(by_shard), AdvanceLive(texts, url)
        advanced = users | "Advance" >> advance
        letters = advanced.refused | "RefusedLetters" >> RefusedLetters()
        _ = (
            letters
            | beam.Map(lambda letter: (letter.cause, letter.payload.decode()))
            | beam.Map(append, str(folder / "letters"))
        )
        tallies = (keyed.tallies, advanced.tallies) | "Tallies" >> beam.Flatten()
        _ = tallies | "WriteTallies" >> beam.Map(append, str(folder / "tallies"))
    store = open_store(url)
    users = {row.user: row.state for row in store.scan_users()}
    counts = [*lines(folder / "tallies", Tally), *kept_tallies(store)]
    store.close()
    return Written(users, lines(folder / "letters", tuple[str, str]), Summary.of(AS_OF, counts))


@pytest.mark.parametrize("shell", ["bounded", "unbounded", "live"])
def test_every_shell_has_the_boundary(poison: None, tmp_path: Path, shell: str) -> None:
    """One user's state is garbage, another's event raises: both are told, and the others are as ever."""
    url = f"sqlite:{tmp_path / 'store.db'}"
    store = open_store(url)
    garbage = [UserRow("torn", 5, b"\xc1 garbage", b"{}"), UserRow("empty", 5, b"", b"{}")]
    garbage += [UserRow("swapped", 5, encode_user(User("another")), b"{}")]
    store.write_users(garbage)
    store.close()
    hostile = track("Viewed", 1, "hostile", user="u1", properties={"poison": True})
    names = ["u1", "u2", *(row.user for row in garbage)]
    events = [track("Viewed", hour * HOUR, f"{name} {hour}", user=name) for name in names for hour in range(3)]
    found = through_a_shell(shell, tmp_path / "run", [*events, hostile], url)
    assert Counter(cause for cause, _ in found.letters) == {"internal": 1, "bad_state": 9}
    ended = found.summary.by_labels("accounts", "outcome", "cause")
    assert ended == {"applied": {"": 6}, "dead_letter": {"internal": 1, "bad_state": 9}}
    assert found.summary.total("read") == 16
    assert {row.user: row.state for row in garbage}.items() <= found.users.items(), "it may still be mended"
    for name in ("u1", "u2"):
        assert set(decode_user(found.users[name]).members) == set(decode_user(found.users["u2"]).members)
        assert len([*Seen(decode_user(found.users[name]).seen).items()]) == 3
