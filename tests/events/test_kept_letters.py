"""Dead letters in the store: whose they are, what is kept of them, and that each is kept once before it is written."""

import json
from functools import partial
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from hypothesis import given
from hypothesis import strategies as st

from transforms.events.dead_letter import DeadLetter
from transforms.events.decode import Cause, Refused, decode
from transforms.events.kept.pruning import keep_pruned, prune
from transforms.events.kept.rows import BEGINNING, WHOLE, kept, named_user
from transforms.events.kept.transforms import KeepDeadLetters
from transforms.events.transforms import WriteDeadLetters
from transforms.storage.open import open_reader, open_store
from transforms.storage.pages import every
from transforms.storage.rows import DeadLetterRow
from transforms.storage.store import StoreError

NOW = 1_772_000_000_000_000
DAY = 24 * 3_600_000_000


def letter(payload: bytes = b'{"type":"track","userId":"ada"}', time: int = NOW, **changes: str) -> DeadLetter:
    return DeadLetter(payload, **{"source": "pubsub:p/s", "cause": Cause.NO_EVENT, "detail": "d", **changes}, time=time)


NAMED = {
    b'{"userId": "ada", "anonymousId": "a1"}': "ada",
    b'\xef\xbb\xbf{"userId": "ada"}': "ada",
    b'{"anonymousId": "a1", "userId": null}': "~a1",
    b'{"userId": 17}': "17",
    b'{"userId": true, "anonymousId": 1.5}': "",
    b'{"userId": ["ada"]}': "",
    b'{"userId": ""}': "",
    b'{"user": "ada", "anonymous": "a1", "type": "track"}': "ada",
    b'{"user": null, "anonymous": "a1"}': "~a1",
    b'{"type": "inputs", "userId": "~a1", "data": "x"}': "~a1",
    b'{"userId": "\\u0061d\\"a"}': 'ad"a',
    '{"userId": "届け"}'.encode(): "届け",
    b'{"properties": {"userId": "other"}, "userId": "ada"}': "ada",
    b'{"userId": "ada", "properties": {"a": NaN}}': "ada",
    b'{"userId":"ada","properties":{"a": "cut of': "ada",
    b'{"type":"track","anonymousId"  :\n"a1","x":\xff}': "~a1",
    b'{"userId": "a\\"da", ': 'a"da',
    b'{"type":"track","userId":"Jos\xe9","event":"Go"}': "",
    b'{"userId":"Jos\xe9","anonymousId":"a1"}': "~a1",
    b'{"userId": "\\u00"': "",
    b'{"userId": "\\ud800"}': "",
    b'{"userId": ' + b"[" * 100_000: "",
    b'{"userId": "ada", "a":' + b"[" * 100_000: "ada",
    b'{"userId": "' + b"x" * 256 + b'"}': "x" * 256,
    b'{"userId": "' + b"x" * 257 + b'"}': "",
    b'{"userId": ' + b"9" * 4_000 + b"}": "",
    b'"userId"': "",
    b"": "",
    b"\0\xff": "",
    b'[{"userId": "ada"}]': "ada",
    b'{"type": "alias", "userId": "", "previousId": "ada"}': "ada",
    b'{"type": "alias", "userId": "bob", "previousId": "ada"}': "bob",
    b'{"type": "alias", "user": null, "previous": "ada"}': "ada",
    b'{"type": "alias", "previousId": "ada", ': "ada",
    b'{"batch": [{"userId": "ada"}]}': "ada",
    b'{"properties": {"userId": "other"}, "userId": "ada", ': "ada",
    b'{"properties": {"a": [{"userId": "other"}], "userId": "ada"': "ada",
    b'"{\\"userId\\": \\"ada\\"}"': "ada",
    b'{"data": "{\\"userId\\": \\"ada\\"}"}': "",
    b'{"userId": "ada", "x": "' + b"x" * 2_000_000 + b'"}': "ada",
    b'{"x": "' + b"x" * 2_000_000 + b'", "userId": "ada"}': "ada",
    b'{"x": "' + b"x" * 2_000_000 + b'", "userId": "ada"': "ada",
    b'{"userId": 1.5': "",
    b'{"user\\u0049d": "ada", ': "ada",
    b'{"\\u0061nonymou\\u0073\\u0049\\u0064": "a1", "previous\\u0049d": "bob", ': "~a1",
    b'{"previous\\u0049d": "ada", ': "ada",
    b'{"a": {"user\\u0049d": "other"}, "userId": "ada", ': "ada",
    b'{"a": {"userId": "other"}, "user\\u0049d": "ada", ': "ada",
    b'{"a\\u004a\\u006A": 1, "anon\\u0079mousId": "a1", ': "~a1",
    b'{"user\\\\u0049d": "ada", ': "",
    b'{"user\\u0069d": "ada", ': "",
    b'{"a\\u0049": [' + b'{"userId": "other"}, ' * 1_000 + b'], "userId": "ada", ': "other",
    b'{"a": {"userId": null, "anonymousId": "a1"}, ': "~a1",
    b'{"a": {"anonymousId": "a1"}, "b": {"c": {"userId": "ada"}}, ': "ada",
    b'{"x": [' + b'{"userId": "other"}, ' * 999 + b'], "userId": "ada", ': "ada",
    b'{"x": [' + b'{"userId": "other"}, ' * 1_000 + b'], "userId": "ada", ': "other",
    b'{"x": [' + b'"userId": null, ' * 1_000 + b'"userId": "ada", ': "",
    b'{"x": "' + b"x" * 10_000_000 + b'", "userId": "ada", ': "",
}


