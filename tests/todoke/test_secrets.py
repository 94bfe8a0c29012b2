"""Secrets of webhooks: they reach the server, and nothing else: no ledger, outbox, preview, report or log."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from channels.local_http import local_http

DEFINITIONS = """
segments: {buyers: {owner: crm, members: {event: Order Completed}}}
messages:
  hook:
    channel: webhook
    url: "URL/{{ secrets.PATH }}?user={{ user.id }}"
    headers:
      Authorization: "Bearer {{ secrets.KEY }}"
      X-Basic: "{{ secrets.KEY | append: ':' | append: secrets.KEY | base64_encode }}"
    body: {user: "{{ user.id }}"}
campaigns:
  tell: {owner: crm, trigger: {enters: buyers}, steps: [{send: hook}], consent: offers}
"""
KEY, PLACE = "s3cr3t-key-0123456789", "hidden-place-987"
ENCODED = "czNjcjN0LWtleS0wMTIzNDU2Nzg5OnMzY3IzdC1rZXktMDEyMzQ1Njc4OQ=="
BASE = ("run", "--definitions", "shop.yaml", "--events", "events.jsonl")
CALLS = ["--webhook", "--webhook-allow", "127.0.0.1", "--store", "sqlite:shop.db"]


@pytest.fixture
def site(tmp_path: Path):
    """A server, the definitions that call it, and an event of a moment ago: a named channel takes the wall clock."""
    at = (datetime.now(UTC) - timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    line = {"type": "track", "event": "Order Completed", "userId": "ann", "timestamp": at, "messageId": "m1"}
    (tmp_path / "events.jsonl").write_text(json.dumps(line))
    with local_http() as server:
        (tmp_path / "shop.yaml").write_text(DEFINITIONS.replace("URL", server.url))
        yield server


def everything(folder: Path) -> str:
    """Whatever stands in any file of a folder."""
    return "".join(path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file())


def hides(*texts: str) -> bool:
    return not any(secret in text for secret in (KEY, PLACE, ENCODED, KEY[:12], ENCODED[:16]) for text in texts)


def test_the_outbox_and_a_preview_show_masks_and_need_no_secret(todoke, tmp_path, site, monkeypatch):
    for known in (False, True):
        if known:
            monkeypatch.setenv("TODOKE_SECRET_KEY", KEY)
            monkeypatch.setenv("TODOKE_SECRET_PATH", PLACE)
        ran = todoke(*BASE, "--store", "none", "--outbox", f"out{known}")
        assert ran.returncode == 0, ran.stderr
        [path] = (tmp_path / f"out{known}").glob("webhook-*.jsonl")
        line = json.loads(path.read_bytes())
        assert line["url"] == f"{site.url}/***?user=ann"
        assert line["headers"]["Authorization"] == "Bearer ***"
        shown = todoke("preview", "tell", "--definitions", "shop.yaml", "--events", "events.jsonl")
        assert shown.returncode == 0, shown.stderr
        assert "/***?user=ann" in shown.stdout
        assert hides(everything(tmp_path), shown.stdout, shown.stderr, ran.stdout, ran.stderr)
    assert site.requests == []


def test_a_missing_secret_is_refused_at_launch(todoke, site, monkeypatch):
    monkeypatch.setenv("TODOKE_SECRET_KEY", KEY)
    ran = todoke(*BASE, *CALLS)
    assert ran.returncode == 2
    assert "--webhook: set TODOKE_SECRET_PATH: a webhook's `{{ secrets.PATH }}` needs it" in ran.stderr
    monkeypatch.setenv("TODOKE_SECRET_PATH", f"{PLACE}\nX: y")
    ran = todoke(*BASE, *CALLS)
    assert ran.returncode == 2
    assert "TODOKE_SECRET_PATH: a line break or control character cannot stand in a header" in ran.stderr
    assert hides(ran.stderr)
    assert site.requests == []


@pytest.mark.parametrize("status", [200, 404, 500, 0])
def test_a_server_gets_the_secrets_and_nobody_else(todoke, tmp_path, site, monkeypatch, status):
    monkeypatch.setenv("TODOKE_SECRET_KEY", KEY)
    (tmp_path.parent / "place").write_text(PLACE)
    monkeypatch.setenv("TODOKE_SECRET_PATH", f"file:{tmp_path.parent / 'place'}")
    answer = f"no {KEY} at {PLACE} {ENCODED}".encode()
    site.answers += [(status, {}, answer)] * 3
    ran = todoke(*BASE, *CALLS, "--report", "report.json")
    assert ran.returncode == 0, ran.stderr
    request = site.requests[0]
    assert request.path == f"/{PLACE}?user=ann"
    assert (request.headers["authorization"], request.headers["x-basic"]) == (f"Bearer {KEY}", ENCODED)
    shown = todoke("user", "ann", "--store", "sqlite:shop.db", "--json")
    assert "webhook" in shown.stdout
    assert hides(everything(tmp_path), ran.stdout, ran.stderr, shown.stdout, shown.stderr)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("{user: ", "{key: '{{ secrets.KEY }}', user: "), "messages.hook.body.key"),
        (("{{ secrets.PATH }}", "{{ secrets[user.id] }}"), "messages.hook.url"),
        (("{{ secrets.PATH }}", "{% assign s = secrets %}{{ s.KEY }}"), "messages.hook.url"),
        (("steps: [", "steps: [{set: {a: '{{ secrets.KEY }}'}}, "), "campaigns.tell.steps[0].set.a"),
        (("consent: offers", "consent: offers, with: {secrets: {last: A}}"), "campaigns.tell.with.secrets"),
    ],
)
def test_secrets_anywhere_else_are_a_mistake(todoke, tmp_path, site, change, path):
    (tmp_path / "shop.yaml").write_text((tmp_path / "shop.yaml").read_text().replace(*change))
    found = todoke("validate", "shop.yaml")
    assert found.returncode == 2
    assert f"error: {path}: " in found.stderr
