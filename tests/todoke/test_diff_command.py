"""`todoke diff`: as text and JSON, of files and pointers."""

import json

OLD = "segments: {a: {owner: o, members: {event: A}}, b: {owner: o, members: {event: B}}}\n"
NEW = "segments: {a: {owner: o, members: {event: A, count: {at_least: 2}}}, z: {owner: o, members: {event: B}}}\n"


def test_text_and_json(todoke, tmp_path):
    (tmp_path / "old.yaml").write_text(OLD, encoding="utf-8")
    (tmp_path / "new.yaml").write_text(NEW, encoding="utf-8")
    assert todoke("publish", "old.yaml", "--to", "shop.json").returncode == 0
    done = todoke("diff", "shop.json", "new.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "conditions on events: 1 new, 1 kept, 1 dropped",
        "  - event: A",
        "  + event: A, count: {at_least: 2}   (waits for a seed)",
        "    event: B",
        "segments: 1 changed, 1 renamed",
        "  ~ a: its members change; until a seed comes the condition as it was answers",
        "  = z: renamed, was b",
        "campaigns: none",
    ]
    published = todoke("publish", "new.yaml", "--to", "shop.json").stdout.splitlines()
    assert done.stdout.splitlines()[0] in published, "they count alike"
    assert "  a: until a seed comes the condition as it was answers" in published
    found = json.loads(todoke("diff", "old.yaml", "new.yaml", "--json").stdout)
    assert found["segments"] == [
        {"id": "a", "kind": "changed", "warming": "old"},
        {"id": "z", "kind": "renamed", "was": "b"},
    ]
    assert [(leaf["kind"], leaf["backfill"], len(leaf["key"])) for leaf in found["leaves"]] == [
        ("removed", False, 16),
        ("added", True, 16),
        ("kept", False, 16),
    ]


def test_definitions_that_cannot_be_read_are_wrong_use(todoke, tmp_path):
    (tmp_path / "old.yaml").write_text(OLD, encoding="utf-8")
    done = todoke("diff", "old.yaml", "missing.yaml")
    assert (done.returncode, done.stdout, "missing.yaml" in done.stderr) == (2, "", True)