@pytest.mark.parametrize("payload", NAMED, ids=lambda payload: repr(payload[:40]))
def test_whom_a_message_names(payload: bytes) -> None:
    assert named_user(payload) == NAMED[payload]


JSON = st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode)


@given(st.binary() | st.text().map(str.encode) | JSON)
def test_any_payload_is_a_row(payload: bytes) -> None:
    row = kept(letter(payload), NOW + 5)
    assert (row.payload, row.size, row.time, row.arrived) == (payload, len(payload), NOW + 5, NOW)
    assert kept(letter(payload, NOW + 1), NOW + 9).id == row.id
    assert kept(letter(payload + b" "), NOW + 5).id != row.id


def test_the_parts_of_a_name_do_not_run_into_each_other() -> None:
    said = [(b"a", "bc", "d"), (b"a", "b", "cd"), (b"da", "bc", "")]
    letters = [letter(payload, source=source, cause=cause) for payload, source, cause in said]
    assert len({kept(each, NOW).id for each in letters}) == 3


def test_the_same_refusal_is_one_letter_wherever_the_message_came_from() -> None:
    outside = [letter(b"a", source=source) for source in ("pubsub:p/s", "again.jsonl", "")]
    inside = [letter(b"a", source=source) for source in ("advance", "control")]
    assert len({kept(each, NOW).id for each in outside}) == 1
    assert len({kept(each, NOW).id for each in [*outside, *inside]}) == 3


def test_a_file_whose_name_is_no_text_and_a_long_traceback() -> None:
    row = kept(letter(source="/tmp/\udcff.jsonl", detail="\ud800" + "x" * 10_000 + "the end"), NOW)
    assert row.source == "/tmp/?.jsonl"
    assert len(row.detail) == 8_000
    assert row.detail.endswith("the end")


def test_what_could_be_an_event_is_kept_whole_and_of_what_is_larger_the_beginning() -> None:
    whole, larger = b"x" * WHOLE, b'{"userId": "ada", "x": "' + b"x" * WHOLE
    assert kept(letter(whole), NOW).payload == whole
    row = kept(letter(larger), NOW)
    assert (row.payload, row.size, row.user) == (larger[:BEGINNING], len(larger), "ada")
    with pytest.raises(Refused, match="too_large"):
        decode(b'{"type":"identify","userId":"ada","traits":{"x":"' + b"x" * WHOLE + b'"}}', NOW)


def run(letters: list[DeadLetter], sink: str, url: str | None, kept_for: int = DAY, clock: int = NOW) -> None:
    options = PipelineOptions(["--runner=FnApiRunner"], save_main_session=False)
    with beam.Pipeline(options=options) as pipeline:
        created = pipeline | "Create" >> beam.Create(letters)
        if url is not None and clock != NOW:
            created |= "Keep" >> KeepDeadLetters(url, kept_for, lambda: clock)
            url = None
        _ = created | "WriteDeadLetters" >> WriteDeadLetters(sink, store=url, kept_for=kept_for)


def rows(url: str) -> list[DeadLetterRow]:
    reader = open_reader(url)
    found = list(every(partial(reader.page_dead_letters, 1_000)))
    reader.close()
    return found


