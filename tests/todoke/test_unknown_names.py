"""Names that nothing has are told from names of which there is nothing, and what may be meant is said."""

import re
from pathlib import Path

import pytest
from commands import Todoke

from transforms.storage.open import open_store
from transforms.storage.rows import LedgerRow, MetricRow
from transforms.storage.series import series_of
from transforms.views.reasons import CAUSES, REASONS

NOW = 1_772_000_000_000_000
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "reasons.md"


@pytest.fixture
def live(url: str) -> str:
    """A store as a live job leaves it: no run over files has ended there."""
    store = open_store(url)
    store.write_metrics([MetricRow(series_of("entered", [("segment", "buyers")]), NOW, 1)])
    send = LedgerRow("ann", "s1", "suppressed", "greet", "one", "push", NOW, NOW, detail="pager_is_off: since May")
    store.record([send])
    store.close()
    return url


def test_the_words_are_those_of_the_page() -> None:
    """`claim lapsed` stands in the runbook of sweeps."""
    sent, letters = PAGE.read_text(encoding="utf-8").split("## Dead letters")
    row = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
    assert set(row.findall(sent)) == set(REASONS) - {"claim lapsed"}
    assert set(row.findall(letters)) == set(CAUSES)
    assert len(set(REASONS)) == len(REASONS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sends --state handedoff", "--state: there is no state `handedoff`; did you mean `handed_off`?\n"),
        ("dead-letters --cause not_jsn", "--cause: there is no cause `not_jsn`; did you mean `not_json`?\n"),
        ("dead-letters --cause xyz", "; expected one of too_large, not_utf8, "),
        ("replay --to again.jsonl --cause hotid", "--cause: there is no cause `hotid`; did you mean `hot_id`?\n"),
    ],
)
def test_a_word_of_which_all_are_known(todoke: Todoke, store: str, tmp_path: Path, words: str, said: str) -> None:
    done = todoke(*words.split(), "--store", store)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (tmp_path / "again.jsonl").exists()


def test_a_reason_of_a_packages_channel_is_found(todoke: Todoke, live: str) -> None:
    done = todoke("sends", "--reason", "pager_is_off", "--store", live)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ann" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "sends --campaign gret",
            'todoke: the store has neither sends nor refusals of a campaign "gret"; did you mean `greet`?\n',
        ),
        ("sends --campaign other --json", 'of a campaign "other"; it has greet\n'),
        ("sends --campaign greet --reason capped", ""),
        ("sends --reason pager_is_off --since 2031-01-01T00:00:00Z", ""),
        ("sends --reason pager_is_off --campaign greet --state failed", ""),
        ("sends --reason pager_is_off --campaign other", 'of a campaign "other"; it has greet\n'),
        (
            "sends --reason no_consnt",
            'todoke: the store has neither sends nor refusals for a reason "no_consnt"; did you mean `no_consent`?\n',
        ),
        ("sends --reason CAPPED", "; did you mean `capped`?\n"),
        (
            "flow buyer",
            'todoke: the store knows of nobody who came to or left a segment "buyer"; did you mean `buyers`?\n',
        ),
        ("flow other --json", 'a segment "other"; it has buyers\n'),
        ("members buyer", 'a segment "buyer"; did you mean `buyers`?\n'),
        ("members buyers", ""),
        ("dead-letters --cause not_json", ""),
    ],
)
def test_a_name_that_may_still_come_is_said_to_be_unknown(todoke: Todoke, live: str, words: str, said: str) -> None:
    done = todoke(*words.split(), "--store", live)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith(said) if said else done.stderr == ""


def test_of_an_unknown_reason_the_known_ones_are_listed(todoke: Todoke, live: str) -> None:
    done = todoke("sends", "--reason", "xyz", "--store", live)
    assert (done.returncode, done.stdout) == (0, "")
    assert 'for a reason "xyz"; reasons are audience, auth, ' in done.stderr


