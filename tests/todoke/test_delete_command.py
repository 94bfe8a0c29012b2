"""`todoke delete`: of whoever is deleted no table has anything, and what comes late stays away."""

import json
import os
import pty
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from commands import COMMAND, Todoke
from emulators import Project
from google.cloud.bigtable.data import BigtableDataClient, ReadRowsQuery
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from todoke.delete import AskedDeletion, delete
from transforms.events.dead_letter import DeadLetter
from transforms.events.decode import decode
from transforms.events.kept.rows import kept
from transforms.storage.bigtable.database import NAMES
from transforms.storage.bigtable.tables import NEWEST
from transforms.storage.ledger import MAILBOX_CLAIM
from transforms.storage.open import open_store, parse_store
from transforms.storage.rows import LedgerRow, LedgerState
from transforms.storage.sqlite.schema import TABLES
from transforms.storage.store import Store
from transforms.users.control import decode_control
from transforms.users.lease import LIVE_JOB, JobLease
from transforms.users.user import decode_user

DEFINITIONS = """\
segments:
  regulars: {owner: crm, members: {event: Order Completed, count: {at_least: 2}}}
messages:
  thanks: {channel: email, from: shop@example.com, subject: Thank you, html: "<p>Hi {{ user.name }}</p>"}
  note: {channel: inbox, title: "Hi {{ user.name }}"}
campaigns:
  greet:
    owner: crm
    trigger: {enters: regulars}
    steps: [{send: thanks}, {send: note}]
    consent: offers
"""
FLAGS = ("--definitions", "d.yaml", "--continue")
#: What no table may have once its user is deleted. Ids stay in tombstones: it is they that are deleted.
SECRETS = ["SECRET-NAME", "secret-old@example.com", "secret-new@example.com", "SECRET-TOKEN", "SECRET-ORDER"]


def call(number: int, type_: str, day: int, **fields: Any) -> str:
    time = f"2026-03-{day:02}T12:00:00Z"
    return json.dumps({"type": type_, "messageId": f"m{number:02}", "timestamp": time, **fields})


def order(number: int, day: int, **fields: Any) -> str:
    return call(number, "track", day, event="Order Completed", properties={"what": "SECRET-ORDER"}, **fields)


def named(email: str) -> dict[str, str]:
    return {"name": "SECRET-NAME", "email": email}


EVENTS = [
    order(1, 1, anonymousId="x7"),
    call(2, "identify", 2, userId="ann", anonymousId="x7", traits=named("secret-old@example.com")),
    call(
        3,
        "identify",
        3,
        userId="ann",
        traits=named("secret-new@example.com"),
        context={"device": {"token": "SECRET-TOKEN"}},
    ),
    order(4, 4, userId="ann"),
    call(5, "identify", 4, userId="old", traits=named("secret-old@example.com")),
    order(6, 4, userId="old"),
    call(7, "alias", 5, previousId="old", userId="ann"),
    order(8, 5, anonymousId="stranger"),
    call(9, "identify", 5, userId="bob", traits={"name": "Bob"}),
    order(10, 5, userId="bob"),
    order(11, 6, userId="bob"),
]


