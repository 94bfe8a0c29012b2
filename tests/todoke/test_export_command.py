"""`todoke export`: files that are read again, and give the users of the store."""

import gzip
import json
import os
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Todoke

from transforms.events.dead_letter import DeadLetter
from transforms.events.kept.rows import kept
from transforms.storage.open import open_store
from transforms.users.export import MEMBERS, SENDS

DEFINITIONS = """\
segments:
  regulars: {owner: crm, members: {event: Order Completed, count: {at_least: 2}}}
  known: {owner: crm, members: {attribute: greeted, is: true}}
  reached: {owner: crm, members: {event: Push Accepted}}
messages: {thanks: {channel: push, title: Thank you}}
campaigns:
  greet:
    owner: crm
    trigger: {enters: regulars}
    steps: [{send: thanks}, {set: {greeted: true, plan: null}}]
    consent: offers
"""


def call(number: int, type_: str, day: int, **fields: Any) -> str:
    time = f"2026-03-{day:02}T12:00:00.000001Z"
    return json.dumps({"type": type_, "messageId": f"m{number:02}", "timestamp": time, **fields})


def phone(token: str) -> dict[str, Any]:
    return {"device": {"token": token, "type": "ios"}}


def order(number: int, day: int, **fields: Any) -> str:
    return call(number, "track", day, event="Order Completed", properties={"total": day}, **fields)


EVENTS = [
    call(1, "identify", 1, userId="ann", traits={"name": "Ann", "plan": "pro"}, context=phone("shared")),
    order(2, 2, anonymousId="v", context={"locale": "ja"}),
    order(3, 3, userId="ann", anonymousId="v"),
    order(4, 4, anonymousId="v"),
    call(5, "identify", 5, userId="bob", context=phone("shared")),
    order(6, 5, userId="bob"),
    call(7, "alias", 6, previousId="cat", userId="bob"),
    order(8, 4, userId="cat"),
    call(9, "page", 6, name="Home", userId="gone"),
    call(10, "delete", 7, userId="gone"),
    call(11, "screen", 7, name="Cart", anonymousId="stranger", historical=True),
]
FLAGS = ("--definitions", "d.yaml", "--as-of", "2026-03-20T00:00:00Z")


