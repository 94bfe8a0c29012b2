"""`todoke publish`: what it writes, prints and refuses; and a run over files by a pointer."""

import json

from test_validate import WRONG

ONE = "segments: {a: {owner: o, members: {event: A}}}\n"
TWO = "segments: {a: {owner: o, members: {event: A, count: {at_least: 2}}}, b: {owner: o, members: {event: B}}}\n"


def publish(todoke, tmp_path, text, *more):
    (tmp_path / "d").mkdir(exist_ok=True)
    (tmp_path / "d" / "d.yaml").write_text(text, encoding="utf-8")
    return todoke("publish", "d", "--to", "out/shop.json", *more)


def pointer(tmp_path):
    return json.loads((tmp_path / "out" / "shop.json").read_bytes())


def test_a_first_publication_and_a_second(todoke, tmp_path):
    done = publish(todoke, tmp_path, ONE)
    assert (done.returncode, done.stderr) == (0, "")
    first = pointer(tmp_path)
    assert done.stdout.splitlines() == [
        f"out/shop.json: revision {first['revisions'][0]['revision']} is release 1",
        "conditions on events: 0 new, 1 kept, 0 dropped",
        "all of them count from the beginning: right for a job without users, or with these definitions",
    ]
    done = publish(todoke, tmp_path, TWO)
    assert (done.returncode, done.stderr) == (0, "")
    second = pointer(tmp_path)
    assert (second["serial"], second["revisions"][1]) == (2, first["revisions"][0])
    assert done.stdout.splitlines() == [
        f"out/shop.json: revision {second['revisions'][0]['revision']} is release 2",
        "conditions on events: 2 new, 0 kept, 1 dropped",
        f"the new ones count from {second['activations'][0]['at']}",
        "for users known before then:",
        "  a: until a seed comes the condition as it was answers",
        "  b: until a seed comes it answers no",
    ]
    texts = json.loads((tmp_path / "out" / second["revisions"][0]["file"]).read_bytes())
    assert texts == [["d.yaml", TWO]], "named from the folder, wherever it lies"


def test_the_same_again_changes_nothing(todoke, tmp_path):
    publish(todoke, tmp_path, ONE)
    before = (tmp_path / "out" / "shop.json").read_bytes()
    done = publish(todoke, tmp_path, ONE)
    assert (done.returncode, done.stdout.endswith("is published already, as release 1\n")) == (0, True)
    assert (tmp_path / "out" / "shop.json").read_bytes() == before


def test_json_says_what_is_new(todoke, tmp_path):
    publish(todoke, tmp_path, ONE)
    said = json.loads(publish(todoke, tmp_path, TWO, "--json").stdout)
    assert (said["serial"], said["changed"], said["added"]) == (2, ["a"], ["b"])
    assert sorted(said["new"]) == sorted(pointer(tmp_path)["activations"][0]["leaves"])
    assert json.loads(publish(todoke, tmp_path, TWO, "--json").stdout)["unchanged"] is True


def test_mistakes_publish_nothing(todoke, tmp_path):
    publish(todoke, tmp_path, ONE)
    before = sorted((path.name, path.read_bytes()) for path in (tmp_path / "out").iterdir())
    wrong = publish(todoke, tmp_path, WRONG)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert len([line for line in wrong.stderr.splitlines() if "d.yaml:" in line]) == 2, "every mistake"
    for given, said in (
        ("2026-01-01T00:00:00Z", "less than 60 seconds ahead"),
        ("tomorrow", "not an ISO 8601 time"),
        ("2999-01-01T00:00:00", "a time needs a zone"),
    ):
        done = publish(todoke, tmp_path, TWO, "--activate", given)
        assert done.returncode == 2
        assert done.stderr.startswith("todoke: --activate: ")
        assert said in done.stderr
    done = todoke("publish", "d", "--to", "out/shop.yaml")
    assert (done.returncode, "ends in .json" in done.stderr) == (2, True)
    assert sorted((path.name, path.read_bytes()) for path in (tmp_path / "out").iterdir()) == before


def test_a_pointer_that_is_none_is_not_written_over(todoke, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "shop.json").write_text("{}", encoding="utf-8")
    done = publish(todoke, tmp_path, ONE)
    assert done.returncode == 1
    assert "not a pointer of `todoke publish`" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["shop.json"]


def test_mistakes_are_named_as_validate_names_them(todoke, tmp_path):
    done = publish(todoke, tmp_path, WRONG)
    assert done.returncode == 2
    said = done.stderr.splitlines()
    assert all(line.startswith("d/d.yaml:") for line in said)
    assert set(said) <= set(todoke("validate", "d").stderr.splitlines())
    assert not (tmp_path / "out").exists()


def test_a_run_over_files_takes_what_the_pointer_names_and_nothing_warms(todoke, tmp_path):
    publish(todoke, tmp_path, ONE)
    publish(todoke, tmp_path, TWO)
    event = {"type": "track", "event": "A", "userId": "u", "timestamp": "2026-03-10T12:00:00Z"}
    lines = [json.dumps({**event, "messageId": name}) for name in ("m1", "m2")]
    (tmp_path / "events.jsonl").write_text("\n".join(lines), encoding="utf-8")
    flags = ("--definitions", "out/shop.json", "--events", "events.jsonl", "--store", "sqlite:s.db")
    done = todoke("run", *flags, "--report", "report.json", "--runner=FnApiRunner")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "report.json").read_bytes())["segments"] == {"a": 1, "b": 0}
    shown = json.loads(todoke("user", "u", "--store", "sqlite:s.db", "--json").stdout)
    assert "warming" not in shown
    again = todoke("run", *flags, "--continue", "--runner=FnApiRunner")
    assert again.returncode == 0, again.stderr
    behind = todoke("run", "--definitions", "d", *flags[2:], "--continue", "--runner=FnApiRunner")
    assert behind.returncode == 2
    assert behind.stderr.startswith("todoke: release 2 of the definitions was used already")


def test_a_launch_by_a_pointer_that_is_not_there_is_wrong_use(todoke, tmp_path):
    (tmp_path / "events.jsonl").write_text("", encoding="utf-8")
    done = todoke("run", "--definitions", "p.json", "--events", "events.jsonl", "--store", "none")
    assert (done.returncode, "p.json cannot be read" in done.stderr) == (2, True)
