"""From events in a file to what the push server, the mail server and the store hold, through the real command."""

import email
import email.policy
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from boutique import DEFINITIONS, EXPECTED, lines

from transforms.channels.email.local_smtp import LocalSmtp
from transforms.channels.push.local_fcm import LocalFcm
from transforms.storage.open import open_store
from transforms.storage.store import Store

Plain = dict[str, Any]

PROJECT = "fcm:demo-project"


@pytest.fixture
def servers() -> Iterator[tuple[LocalFcm, LocalSmtp]]:
    fcm, smtp = LocalFcm.start(), LocalSmtp.start()
    yield fcm, smtp
    smtp.stop()
    fcm.stop()


@pytest.fixture
def run(tmp_path: Path, url: str, servers: tuple[LocalFcm, LocalSmtp]) -> Callable[..., Plain]:
    """Run the command over the shop's day; returns the report."""
    fcm, smtp = servers
    (tmp_path / "shop.yaml").write_text(DEFINITIONS)
    (tmp_path / "events.jsonl").write_bytes(lines(datetime.now(UTC)))

    def command(*more: str) -> Plain:
        flags = {
            "--definitions": tmp_path / "shop.yaml",
            "--events": tmp_path / "events.jsonl",
            "--store": url,
            "--push": f"{PROJECT}@{fcm.url}",
            "--email": smtp.url,
            "--outbox": tmp_path / "outbox",
            "--report": tmp_path / "report.json",
        }
        given = [str(part) for flag in flags.items() for part in flag]
        done = subprocess.run(
            [sys.executable, "-m", "todoke", "run", *given, *more], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        report: Plain = json.loads((tmp_path / "report.json").read_text())
        return report

    return command


def test_a_day_and_the_same_day_again(
    run: Callable[..., Plain], url: str, servers: tuple[LocalFcm, LocalSmtp], tmp_path: Path
) -> None:
    fcm, smtp = servers
    report = run()
    assert {name: report[name] for name in EXPECTED} == EXPECTED

    assert [(push["token"], push["notification"]["title"]) for push in fcm.received] == [
        ("token-ada", "Ada, your cart waits")
    ]
    assert fcm.requests == {"token-ada": 1, "dead-bob": 1}
    assert subjects(smtp) == {
        ("ada@example.com", "Your cart"): 1,
        ("eve@example.com", "Order 1"): 1,
        ("tom@example.com", "Order 3"): 1,
        ("tom@example.com", "Order 4"): 1,
    }
    assert smtp.tried["bounce-bob@example.com"] == 1

    store = open_store(url, create=False)
    before = content(store)
    users = {row.user: json.loads(row.profile) for row in store.scan_users()}
    assert sorted(users) == ["ada", "bob", "eve", "sue", "tom", "zoe", "~visitor-a"]
    assert users["ada"]["attributes"] == {"name": "Ada", "email": "ada@example.com", "context.device.type": "ios"}
    assert list(users["ada"]["segments"]) == ["waiting"]
    assert users["ada"]["anonymous"] == ["visitor-a"]
    assert list(users["zoe"]) == ["user", "deleted"]
    assert store.read_events("zoe") == []
    assert [event.name or event.type for event in store.read_events("eve") if event.type != "receipt"] == [
        "Order Completed",
        "Product Added",
        "identify",
    ]
    # What became of sends has come back: they are events, and bob's addresses are of no use any more.
    assert {event.name for event in store.read_events("ada") if event.type == "receipt"} == {
        "Push Accepted",
        "Email Accepted",
    }
    assert (users["bob"]["tokens"], users["bob"]["blocked"]) == ([], {"bounce-bob@example.com": "bounced"})
    assert {row.user: row.open_sends for row in store.scan_users() if row.open_sends} == {}
    assert sorted(member.user for member in store.scan_members("waiting")) == ["ada", "bob"]
    assert sorted(member.user for member in store.scan_members("buyers")) == ["eve", "sue", "tom"]
    assert [(row.step, row.channel, row.state, row.detail.partition(":")[0]) for row in store.read_ledger("bob")] == [
        ("cart_mail", "email", "failed", "bad_address"),
        ("cart_push", "push", "failed", "dead_token"),
    ]
    assert store.read_identities("anonymous", ["visitor-a"])["visitor-a"].user == "ada"
    assert store.read_identities("token", ["token-eve"])["token-eve"].user == "eve"

    again = run("--continue")
    assert again["read"] == report["read"]
    # Zoe's first message was applied before she was deleted; now it comes from before her deletion.
    assert again["duplicates"] == report["applied"] + report["duplicates"] - 1
    assert {name: again[name] for name in ("applied", "deleted", "dead_letters", "later", "sends", "suppressed")} == {
        "applied": 0,
        "deleted": 2,
        "dead_letters": 3,
        "later": 1,
        "sends": {},
        "suppressed": {},
    }
    assert again["segments"] == report["segments"]
    assert (fcm.requests.total(), smtp.tried.total()) == (2, 5)
    assert content(store) == before
    store.close()

    letters = [json.loads(line) for line in (tmp_path / "outbox" / "dead_letters.jsonl").read_text().splitlines()]
    assert Counter(letter["cause"] for letter in letters) == {"not_json": 2, "no_event": 2, "refused_id": 2}


def subjects(smtp: LocalSmtp) -> Counter[tuple[str, str]]:
    mails = [email.message_from_bytes(mail.content, policy=email.policy.default) for mail in smtp.received]
    return Counter((str(mail["To"]), str(mail["Subject"])) for mail in mails)


def content(store: Store) -> Plain:
    """What a repeated run must leave as it was: everything but versions."""
    return {
        "profiles": {row.user: json.loads(row.profile) for row in store.scan_users()},
        "events": {row.user: store.read_events(row.user) for row in store.scan_users()},
        "members": {name: {(row.user, row.since) for row in store.scan_members(name)} for name in EXPECTED["segments"]},
        "ledger": list(store.scan_ledger()),
    }
