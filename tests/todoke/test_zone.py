"""`--zone`: the same instants, told by UTC, by a zone, or by that of the user; and how numbers of things are said."""

import json
import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todoke.clock import Clock
from transforms.events.plain import counted
from transforms.events.times import FIRST_TIME, LAST_TIME, read_time, write_time


def moments(value):
    """Every time in JSON, as text."""
    if isinstance(value, dict):
        return [found for each in value.values() for found in moments(each)]
    if isinstance(value, list):
        return [found for each in value for found in moments(each)]
    if not isinstance(value, str) or "T" not in value:
        return []
    try:
        read_time(value)
    except ValueError:
        return []
    return [value]


@pytest.fixture
def asked(todoke, store, finished):
    """What each command that tells times prints as JSON."""
    definitions = ("--definitions", finished / "definitions.yaml")

    def asked(command, *flags):
        words = {
            "user": ("user", "ann", "--store", store),
            "explain": ("explain", "ann", "buyers", "--store", store, *definitions),
            "members": ("members", "buyers", "--store", store),
            "preview": ("preview", "buyers", *definitions, "--events", finished / "events.jsonl"),
            "campaign": ("preview", "greet", *definitions, "--events", finished / "events.jsonl"),
        }[command]
        done = todoke(*words, *flags)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return asked


@pytest.mark.parametrize("command", ["user", "explain", "members", "preview", "campaign"])
def test_the_instants_are_the_same_by_every_zone(asked, command):
    utc, tokyo = ([json.loads(line) for line in asked(command, "--json", *zone).splitlines()] for zone in ZONES)
    assert moments(utc)
    assert all(moment.endswith("Z") for moment in moments(utc))
    assert all(moment.endswith("+09:00") for moment in moments(tokyo))
    assert [read_time(moment) for moment in moments(tokyo)] == [read_time(moment) for moment in moments(utc)]
    assert asked(command, "--json", "--zone", "UTC") == asked(command, "--json")


ZONES = ((), ("--zone", "Asia/Tokyo"))


def test_a_user_is_told_by_their_own_zone(asked, todoke, store):
    assert asked("user", "--zone", "user") == asked("user", "--zone", "Asia/Tokyo")
    assert asked("explain", "--zone", "user") == asked("explain", "--zone", "Asia/Tokyo")
    text = asked("user", "--zone", "user")
    assert "time (Asia/Tokyo)" in text
    assert "2026-03-10 21:00:00  Order Completed" in text
    unknown = ("user", "bob", "--store", store)
    assert todoke(*unknown, "--zone", "user").stdout == todoke(*unknown).stdout


def test_a_preview_tells_each_user_by_their_own_zone_and_weeks_by_one(asked):
    text = asked("preview", "--zone", "user")
    assert "week to (UTC)" in text
    told = dict(re.findall(r"^(\w+)\n((?:  .*\n?)+)", text, re.MULTILINE))
    assert "+09:00" in told["ann"]
    assert "Z" in told["bob"]
    assert "+09:00" not in told["bob"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("Mars/Olympus", 'UTC or a zone such as Europe/Berlin; found "Mars/Olympus"\n'),
        ("asia/tokyo", 'found "asia/tokyo"; did you mean `Asia/Tokyo`?'),
        ("localtime", 'found "localtime"'),
    ],
)
@pytest.mark.parametrize("command", ["user", "explain", "members", "flow", "inbox", "preview", "metrics"])
def test_a_zone_that_is_none_is_wrong_use(todoke, finished, store, command, wrong):
    zone, said = wrong
    there = ("--store", store) if command != "preview" else ("--events", finished / "events.jsonl")
    words = {"explain": ("ann", "buyers"), "user": ("ann",), "inbox": ("ann",), "metrics": ()}.get(command, ("buyers",))
    definitions = ("--definitions", finished / "definitions.yaml") if command in ("explain", "preview") else ()
    done = todoke(command, *words, *there, *definitions, "--zone", zone)
    assert (done.returncode, done.stdout) == (2, "")
    expected = "" if command in ("members", "flow", "metrics") else "user, "  # many users have no zone of their own
    assert done.stderr.startswith(f"todoke: --zone: expected {expected}UTC or a zone")
    assert said in done.stderr


@pytest.mark.parametrize(
    "words", [("members", "buyers"), ("flow", "buyers"), ("metrics",), ("sends",), ("dead-letters",)], ids=" ".join
)
def test_many_users_have_no_zone_of_their_own(todoke, store, words):
    done = todoke(*words, "--store", store, "--zone", "user")
    assert (done.returncode, done.stdout) == (2, "")
    assert "are many users: name UTC or a zone" in done.stderr
    assert "--zone UTC|NAME" in todoke(words[0], "--help").stdout


@given(st.integers(FIRST_TIME, LAST_TIME), st.sampled_from(["UTC", "Asia/Tokyo", "America/St_Johns", "Europe/Berlin"]))
def test_a_clock_writes_the_same_instant(time, zone):
    written = Clock(zone).write(time)
    assert read_time(written) == time
    assert Clock(zone).moved(write_time(time)) == written
    if write_time(time) != written:
        wall = datetime.fromisoformat(written)
        assert wall.utcoffset() == wall.replace(tzinfo=ZoneInfo(zone)).utcoffset()


def test_of_one_thing_the_singular_is_said():
    assert [counted(count, "segment") for count in (0, 1, 2, 1_000)] == [
        "0 segments",
        "1 segment",
        "2 segments",
        "1,000 segments",
    ]
    assert [counted(count, "entry", "entries") for count in (1, 2)] == ["1 entry", "2 entries"]


def test_no_line_of_a_table_ends_with_blanks(asked):
    for command in ("user", "explain", "preview", "campaign"):
        lines = asked(command).splitlines()
        assert [line for line in lines if line != line.rstrip()] == []