@pytest.fixture
def shop(tmp_path: Path, todoke: Todoke, url: str) -> Iterator[Store]:
    """A store that a run filled, with a dead letter and the claim of a mailbox for each of its people."""
    (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    (tmp_path / "e.jsonl").write_text("\n".join(EVENTS), encoding="utf-8")
    done = todoke("run", "--definitions", "d.yaml", "--events", "e.jsonl", "--store", url)
    assert done.returncode == 0, done.stderr
    with closing(open_store(url)) as store:
        for field, id_ in (("userId", "ann"), ("userId", "old"), ("anonymousId", "x7"), ("userId", "nobody")):
            payload = json.dumps({field: id_, "type": "x", "said": "SECRET-ORDER"}).encode()
            store.write_dead_letters([kept(DeadLetter(payload, "s", "unknown_type", "d", 1), 1)])
        for number, row in enumerate([*store.read_ledger("ann"), *store.read_ledger("bob")]):
            store.claim([claim(f"digest{number}", row)])
        yield store


def claim(mailbox: str, row: LedgerRow) -> LedgerRow:
    said = {"user": f"{MAILBOX_CLAIM}{mailbox}", "send": mailbox, "lease": 0, "detail": row.send}
    return msgspec.structs.replace(row, state=LedgerState.CLAIMED, **said)


def everything(url: str) -> str:
    """All that stands in all tables, as text. Of Bigtable's cells the newest alone are read; it collects the others."""
    kind, place = parse_store(url)
    if kind == "sqlite":
        with closing(sqlite3.connect(place)) as connection:
            rows = [row for table in sorted(TABLES) for row in connection.execute(f"SELECT * FROM {table}").fetchall()]
        return repr(rows)
    project, _, name = place.partition("/")
    with BigtableDataClient(project=project) as client:
        found = [
            row for table in NAMES for row in client.get_table(name, table).read_rows(ReadRowsQuery(row_filter=NEWEST))
        ]
    return repr([(row.row_key, [cell.value for cell in row.cells]) for row in found])


@pytest.mark.parametrize("asked", ["ann", "old", "~x7"])
def test_no_table_has_anything_of_whom_was_deleted(todoke: Todoke, shop: Store, url: str, asked: str) -> None:
    before = everything(url)
    assert [secret for secret in SECRETS if secret not in before] == []
    done = todoke("delete", asked, "--store", url, "--definitions", "d.yaml", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["asked"], said["user"], said["how"], said["known"]) == (asked, "ann", "applied", True)
    assert {*said["ids"]} >= {"ann", "old", "~x7"}
    assert said["events"] >= 6
    assert said["dead_letters"] == 3
    assert said["mailbox_claims"] == said["sends"] > 0
    left = everything(url)
    assert [secret for secret in SECRETS if secret in left and secret != "SECRET-ORDER"] == []
    assert list(shop.identities_of("ann")) == []
    assert [
        row for id_ in said["ids"] for row in (*shop.read_events(id_), *shop.read_ledger(id_), *shop.read_inbox(id_))
    ] == []
    assert [row.user for row in shop.scan_members("regulars")] == ["bob"]
    assert len(shop.read_ledger("bob")) == len(
        [row for row in shop.scan_ledger() if row.user.startswith(MAILBOX_CLAIM)]
    )
    assert len(shop.dead_letters_of("nobody")) == 1
    for id_ in ("ann", "old", "~x7"):
        assert decode_user(shop.read_users([id_])[id_].state).deleted is not None
    assert decode_user(shop.read_users(["bob"])["bob"].state).deleted is None
    assert shop.read_lease().until == 0


@pytest.mark.all_in_ci
def test_what_comes_late_ends_as_deleted(tmp_path: Path, todoke: Todoke, shop: Store, url: str) -> None:
    assert todoke("delete", "ann", "--store", url, "--definitions", "d.yaml", "--yes").returncode == 0
    late = [order(number, 4, userId=id_) for number, id_ in ((4, "ann"), (6, "old"), (20, "ann"), (21, "old"))]
    late += [order(22, 2, anonymousId="x7")]
    (tmp_path / "late.jsonl").write_text("\n".join(late), encoding="utf-8")
    done = todoke("run", *FLAGS, "--events", "late.jsonl", "--store", url, "--report", "r.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_bytes())
    assert (report["read"], report["deleted"]) == (5, 5)
    again = todoke("delete", "ann", "--store", url, "--definitions", "d.yaml", "--yes")
    assert (again.returncode, "is deleted already" in again.stdout) == (0, True)


def test_who_was_merged_into_somebody_while_it_was_confirmed_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, todoke: Todoke, shop: Store, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alias.jsonl").write_text(call(30, "alias", 6, previousId="bob", userId="ann"), encoding="utf-8")

    def confirm(question: str) -> bool:
        assert "bob" not in question
        return todoke("run", *FLAGS, "--events", "alias.jsonl", "--store", url).returncode == 0

    delete(AskedDeletion("ann", url, None, None, "d.yaml"), confirm, json=True)
    assert decode_user(shop.read_users(["bob"])["bob"].state).deleted is not None
    assert [row.user for row in shop.scan_ledger()] == []


@pytest.mark.all_in_ci
def test_visitors_and_strangers(todoke: Todoke, shop: Store, url: str) -> None:
    done = todoke("delete", "~stranger", "--store", url, "--definitions", "d.yaml", "--yes")
    assert (done.returncode, done.stdout) == (0, 'deleted: "~stranger"\n  1 event\n')
    assert decode_user(shop.read_users(["~stranger"])["~stranger"].state).deleted is not None
    done = todoke("delete", "never", "--store", url, "--definitions", "d.yaml", "--yes")
    assert done.stdout == 'deleted: "never" is nobody whom the store knows: late calls of that id will be dropped\n'
    assert decode_user(shop.read_users(["never"])["never"].state).deleted is not None
    done = todoke("delete", "nobody", "--store", url, "--definitions", "d.yaml", "--yes")
    assert (done.returncode, done.stdout) == (0, 'deleted: "nobody"\n  1 dead letter\n')


@pytest.mark.all_in_ci
def test_a_state_that_cannot_be_read_is_deleted_too(todoke: Todoke, shop: Store, url: str) -> None:
    row = shop.read_users(["ann"])["ann"]
    shop.write_users([msgspec.structs.replace(row, version=row.version + 1, state=b"nothing")])
    done = todoke("delete", "ann", "--store", url, "--definitions", "d.yaml", "--yes")
    assert done.returncode == 0, done.stderr
    assert [secret for secret in SECRETS[:4] if secret in everything(url)] == []


@pytest.mark.all_in_ci
def test_a_live_job_of_this_machine_gets_it(tmp_path: Path, todoke: Todoke, shop: Store, url: str) -> None:
    lease = JobLease(shop, LIVE_JOB)
    lease.take()
    done = todoke("delete", "~x7", "--store", url, "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('handed to the job that works on the store, which deletes: "~x7" is "ann", with ')
    lease.release()
    (tmp_path / "none.jsonl").write_text("", encoding="utf-8")
    done = todoke("run", *FLAGS, "--events", "none.jsonl", "--store", url)
    assert done.returncode == 0, done.stderr
    if url.startswith("sqlite:"):
        assert [secret for secret in SECRETS[:4] if secret in everything(url)] == []
    shop.write_run(msgspec.structs.replace(shop.read_run(), finished=True))
    JobLease(shop, "a run over files").take()
    done = todoke("delete", "bob", "--store", url, "--definitions", "d.yaml", "--yes")
    assert (done.returncode, "a run over files" in done.stderr) == (2, True)


def test_a_job_elsewhere_gets_a_call_or_an_input(todoke: Todoke, pubsub: Project) -> None:
    topic, read = f"projects/{pubsub.name}/topics/events", f"projects/{pubsub.name}/subscriptions/events"
    with PublisherClient() as publisher, SubscriberClient() as subscriber:
        publisher.create_topic(name=topic)
        subscriber.create_subscription(name=read, topic=topic)
        assert todoke("delete", "ann", "--to", f"pubsub:{topic}", "--yes").returncode == 0
        assert todoke("delete", "~x7", "--control-topic", f"pubsub:{topic}", "--yes").returncode == 0
        found: list[bytes] = []
        while len(found) < 2:
            got = subscriber.pull(subscription=read, max_messages=2).received_messages
            found += [each.message.data for each in got]
            subscriber.acknowledge(subscription=read, ack_ids=[each.ack_id for each in got])
    published = next(payload for payload in found if b'"delete"' in payload)
    event, _ = decode(published)
    assert (event.type, event.user) == ("delete", "ann")
    key, (told,) = decode_control(next(payload for payload in found if payload != published), 1)
    assert (key, told.type, told.user, told.anonymous) == ("~x7", "delete", None, "x7")


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        (("ann", "--yes"), "name where the user is"),
        (("guest", "--store", "sqlite:a.db", "--yes"), '"guest" names nobody'),
        (("~", "--store", "sqlite:a.db", "--yes"), "nobody"),
        (("~x7", "--to", "pubsub:projects/project-a/topics/events", "--yes"), "--control-topic"),
        (("ann", "--store", "sqlite:a.db"), "say --yes"),
        (("ann", "--store", "sqlite:a.db", "--yes"), "--definitions: name those of the store's users"),
        (("ann", "--store", "sqlite:a.db", "--definitions", "none.yaml", "--yes"), "none.yaml"),
    ],
)
def test_wrong_use(tmp_path: Path, todoke: Todoke, flags: tuple[str, ...], cause: str) -> None:
    open_store(f"sqlite:{tmp_path / 'a.db'}").close()
    done = todoke("delete", *flags)
    assert (done.returncode, done.stdout, cause in done.stderr) == (2, "", True), done.stderr


def test_somebody_at_a_terminal_is_asked(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:{tmp_path / 'a.db'}")) as store:
        (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
        for answer, code in ((b"n\n", 2), (b"y\n", 0)):
            terminal, end = pty.openpty()
            command = [str(COMMAND), "delete", "ann", "--store", "sqlite:a.db", "--definitions", "d.yaml"]
            asked = subprocess.Popen(command, cwd=tmp_path, stdin=end, stderr=end, stdout=subprocess.PIPE)
            os.close(end)
            said = b""
            with suppress(OSError):  # the other end was closed
                while b"for ever? [y/N]" not in said:
                    said += os.read(terminal, 1_000)
                os.write(terminal, answer)
                while piece := os.read(terminal, 1_000):
                    said += piece
            assert (asked.wait(60), b"for ever? [y/N]" in said) == (code, True), said
            os.close(terminal)
            assert bool(store.read_users(["ann"])) is (code == 0)
