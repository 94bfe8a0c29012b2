"""`todoke preview`: who would be in a segment by the events of a file, without a store."""

import gzip
import json

import pytest


@pytest.fixture
def preview(todoke, finished):
    def preview(segment, *arguments, events=finished / "events.jsonl", definitions=finished / "definitions.yaml"):
        return todoke("preview", segment, "--definitions", definitions, "--events", events, *arguments)

    return preview


def test_the_same_members_as_a_run(preview, finished, tmp_path):
    for segment, members in json.loads((finished / "report.json").read_text())["segments"].items():
        done = preview(segment, "--json")
        assert done.returncode == 0
        found = json.loads(done.stdout)
        assert (found["as_of"], found["members"], found["users"]) == ("2026-03-20T12:00:00Z", members, 4)
        assert found["messages"] == {"read": 11, "dead_letters": 1, "later": 0}
    assert list(tmp_path.iterdir()) == []


def test_text_for_people(preview):
    done = preview("recent", "--sample", "1")
    assert (done.returncode, done.stderr) == (0, "todoke: of 11 messages not used: 1 dead letter\n")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("recent, as of 2026-03-20T12:00:00Z: 2 of 4 users with a user id (50.0 %)")
    weeks = [line.split()[0] for line in lines if " 12:00 " in line]
    assert weeks == ["2026-03-06", "2026-03-13", "2026-03-20"]  # before, nobody was known
    [reason] = [line for line in lines if "    yes event: Order Completed, within: 7d" in line]
    assert "since 2026-03-19T12:00:00Z, until 2026-03-26T12:00:00Z" in reason


def test_json_has_weeks_conditions_and_a_sample(preview):
    found = json.loads(preview("regulars", "--json", "--weeks", "2").stdout)
    assert found["weeks"] == [
        {"at": "2026-03-13T12:00:00Z", "members": 1, "users": 3, "share": 0.333333},
        {"at": "2026-03-20T12:00:00Z", "members": 1, "users": 4, "share": 0.25},
    ]
    assert [(asked["text"], asked["holds"]) for asked in found["conditions"]] == [
        ("regulars", 1),
        ("event: Order Completed, count: {at_least: 2}", 1),
    ]
    [ann] = found["sample"]
    assert (ann["user"], ann["because"]["since"]) == ("ann", "2026-03-10T12:00:00Z")


def test_an_earlier_time_leaves_out_what_came_later(preview):
    found = json.loads(preview("recent", "--as-of", "2026-03-06T12:00:00Z", "--json").stdout)
    assert (found["members"], found["users"], found["messages"]["later"]) == (2, 2, 5)


def test_anonymous_users_on_demand(preview):
    found = json.loads(preview("buyers", "--anonymous", "--json").stdout)
    assert (found["members"], found["users"]) == (5, 5)
    assert "~device-2" in [reason["user"] for reason in found["sample"]]


def test_gzip_and_patterns(preview, finished, tmp_path):
    lines = (finished / "events.jsonl").read_bytes().splitlines()
    (tmp_path / "1.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines[:5])))
    (tmp_path / "2.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines[5:])))
    assert json.loads(preview("buyers", "--json", events=tmp_path / "*.jsonl.gz").stdout)["members"] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"segment": "buyer"}, "no segment or campaign `buyer`; did you mean `buyers`?"),
        ({"events": "pubsub:projects/p-12345/subscriptions/sub"}, "--events: a preview reads files"),
        ({"events": "kafka:topic"}, "--events: unknown kind of source"),
        ({"definitions": "missing.yaml"}, "missing.yaml"),
        ({"events": "empty.jsonl"}, "--events: empty.jsonl holds no event that could be read"),
    ],
)
def test_wrong_use(preview, tmp_path, arguments, said):
    (tmp_path / "empty.jsonl").write_text("\nnot JSON\n")
    done = preview(**{"segment": "buyers", **arguments})
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize("events", ["nothing.jsonl", "nothing-*.jsonl", "."])
def test_events_that_are_not_there_are_wrong_use(preview, events):
    done = preview("buyers", events=events)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("todoke: --events: ")
    assert len(done.stderr.splitlines()) == 1
