"""`todoke user`: one user as a run left it, for people and for programs."""

import json

import pytest
from rich.console import Console

from todoke.user import print_user, user_json
from transforms.storage.open import open_reader, open_store
from transforms.storage.rows import EventRow, LedgerRow, UserRow


def shown(todoke, store, user):
    done = todoke("user", user, "--store", store, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_json_holds_profile_memberships_journeys_and_the_whole_past(todoke, store):
    ann = shown(todoke, store, "ann")
    assert ann["attributes"] == {
        "name": "Ann",
        "plan": "pro",
        "context.timezone": "Asia/Tokyo",
        "context.device.type": "ios",
    }
    assert set(ann["segments"]) == {"buyers", "regulars"}
    assert ann["journeys"] == []  # it was the merge that made her a buyer, and merges trigger nothing
    told = [
        (entry["time"][:10], entry["kind"], entry.get("name") or entry.get("type") or entry["campaign"])
        for entry in ann["timeline"]
    ]
    assert told == sorted(told, key=lambda entry: entry[0])
    assert ("2026-03-02", "event", "Order Completed") in told  # from before she was known
    assert ("2026-03-10", "event", "Order Completed") in told


def test_a_journey_with_its_send(todoke, store):
    cat = shown(todoke, store, "cat")
    [journey] = cat["journeys"]
    assert (journey["campaign"], journey["due"]) == ("greet", "2026-12-31T12:00:00Z")
    [send] = [entry for entry in cat["timeline"] if entry["kind"] == "send"]
    assert (send["campaign"], send["step"], send["channel"]) == ("greet", "thanks", "push")
    text = todoke("user", "cat", "--store", store).stdout
    assert "journey greet: waits at " in text
    assert "push " in text


def test_a_refusal_with_its_reason(todoke, store):
    bob = shown(todoke, store, "bob")
    [refusal] = [entry for entry in bob["timeline"] if entry["kind"] != "event"]
    assert (refusal["kind"], refusal["campaign"]) == ("refusal", "greet")
    assert refusal["detail"]
    text = todoke("user", "bob", "--store", store).stdout
    assert f"no send: {refusal['detail']}" in text


def test_text_for_people(todoke, store):
    done = todoke("user", "ann", "--store", store)
    assert (done.returncode, done.stderr) == (0, "")
    for part in ("ann\n", 'attribute plan: "pro"', "segment buyers: ", "2026-03-10 12:00:00"):
        assert part in done.stdout


def test_brackets_are_shown_as_they_are(todoke, store):
    """Not taken for the mark-up of the library that draws the table, nor for commands of the terminal."""
    done = todoke("user", "b[old]", "--store", store)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("b[old]\n")
    assert "[/odd] [red]�[2Jname" in done.stdout
    assert '["[b]", "x"]' in done.stdout


def test_an_anonymous_user(todoke, store):
    anonymous = shown(todoke, store, "~device-2")
    assert [entry["name"] for entry in anonymous["timeline"] if entry["kind"] == "event"] == ["Order Completed"]
    assert set(anonymous["segments"]) == {"buyers"}


def test_an_anonymous_user_who_became_known(todoke, store):
    assert shown(todoke, store, "~device-1")["owner"] == "ann"
    assert "owner: ann" in todoke("user", "~device-1", "--store", store).stdout


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_an_unknown_user_is_wrong_use(todoke, store, flags):
    done = todoke("user", "device-2", "--store", store, *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert 'the store knows no user "device-2"' in done.stderr


def test_a_store_of_no_kind_is_wrong_use(todoke):
    done = todoke("user", "ann", "--store", "bigtable:p")
    assert done.returncode == 2
    assert '--store: expected sqlite:PATH or bigtable:PROJECT/INSTANCE; found "bigtable:p"' in done.stderr


def test_a_call_that_stands_at_the_visitor_and_at_the_user_is_shown_once(tmp_path):
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    store.write_users([UserRow("ann", 1, b"", b'{"user": "ann", "anonymous": ["phone"]}')])
    payload = b'{"properties": {}, "traits": {}, "context": {}}'
    store.write_events([EventRow(user, 5, "m1", 6, "track", "Seen", "live", payload) for user in ("ann", "~phone")])
    reader = open_reader(f"sqlite:{tmp_path / 'store.db'}")
    assert [entry["id"] for entry in user_json(reader, "ann")["timeline"]] == ["m1"]
    reader.close()
    store.close()


def test_the_arrival_is_shown_where_it_differs(tmp_path, capsys):
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    store.write_users([UserRow("ann", 1, b"", b'{"user": "ann"}')])
    payload = b'{"properties": {}, "traits": {}, "context": {}}'
    for id_, arrival in (("m1", 0), ("m2", 61_000_000)):
        store.write_events([EventRow("ann", 0, id_, arrival, "track", "Seen", "live", payload)])
    reader = open_reader(f"sqlite:{tmp_path / 'store.db'}")
    first, second = user_json(reader, "ann")["timeline"]
    assert "arrival" not in first
    assert second["arrival"] == "1970-01-01T00:01:01Z"
    print_user(Console(width=200), reader, "ann")
    assert capsys.readouterr().out.count("(arrived 1970-01-01 00:01:01)") == 1
    reader.close()
    store.close()


@pytest.mark.parametrize(("length", "said"), [(93, f'"{"x" * 93}"'), (94, f'"{"x" * 93}…')])
def test_what_is_longer_than_its_line_ends_with_dots(tmp_path, capsys, length, said):
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    store.write_users([UserRow("ann", 1, b"", b'{"user": "ann"}')])
    payload = b'{"properties": {"path": "%s"}, "traits": {}, "context": {}}' % (b"x" * length)
    store.write_events([EventRow("ann", 0, "m1", 0, "track", "Seen", "live", payload)])
    reader = open_reader(f"sqlite:{tmp_path / 'store.db'}")
    print_user(Console(width=200), reader, "ann")
    assert capsys.readouterr().out.split("path ")[1].strip() == said
    reader.close()
    store.close()


def test_of_a_receipt_what_its_name_does_not_say_is_shown_first(tmp_path, capsys):
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    store.write_users([UserRow("ann", 1, b"", b'{"user": "ann"}')])
    said = {"kind": "clicked", "channel": "email", "send": "1" * 24, "campaign": "c" * 50, "link": "shoes"}
    for id_, more in (("m1", {}), ("m2", {"machine": True, "reason": "all_links"})):
        payload = json.dumps({"properties": said | more, "traits": {}, "context": {}}).encode()
        store.write_events([EventRow("ann", 0, id_, 0, "receipt", "Email Clicked", "live", payload)])
    reader = open_reader(f"sqlite:{tmp_path / 'store.db'}")
    print_user(Console(width=200), reader, "ann")
    person, machine = capsys.readouterr().out.split("Email Clicked")[1:]
    assert person.strip().startswith('link "shoes", kind ')
    assert machine.strip().startswith('reason "all_links", machine true, link "shoes", kind ')
    reader.close()
    store.close()


def test_why_nothing_went_out_stands_in_the_line_of_the_send_and_nowhere_again(todoke, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "d.yaml").write_text(
        "messages: {m: {channel: push, title: '{{ event.name }}'}}\n"
        "campaigns: {c: {owner: o, transactional: true, trigger: {event: Seen}, reenter: always, steps: [{send: m}]}}\n"
    )
    calls = [
        {"type": "identify", "timestamp": "2026-03-01T00:00:00Z", "context": {"device": {"token": "t", "type": "ios"}}},
        {"type": "track", "event": "Seen", "timestamp": "2026-03-02T00:00:00Z", "properties": {"other": 1}},
    ]
    lines = [json.dumps({"userId": "ann", "messageId": str(place), **call}) for place, call in enumerate(calls)]
    (tmp_path / "e.jsonl").write_text("\n".join(lines))
    done = todoke("run", "--definitions", "d.yaml", "--events", "e.jsonl", "--store", "sqlite:s.db")
    assert done.returncode == 0, done.stderr
    [refusal] = [entry for entry in shown(todoke, "sqlite:s.db", "ann")["timeline"] if entry["kind"] == "refusal"]
    text = todoke("user", "ann", "--store", "sqlite:s.db").stdout
    assert text.count("render_error") == 1
    assert f"no send: {refusal['detail']}" in text
    told = [entry["name"] for entry in shown(todoke, "sqlite:s.db", "ann")["timeline"] if entry["kind"] == "event"]
    assert "Push Suppressed" in told, "programs get all"


@pytest.mark.parametrize(
    ("state", "detail", "said"),
    [
        ("failed", "bad_address: no mailbox", "push failed c: bad_address: no mailbox"),
        ("unknown", "timeout", "push unknown c: timeout"),
        ("handed_off", "projects/p/messages/1", "push handed_off c"),
    ],
)
def test_a_send_says_why_it_did_not_go_out(todoke, tmp_path, state, detail, said):
    store = open_store(f"sqlite:{tmp_path / 's.db'}")
    store.write_users([UserRow("ann", 1, b"", b'{"user": "ann"}')])
    store.record([LedgerRow("ann", "s1", state, "c", "", "push", 0, 0, detail=detail)])
    store.close()
    assert " ".join(todoke("user", "ann", "--store", "sqlite:s.db").stdout.split()).endswith(said)


def test_a_run_that_applied_nothing_is_of_no_time(todoke, tmp_path, finished):
    (tmp_path / "e.jsonl").write_text("not JSON\n")
    flags = ("--definitions", finished / "definitions.yaml", "--events", "e.jsonl", "--store", "none")
    done = todoke("run", *flags, "--report", "r.json")
    assert done.returncode == 0, done.stderr
    assert "nothing was applied, in " in done.stdout
    assert json.loads((tmp_path / "r.json").read_text())["as_of"] is None
