"""Text messages end to end: from a phone number to a provider, what it says of the number, and definitions of them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Todoke

from transforms.campaigns.load import check
from transforms.channels.sms.local_sms import LocalSms
from transforms.events.times import write_time
from transforms.storage.open import open_store

DEFINITIONS = """\
policies: {default_region: JP}
messages:
  hello: {channel: sms, text: "Hello {{ user.name }}", from: Shop}
campaigns:
  greet:
    owner: crm
    trigger: {event: Seen}
    reenter: always
    consent: offers
    steps: [{send: hello}]
"""
STOPPED = "+15005550004"
#: Half an hour ago: what goes to a provider must not be late.
START = (int(time.time()) - 1800) * 1_000_000


@pytest.fixture
def provider() -> Iterator[LocalSms]:
    server = LocalSms.start()
    yield server
    server.stop()


def say(type_: str, minute: int, user: str, **said: object) -> str:
    at = write_time(START + minute * 60_000_000)
    return json.dumps({"type": type_, "messageId": f"{user}{minute}", "timestamp": at, "userId": user, **said})


def person(user: str, phone: str, *, granted: bool = True) -> list[str]:
    consent = {"topic": "offers", "channel": "sms", "granted": granted}
    return [
        say("identify", 0, user, traits={"name": user.title(), "phone": phone}),
        *([say("track", 1, user, event="Consent Changed", properties=consent)] if granted else []),
        say("track", 2, user, event="Seen"),
    ]


def run(todoke: Todoke, folder: Path, lines: list[str], *more: str) -> dict:
    (folder / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    (folder / "e.jsonl").write_text("\n".join(lines), encoding="utf-8")
    flags = ("--definitions", "d.yaml", "--events", "e.jsonl", "--store", "sqlite:u.db", "--report", "r.json")
    done = todoke("run", *flags, *more)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "r.json").read_text(encoding="utf-8"))


def test_numbers_in_any_form_are_reached_and_unset_consent_is_a_denial(todoke, tmp_path) -> None:
    lines = [
        *person("ada", "090-1234-5678"),
        *person("ben", "+1 (415) 555-2671"),
        *person("cat", "+81 90 8765 4321", granted=False),
        *person("dan", "no number"),
        *person("fay", ""),
    ]
    report = run(todoke, tmp_path, lines)
    assert report["sends"] == {"sms": {"handed_off": 2}}
    assert report["suppressed"] == {"no_consent": 1, "unreachable": 2}
    assert "no send: unreachable" in todoke("user", "dan", "--store", "sqlite:u.db").stdout
    struck = todoke("sends", "--reason", "unreachable", "--store", "sqlite:u.db").stdout.splitlines()
    assert [line.split("  ")[4] for line in struck] == ["dan", "fay"]
    [file] = (tmp_path / "outbox").glob("sms-*.jsonl")
    written = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert {(line["to"], line["from"], line["text"], line["alphabet"], line["segments"]) for line in written} == {
        ("+819012345678", "Shop", "Hello Ada", "GSM-7", 1),
        ("+14155552671", "Shop", "Hello Ben", "GSM-7", 1),
    }


def test_stop_at_the_provider_denies_text_messages_as_a_whole(todoke, tmp_path, provider) -> None:
    flag = f"--sms=twilio:AC1@{provider.url}"
    lines = [*person("ada", "090-1234-5678"), *person("eve", STOPPED)]
    report = run(todoke, tmp_path, lines, flag)
    assert report["sends"] == {"sms": {"handed_off": 1, "failed": 1}}
    again = [say("track", 5, "ada", event="Seen"), say("track", 5, "eve", event="Seen")]
    report = run(todoke, tmp_path, again, flag, "--continue")
    assert report["suppressed"] == {"no_consent": 1}
    assert [taken["to"] for taken in provider.received] == ["+819012345678"] * 2
    store = open_store(f"sqlite:{tmp_path / 'u.db'}")
    consent = json.loads(store.read_users(["eve"])["eve"].profile)["consent"]
    assert (consent["all/sms"], consent["offers/sms"]) == (False, True)
    assert {row.user for row in store.read_identities("address", ["+819012345678"]).values()} == {"ada"}
    store.close()
    shown = " ".join(todoke("user", "eve", "--store", "sqlite:u.db").stdout.split())
    assert "consent all/sms: false consent offers/sms: true, but all/sms denies it" in shown
    assert "sms failed greet / hello: unsubscribed: 21610 Attempt to send" in shown
    assert 'Sms Unsubscribed reason "unsubscribed"' in shown
    assert "but all/sms" not in todoke("user", "ada", "--store", "sqlite:u.db").stdout


def test_a_preview_tells_the_segments(todoke, tmp_path) -> None:
    (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    (tmp_path / "e.jsonl").write_text("\n".join(person("届", "090-1234-5678")), encoding="utf-8")
    done = todoke("preview", "greet", "--definitions", "d.yaml", "--events", "e.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    happened = json.loads(done.stdout)["sample"][0]["happened"]
    [sent] = [each for each in happened if each["what"] == "sent"]
    assert (sent["text"], sent["note"]) == ("Hello 届", "1 segment of UCS-2")


def test_a_preview_tells_the_segments_of_a_text_that_is_cut(todoke, tmp_path) -> None:
    (tmp_path / "d.yaml").write_text(DEFINITIONS.replace("Hello", "Hello " * 60), encoding="utf-8")
    (tmp_path / "e.jsonl").write_text("\n".join(person("ada", "090-1234-5678")), encoding="utf-8")
    done = todoke("preview", "greet", "--definitions", "d.yaml", "--events", "e.jsonl")
    assert done.returncode == 0, done.stderr
    assert 'hello: sms hello (3 segments of GSM-7), "Hello Hello ' in done.stdout
    assert done.stdout.rstrip().endswith('…"')


@pytest.mark.parametrize(
    ("old", "new", "place", "cause"),
    [
        ("default_region: JP", "default_region: jp", "d.yaml:1: error: policies.default_region:", "`jp` is no region"),
        ("default_region: JP", "default_region: UK", "d.yaml:1: error: policies.default_region:", "`UK` is no region"),
        (', text: "Hello {{ user.name }}"', "", "d.yaml:3: error: messages.hello:", "`text`"),
        ("from: Shop", "from: A shop with a name", "d.yaml:3: error: messages.hello.from:", "at most 11 letters"),
        ("from: Shop", "title: Shop", "d.yaml:3: error: messages.hello.title:", "unknown key"),
    ],
)
def test_mistakes_name_file_and_line(old: str, new: str, place: str, cause: str) -> None:
    _, problems = check((("d.yaml", DEFINITIONS.replace(old, new)),))
    assert [(str(each).startswith(place), cause in str(each)) for each in problems.errors] == [(True, True)], [
        str(each) for each in problems.errors
    ]


def test_a_launch_whose_messages_lack_what_they_show_is_refused(todoke, tmp_path, monkeypatch) -> None:
    for name in ("TODOKE_SMS_FROM", "TODOKE_UNSUBSCRIBE_URL", "TODOKE_UNSUBSCRIBE_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TODOKE_SMS_TOKEN", "t")
    (tmp_path / "e.jsonl").write_text("", encoding="utf-8")
    flags = ("--definitions", "d.yaml", "--events", "e.jsonl", "--store", "none")
    for old, new, cause in (
        (", from: Shop", "", "--sms: set TODOKE_SMS_FROM, or give message `hello` a `from`"),
        ("user.name", "unsubscribe_url", "--sms: set TODOKE_UNSUBSCRIBE_URL and TODOKE_UNSUBSCRIBE_SECRET"),
    ):
        (tmp_path / "d.yaml").write_text(DEFINITIONS.replace(old, new), encoding="utf-8")
        done = todoke("run", *flags, "--sms=twilio:AC1")
        assert (done.returncode, cause in done.stderr) == (2, True), done.stderr


def test_a_control_character_of_a_user_goes_to_nobody(todoke, tmp_path, provider) -> None:
    lines = [*person("ada\x00", "090-1234-5678"), *person("eve\x1b[2J", "090-1234-5679")]
    report = run(todoke, tmp_path, lines, f"--sms=twilio:AC1@{provider.url}")
    assert (report["suppressed"], provider.received) == ({"render_error": 2}, [])


def test_a_launch_without_a_token_is_refused(todoke, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("TODOKE_SMS_TOKEN", raising=False)
    (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    (tmp_path / "e.jsonl").write_text("", encoding="utf-8")
    flags = ("--definitions", "d.yaml", "--events", "e.jsonl", "--store", "none")
    for url, cause in (
        ("twilio:AC1", "--sms: set TODOKE_SMS_TOKEN to the auth token"),
        ("https://sms.example.com/", "--sms: set TODOKE_SMS_TOKEN to the bearer token"),
        ("http://sms.example.com/", "--sms: over http://"),
        ("smtp://x:1", "--sms: expected twilio:ACCOUNT"),
    ):
        done = todoke("run", *flags, f"--sms={url}")
        assert (done.returncode, cause in done.stderr) == (2, True), done.stderr
