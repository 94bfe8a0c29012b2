"""`todoke run` with what cannot be: it ends before anything is sent, with a cause and the right exit code."""

import gzip
import json
import resource
import time
from pathlib import Path

import pytest

from todoke.run import write_report
from transforms.errors import RunFailed

FLAGS = {"--definitions": "definitions.yaml", "--events": "events.jsonl", "--store": "sqlite:new.db"}


@pytest.fixture
def run(todoke, tmp_path, finished):
    """Run with flags that would be right but for the given ones, in a folder of its own."""
    for name in ("definitions.yaml", "events.jsonl"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())

    def run(*more, **flags):
        given = FLAGS | {f"--{name.replace('_', '-')}": value for name, value in flags.items()}
        words = [word for name, value in given.items() if value is not None for word in (name, value)]
        return todoke("run", *words, *more)

    return run


WRONG_USE = [
    ({"events": "kafka:topic"}, '--events: unknown kind of source "kafka:"'),
    ({"events": " "}, "--events: a source is a path or pattern of files"),
    ({"events": "pubsub:nothing"}, "--events: expected pubsub:projects/PROJECT/subscriptions/NAME"),
    ({"events": "pubsub:projects/proj-x/subscriptions/events", "store": "none"}, "a live job needs a store"),
    ({"as_of": "2026-07-01T00:00:00"}, "--as-of: expected a time with a zone"),
    ({"as_of": "2026-07-01"}, "--as-of: expected a time with a zone"),
    ({"as_of": "tomorrow"}, "--as-of: expected a time with a zone"),
    ({"definitions": "nowhere.yaml"}, "todoke: nowhere.yaml: there is no such file or folder"),
    ({"definitions": None}, "the following arguments are required: --definitions"),
    ({"store": "users.db"}, '--store: expected sqlite:PATH or bigtable:PROJECT/INSTANCE; found "users.db"'),
    ({"runner": "FnApiRuner"}, "--runner: Unexpected pipeline runner: FnApiRuner"),
    ({"runner": "nowhere.Runner"}, "--runner: "),
    ({"push": "fcm"}, "--push: expected fcm:PROJECT"),
    ({"push": "fcm:shop-1@http://[::1"}, "--push: Invalid IPv6 URL"),
    ({"email": "imap://localhost"}, "--email: expected smtp"),
    ({"line": "lines"}, '--line: expected line or line@http://HOST:PORT; found "lines"'),
    ({"line": "line"}, "--line: set TODOKE_LINE_TOKEN"),
]


@pytest.mark.parametrize(("flags", "cause"), WRONG_USE, ids=[str(flags) for flags, _ in WRONG_USE])
def test_wrong_use_ends_with_two_before_anything_is_written(run, tmp_path, flags, cause):
    before = sorted(tmp_path.iterdir())
    done = run(**flags)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert cause in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_to_go_on_from(run):
    done = run("--continue", store="none")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--continue: a run without a store (--store none) has nothing to go on from" in done.stderr