@pytest.fixture
def shop(tmp_path: Path, todoke: Todoke) -> Path:
    (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    (tmp_path / "events.jsonl").write_text("\n".join(EVENTS), encoding="utf-8")
    done = todoke("run", *FLAGS, "--events", "events.jsonl", "--store", "sqlite:a.db")
    assert done.returncode == 0, done.stderr
    return tmp_path


def shown(todoke: Todoke, store: str, name: str) -> dict[str, Any]:
    done = todoke("user", name, "--store", store, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    events = [entry for entry in found.pop("timeline") if entry["kind"] == "event"]
    found["segments"] = sorted(found["segments"])  # receipts were applied after the files
    return found | {"events": sorted((entry["time"], entry["type"], entry["id"]) for entry in events)}


def test_links_and_pipes_are_written_through(shop: Path, todoke: Todoke) -> None:
    (shop / "real.jsonl").write_text("before", encoding="utf-8")
    (shop / "link.jsonl").symlink_to("real.jsonl")
    assert todoke("export", "--store", "sqlite:a.db", "--events", "link.jsonl").returncode == 0
    assert (shop / "link.jsonl").is_symlink()
    assert "Order Completed" in (shop / "real.jsonl").read_text(encoding="utf-8")
    os.mkfifo(shop / "pipe")
    for flags in (("--events", "pipe"), ("--user", "ann", "--out", "pipe")):
        with subprocess.Popen(["cat", "pipe"], cwd=shop, stdout=subprocess.PIPE, text=True) as reader:
            assert todoke("export", "--store", "sqlite:a.db", *flags).returncode == 0
            assert "Order Completed" in reader.communicate(timeout=60)[0]
        assert (shop / "pipe").is_fifo()


def test_files_of_an_export_before_are_named(shop: Path, todoke: Todoke) -> None:
    (shop / "m [1]").mkdir()
    (shop / "m [1]" / "former.jsonl").write_text("{}", encoding="utf-8")
    done = todoke("export", "--store", "sqlite:a.db", "--members", "m [1]/*.jsonl")
    assert (done.returncode, done.stderr) == (0, "not of this export, though named like it: m [1]/former.jsonl\n")
    assert (shop / "m [1]" / "former.jsonl").exists()


@pytest.mark.all_in_ci
@pytest.mark.parametrize("ending", ["jsonl.gz", "parquet"])
def test_a_new_store_of_an_export_has_the_same_users(shop: Path, todoke: Todoke, ending: str) -> None:
    done = todoke("export", "--store", "sqlite:a.db", "--events", f"out/*.{ending}", "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    files = sorted(file.name for file in (shop / "out").iterdir())
    assert files[0] == f"2026-03-01.{ending}"
    assert counts == {
        "events": counts["events"],
        "users": 3,
        "truncated": 0,
        "older": 0,
        "unreadable": 0,
        "files": len(files),
    }
    back = todoke("backfill", *FLAGS, "--events", f"out/*.{ending}", "--store", "sqlite:b.db", "--report", "r.json")
    assert back.returncode == 0, back.stderr
    report = json.loads((shop / "r.json").read_bytes())
    assert (report["dead_letters"], report["duplicates"], report["read"]) == (0, 0, report["applied"])
    for name in ("ann", "bob", "~stranger"):
        assert shown(todoke, "sqlite:b.db", name) == shown(todoke, "sqlite:a.db", name)
    ann = shown(todoke, "sqlite:b.db", "ann")
    assert (ann["attributes"]["greeted"], ann["tokens"], "plan" in ann["attributes"]) == (True, [], False)
    assert [kind for _, kind, _ in ann["events"]].count("token_lost") == 1
    assert ann["segments"] == ["known", "reached", "regulars"]
    assert todoke("user", "gone", "--store", "sqlite:b.db").returncode == 2, "nothing of whom was deleted"


def test_lines_are_those_of_the_calls(shop: Path, todoke: Todoke) -> None:
    done = todoke("export", "--store", "sqlite:a.db", "--events", "all.jsonl")
    assert done.stdout.splitlines()[0].endswith(" events of 3 users in 1 file")
    calls = {each["messageId"]: each for each in map(json.loads, (shop / "all.jsonl").read_text().splitlines())}
    time = "2026-03-06T12:00:00.000001Z"
    assert calls["m07"] == {
        "type": "alias",
        "messageId": "m07",
        "userId": "bob",
        "previousId": "cat",
        "timestamp": time,
        "arrival": time,
    }
    assert (calls["m04"]["userId"], calls["m04"]["anonymousId"]) == ("ann", "v")
    assert ("userId" in calls["m02"], calls["m02"]["context"]) == (False, {"locale": "ja"})
    assert calls["m11"]["historical"] is True
    assert not {"m09", "m10"} & calls.keys()
    again = todoke("run", *FLAGS, "--events", "all.jsonl", "--store", "sqlite:c.db", "--report", "r.json")
    assert again.returncode == 0, again.stderr
    assert json.loads((shop / "r.json").read_bytes())["dead_letters"] == 0


def test_an_export_again_replaces_the_files(shop: Path, todoke: Todoke) -> None:
    for _ in range(2):
        assert todoke("export", "--store", "sqlite:a.db", "--events", "out/events-*.jsonl.gz").returncode == 0
    text = gzip.decompress((shop / "out/events-2026-03-07.jsonl.gz").read_bytes())
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        (("--store", "sqlite:a.db", "--events", "gs://b/*.jsonl"), "--events: an export is written to files"),
        (("--store", "sqlite:a.db", "--events", "*/*.jsonl"), "--events: one `*` stands for the day"),
        (("--store", "nothing", "--events", "x.jsonl"), "--store: "),
        (("--store", "sqlite:a.db"), "name what is to be exported"),
        (("--store", "sqlite:a.db", "--sends", "x", "--members", "x"), "of their own"),
        (("--store", "sqlite:a.db", "--sends", "a/*/*.parquet"), "--sends: one `*` stands for the day of the decision"),
        (("--store", "sqlite:a.db", "--members", "."), "--members: . is a folder"),
        (("--store", "sqlite:a.db", "--user", "ann", "--sends", "x"), "--user"),
        (("--store", "sqlite:a.db", "--sends", "x", "--out", "y"), "--out"),
    ],
)
def test_wrong_use(tmp_path: Path, todoke: Todoke, flags: tuple[str, ...], cause: str) -> None:
    done = todoke("export", *flags)
    assert (done.returncode, done.stdout, cause in done.stderr) == (2, "", True), done.stderr


def test_members_and_sends_are_rows_for_a_warehouse(shop: Path, todoke: Todoke) -> None:
    files = ("--members", "members/*.parquet", "--sends", "sends.parquet", "--events", "e.jsonl")
    done = todoke("export", "--store", "sqlite:a.db", *files, "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert (counts["members"], counts["events"]["files"]) == ({"members": 4, "files": 3}, 1)
    assert sorted(file.name for file in (shop / "members").iterdir()) == [
        "known.parquet",
        "reached.parquet",
        "regulars.parquet",
    ]
    table = pq.read_table(shop / "members/regulars.parquet")
    assert table.schema.equals(MEMBERS)
    listed = todoke("members", "regulars", "--store", "sqlite:a.db", "--json").stdout.splitlines()
    assert [(row["user"], row["since"].isoformat() + "Z") for row in no_zone(table)] == [
        (said["user"], said["since"]) for said in map(json.loads, listed)
    ]
    sends = pq.read_table(shop / "sends.parquet")
    assert sends.schema.equals(SENDS)
    rows = {row["user"]: row for row in sends.to_pylist()}
    assert counts["sends"]["sends"] == len(rows) == 1
    assert rows["ann"]["kind"] == "send"
    assert (rows["ann"]["campaign"], rows["ann"]["channel"]) == ("greet", "push")
    shown = json.loads(todoke("user", "ann", "--store", "sqlite:a.db", "--json").stdout)
    (told,) = [entry for entry in shown["timeline"] if entry["kind"] == "send"]
    assert (rows["ann"]["send"], rows["ann"]["state"]) == (told["id"], told["state"])


def no_zone(table: pa.Table) -> list[dict[str, Any]]:
    rows = table.to_pylist()
    return [row | {name: row[name].replace(tzinfo=None) for name in ("since", "as_of")} for row in rows]


def test_lines_have_the_same_columns(shop: Path, todoke: Todoke) -> None:
    assert todoke("export", "--store", "sqlite:a.db", "--members", "m.jsonl.gz", "--sends", "*.jsonl").returncode == 0
    members = [json.loads(line) for line in gzip.decompress((shop / "m.jsonl.gz").read_bytes()).splitlines()]
    assert [[*row] for row in members] == [MEMBERS.names] * 4
    days = sorted(file.stem for file in shop.glob("2026-*.jsonl"))
    assert days == sorted(
        {json.loads(file.read_text().splitlines()[0])["decided_at"][:10] for file in shop.glob("2026-*")}
    )


def test_nothing_is_a_file_without_rows(tmp_path: Path, todoke: Todoke) -> None:
    open_store(f"sqlite:{tmp_path / 'a.db'}").close()
    done = todoke("export", "--store", "sqlite:a.db", "--members", "m.parquet", "--sends", "s/*.jsonl")
    assert (done.returncode, done.stdout) == (0, "0 memberships in 1 file\n0 sends and refusals in 0 files\n")
    assert pq.read_table(tmp_path / "m.parquet").schema.equals(MEMBERS)


@pytest.mark.all_in_ci
@pytest.mark.parametrize("asked", ["bob", "cat"])
def test_all_that_is_held_of_a_user(shop: Path, todoke: Todoke, asked: str) -> None:
    with closing(open_store(f"sqlite:{shop / 'a.db'}")) as store:
        refused = DeadLetter(json.dumps({"userId": "cat", "type": "x"}).encode(), "s", "unknown_type", "d", 1)
        store.write_dead_letters([kept(refused, 1)])
    done = todoke("export", "--store", "sqlite:a.db", "--user", asked, "--out", "out/him.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((shop / "out/him.json").read_bytes())
    assert todoke("export", "--store", "sqlite:a.db", "--user", asked).stdout == (shop / "out/him.json").read_text()
    assert (found["asked"], found["user"], {*found["ids"]}) == (asked, "bob", {"bob", "cat"})
    assert found["profile"]["tokens"] == ["shared"]
    assert {row["segment"] for row in found["memberships"]} >= {"regulars"}
    assert {row["id"] for row in found["events"]} >= {"m05", "m06", "m07", "m08"}
    assert {(row["kind"], row["value"]) for row in found["identities"]} >= {("anonymous", "cat"), ("token", "shared")}
    assert [json.loads(row["payload"])["userId"] for row in found["dead_letters"]] == ["cat"]
    assert [path.name for path in (shop / "out").iterdir()] == ["him.json"]


def test_nothing_is_held_of_nobody(shop: Path, todoke: Todoke) -> None:
    done = todoke("export", "--store", "sqlite:a.db", "--user", "nobody")
    assert (done.returncode, done.stdout) == (2, "")
    assert 'holds nothing of "nobody"' in done.stderr
    visitor = json.loads(todoke("export", "--store", "sqlite:a.db", "--user", "~v").stdout)
    assert (visitor["user"], visitor["asked"]) == ("ann", "~v")
    assert len(visitor["events"]) >= 4
    assert [(row["user"], row["channel"], row["campaign"]) for row in visitor["sends"]] == [("ann", "push", "greet")]