def test_letters_are_kept_once_and_written_as_before(url: str, tmp_path: Path) -> None:
    """Those of history too, and of a run that is repeated: they are kept from when they were refused first."""
    letters = [letter(b"%d" % number, number) for number in range(700)]
    for times in (1, 2):
        run(letters, str(tmp_path / "letters.jsonl"), url)
        found = rows(url)
        assert sorted(row.id for row in found) == sorted(kept(each, 0).id for each in letters)
        assert {row.arrived for row in found} == set(range(700))
        assert len((tmp_path / "letters.jsonl").read_text().splitlines()) == 700 * times


def test_what_is_older_than_it_is_kept_for_goes(url: str, tmp_path: Path) -> None:
    sink = str(tmp_path / "letters.jsonl")
    run([letter(b"1")], sink, url, clock=NOW + 1)
    run([letter(b"2")], sink, url, clock=NOW + DAY)
    assert [row.payload for row in rows(url)] == [b"2", b"1"]
    run([letter(b"3")], sink, url, clock=NOW + DAY + 2)
    assert [row.payload for row in rows(url)] == [b"3", b"2"]


def test_a_job_that_runs_for_months_keeps_none_for_longer(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'store.db'}"
    step = KeepDeadLetters(url, 3 * DAY, lambda: now)._step
    now = NOW
    step.setup()
    for day in range(10):
        now = NOW + day * DAY
        step.start_bundle()
        list(step.process(letter(b"%d" % day)))
        step.finish_bundle()
    assert [row.payload for row in rows(url)] == [b"9", b"8", b"7", b"6"]


def test_a_live_job_to_which_no_letter_comes_keeps_none_for_longer(url: str) -> None:
    store = open_store(url)
    store.write_dead_letters([kept(letter(b"%d" % day), NOW + day * DAY) for day in range(4)])
    hours = iter(range(1_000))
    left: list[int] = []

    def clock() -> int:
        return NOW + 3 * DAY + next(hours) * DAY // 24

    def sleep(_: float) -> None:
        left.append(len(rows(url)))

    keep_pruned(store, 3 * DAY, lambda: len(left) == 30, clock=clock, sleep=sleep)
    assert (left[0], left[-1]) == (3, 2), "what was three days old at once, and the next when it was"
    assert prune(store, NOW + 40 * DAY) == 2
    store.close()


def test_a_live_job_that_keeps_none_leaves_those_of_others_and_a_prune_that_keeps_none_does_not(url: str) -> None:
    store = open_store(url)
    store.write_dead_letters([kept(letter(b"%d" % day), NOW + day * DAY) for day in range(40)])
    answers = iter([False, True])
    keep_pruned(store, 0, lambda: next(answers), clock=lambda: NOW + 40 * DAY, sleep=lambda _: None)
    assert len(rows(url)) == 30
    assert prune(store, NOW + 40 * DAY, 0) == 30
    store.close()


def test_a_store_that_refuses_to_prune_ends_no_live_job_and_is_asked_again_an_hour_later(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    real = open_store(url)
    real.write_dead_letters([kept(letter(), NOW)])
    asked: list[int] = []

    class Refusing:
        def prune_dead_letters(self, since: int, *most: int) -> int:
            asked.append(since)
            if len(asked) == 1:
                raise StoreError("the store is away")
            return real.prune_dead_letters(since, *most)

    minutes = iter(range(0, 1_000, 10))
    answers = iter([*[False] * 8, True])
    keep_pruned(
        Refusing(),  # type: ignore[arg-type]
        DAY,
        lambda: next(answers),
        clock=lambda: NOW + 2 * DAY + next(minutes) * 60_000_000,
        sleep=lambda _: None,
    )
    assert len(asked) == 2
    assert asked[1] - asked[0] == DAY // 24
    assert "the store is away" in caplog.text
    assert rows(url) == []
    real.close()


def test_large_letters_are_not_held_in_memory_and_stay_within_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:{tmp_path / 'store.db'}"
    monkeypatch.setattr("transforms.events.kept.pruning.MOST_BYTES", 60_000_000)
    step = KeepDeadLetters(url, clock=lambda: NOW)._step
    step.setup()
    step.start_bundle()
    for number in range(130):
        list(step.process(letter(b"%d" % number + b"x" * 999_000)))
        assert len(step._rows) < 9
    step.finish_bundle()
    assert len(rows(url)) < 120


def test_without_a_store_or_with_nothing_to_keep_they_are_only_written(tmp_path: Path) -> None:
    sink = tmp_path / "letters.jsonl"
    run([letter()], str(sink), None)
    run([letter()], str(sink), f"sqlite:{tmp_path / 'store.db'}", kept_for=0)
    assert len(sink.read_text().splitlines()) == 2
    assert not (tmp_path / "store.db").exists()