def test_mistakes_in_definitions_are_all_shown(run, tmp_path):
    (tmp_path / "wrong.yaml").write_text("segments:\n  A: {owner: o, members: {event: A}}\n  b: {}\n", encoding="utf-8")
    done = run(definitions="wrong.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == ["2", "3", "3"]


@pytest.mark.parametrize("events", ["missing.jsonl", "missing-*.jsonl", "nowhere/*.jsonl", ".", "missing.parquet.gz"])
def test_events_that_are_not_there_are_wrong_use(run, tmp_path, events):
    done = run(events=events)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("todoke: --events: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "new.db").exists()


def test_events_that_are_cut_off_fail_the_run_by_name_and_nothing_is_applied(run, todoke, tmp_path, finished):
    whole = gzip.compress((finished / "events.jsonl").read_bytes())
    (tmp_path / "events.jsonl.gz").write_bytes(whole[:-8])
    done = run(events="events.jsonl.gz")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "todoke: the events cannot be read: events.jsonl.gz: is cut off: the gzip data ends too early; "
        "fetch or write it anew"
    ]
    assert todoke("members", "buyers", "--store", "sqlite:new.db").stdout == ""
    (tmp_path / "events.jsonl.gz").write_bytes(whole)
    assert run(events="events.jsonl.gz").returncode == 0


def test_a_store_that_holds_users_is_refused_without_continue(run, store, finished):
    before = (finished / "users.db").read_bytes()
    done = run(store=store)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the store holds users already: add --continue" in done.stderr
    assert (finished / "users.db").read_bytes() == before


@pytest.mark.parametrize(
    "typo", [("--outboxx", "elsewhere"), ("--outboxx=elsewhere",), ("--as_off=2026-07-01T00:00:00Z",), ("stray",)]
)
def test_a_flag_that_nobody_knows_is_not_passed_over(run, tmp_path, typo):
    """A mistyped --as-of or --push would change what is sent, and to whom."""
    before = sorted(tmp_path.iterdir())
    done = run(*typo)
    assert done.returncode == 2, done.stdout
    assert typo[0].split("=")[0] in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_typo_in_a_process_of_its_own(process, finished):
    done = process(
        "run", "--definitions", finished / "definitions.yaml", "--no-such-flag", "--events=x", "--store=none"
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "todoke: neither Todoke nor Beam knows --no-such-flag; `todoke run --help` lists the flags\n"
    )


@pytest.mark.parametrize("words", [("--debug", "members"), ("members", "--debug")])
def test_only_debug_shows_where_an_error_came_from(todoke, words):
    flags = ("buyers", "--store", "sqlite:nowhere.db")
    done = todoke(*words, *flags)
    assert done.stderr.startswith("todoke: there is no file nowhere.db\nTraceback ")
    plain = todoke("members", *flags)
    assert (plain.returncode, plain.stderr) == (done.returncode, "todoke: there is no file nowhere.db\n")


@pytest.mark.all_in_ci
def test_the_time_of_a_run_counts_from_the_start_of_the_process(process, finished, tmp_path):
    """Most of a short run is the import of Beam."""
    began = time.monotonic()
    done = process(
        *("run", "--definitions", finished / "definitions.yaml", "--events", finished / "events.jsonl"),
        *("--store", "none", "--report", "report.json"),
    )
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert took / 2 < json.loads((tmp_path / "report.json").read_text("utf-8"))["elapsed_s"] < took


def test_a_flag_is_written_out(run):
    """`--pu` is no `--push`: an abbreviation changes its meaning when a flag is added."""
    done = run("--outb", "elsewhere")
    assert done.returncode == 2, done.stdout


def test_what_the_finished_run_reported(finished):
    report = json.loads((finished / "report.json").read_text(encoding="utf-8"))
    assert report["read"] == report["applied"] + report["dead_letters"] == 11  # a blank line is not a message
    assert report["dead_letters"] == 1
    assert report["segments"] == {"buyers": 4, "nobody": 0, "recent": 2, "regulars": 1}


@pytest.mark.all_in_ci
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no file here that is always full")
@pytest.mark.parametrize("debug", [False, True])
def test_a_run_that_fails_says_so_first(process, finished, debug):
    given = (finished / "definitions.yaml", finished / "events.jsonl")
    flags = [f"--definitions={given[0]}", f"--events={given[1]}", "--store=none", "--dead-letters=/dev/full"]
    done = process("run", *flags, *(["--debug"] if debug else []))
    assert (done.returncode, done.stdout) == (1, "")
    assert ("Traceback" in done.stderr) is debug
    if not debug:
        assert done.stderr.startswith("todoke: the pipeline failed: OSError: [Errno 28] No space left on device")
        assert len(done.stderr.splitlines()) == 1


def test_a_report_that_cannot_be_written_whole_takes_the_place_of_none(tmp_path):
    place, limits = tmp_path / "report.json", resource.getrlimit(resource.RLIMIT_FSIZE)
    write_report(str(place), {"read": 1})
    before = place.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), limits[1]))
    try:
        with pytest.raises(RunFailed, match="the report cannot be written"):
            write_report(str(place), {"read": 2, "applied": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert place.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_a_report_that_cannot_be_written_is_named(run):
    result = run(report="/dev/full")
    assert result.returncode == 1
    assert result.stderr == (
        "todoke: the report cannot be written: /dev/full: No space left on device; all else is done\n"
    )