def test_a_run_over_files_knew_all_members(todoke: Todoke, store: str) -> None:
    done = todoke("members", "buyer", "--store", store)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "todoke: the last run knew no segment `buyer`; did you mean `buyers`?\n"
    assert todoke("members", "nobody", "--store", store).returncode == 0


def test_a_segment_that_is_newer_than_the_last_run_is_no_mistake(todoke: Todoke, store: str) -> None:
    done = todoke("flow", "buyer", "--store", store)
    assert (done.returncode, done.stdout) == (0, "")
    said = 'the store knows of nobody who came to or left a segment "buyer"'
    assert done.stderr == f"todoke: {said}; did you mean `buyers`?\n"
    assert todoke("flow", "nobody", "--store", store).returncode == 0


@pytest.mark.parametrize(
    "words", ["user", "inbox", "explain SEGMENT --definitions DEFINITIONS"], ids=lambda words: words.split()[0]
)
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("device-2", 'the store knows no user "device-2", but an anonymous id of that name: ask for "~device-2"'),
        ("~bob", 'the store knows no user "~bob", but a user id of that name: ask for "bob"'),
        ("zoe", 'the store knows no user "zoe"'),
        ("~", 'the store knows no user "~"'),
    ],
)
def test_an_unknown_user_is_said_in_the_same_words(
    todoke: Todoke, finished: Path, words: str, asked: str, said: str
) -> None:
    command, *rest = words.split()
    places = {"SEGMENT": "buyers", "DEFINITIONS": finished / "definitions.yaml"}
    done = todoke(
        command, asked, *(places.get(word, word) for word in rest), "--store", f"sqlite:{finished / 'users.db'}"
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"todoke: {said}\n"


@pytest.mark.parametrize(
    "words",
    [
        "sends --store STORE --limit N",
        "dead-letters --store STORE --limit N",
        "wake --store STORE --rate N",
        "replay --store STORE --to again.jsonl --rate N",
        "preview greet --definitions DEFINITIONS --events EVENTS --weeks N",
        "preview greet --definitions DEFINITIONS --events EVENTS --sample N",
        "demo --customers N",
    ],
)
@pytest.mark.parametrize("number", ["-1", f"{10**20}", "many"])
def test_a_number_that_cannot_be_is_wrong_use(
    todoke: Todoke, store: str, finished: Path, words: str, number: str
) -> None:
    places = {"STORE": store, "DEFINITIONS": finished / "definitions.yaml", "EVENTS": finished / "events.jsonl"}
    done = todoke(*(places.get(word, word) for word in words.replace(" N", f" {number}").split()))
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--no-seed", "--no-seed"),
        ("--restarts 3 --no-seed", "--no-seed, --restarts"),
        (
            "--control pubsub:projects/shop-x/subscriptions/way --control-topic pubsub:projects/shop-x/topics/way",
            "--control, --control-topic",
        ),
    ],
)
def test_a_run_over_files_takes_no_flag_of_live_jobs(todoke: Todoke, finished: Path, flags: str, named: str) -> None:
    files = ("--definitions", finished / "definitions.yaml", "--events", finished / "events.jsonl")
    done = todoke("run", *files, "--store", "none", *flags.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"todoke: {named}: only for live jobs, and --events names files\n"


@pytest.mark.parametrize(
    "words",
    [
        "run --events EVENTS --store none --restarts -1",
        "backfill --write seeds --store STORE --rate 0",
        "backfill --write seeds --store STORE --rate nan",
        "backfill --write seeds --store STORE --rate inf",
    ],
)
def test_a_number_of_a_job_that_cannot_be_is_wrong_use(todoke: Todoke, store: str, finished: Path, words: str) -> None:
    places = {"STORE": store, "EVENTS": finished / "events.jsonl"}
    flags = ("--definitions", finished / "definitions.yaml")
    done = todoke(*(places.get(word, word) for word in words.split()), *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"todoke: {words.split()[-2]}: expected " in done.stderr
