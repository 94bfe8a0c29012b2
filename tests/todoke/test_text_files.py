"""Texts in files beside the definitions: found, checked at file and line, published, compared, and run."""

import json
import shutil
from email import policy
from email.parser import BytesParser
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "welcome"


@pytest.fixture
def welcome(tmp_path: Path) -> Path:
    """A copy of the example, to be changed."""
    shutil.copytree(EXAMPLE, tmp_path / "welcome")
    return tmp_path / "welcome"


def mails(outbox: Path) -> dict[str, str]:
    """The mails of an outbox by their receiver, HTML and text in one."""
    found = {}
    for path in (outbox / "mail").glob("*.eml"):
        mail = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
        found[mail["To"]] = "".join(mail.get_body((kind,)).get_content() for kind in ("html", "plain"))
    return found


def test_the_example_runs_as_a_folder_as_a_file_and_from_a_pointer(todoke, welcome, tmp_path):
    assert todoke("publish", "welcome", "--to", "shop.json").returncode == 0
    shutil.copytree(welcome, tmp_path / "kept")
    sent = []
    for number, place in enumerate(("welcome", "welcome/welcome.yaml", "shop.json")):
        if place.endswith(".json"):
            shutil.rmtree(welcome)  # a publication carries all that it needs
        events = "kept/events.jsonl"
        words = ["--definitions", place, "--events", events, "--store", "none", "--outbox", f"out{number}"]
        ran = todoke("run", *words)
        assert ran.returncode == 0, ran.stderr
        sent.append(mails(tmp_path / f"out{number}"))
    assert sent[0].keys() == {"ada@example.com", "emi@example.com"}
    ada, emi = sent[0]["ada@example.com"], sent[0]["emi@example.com"]
    assert "The shop" in ada
    assert "Hello Ada," in ada
    assert "because of: you signed up." in ada
    assert "because of: 会員登録." in emi
    assert "{%" not in ada + emi
    assert sent[0] == sent[1] == sent[2]


@pytest.mark.parametrize("changed", ["mails/welcome.mjml", "mails/footer.liquid", "mails/header.mjml"])
def test_a_changed_file_is_a_changed_revision_and_a_changed_message(todoke, welcome, tmp_path, changed):
    shutil.copytree(welcome, tmp_path / "old")
    file = welcome / changed
    file.write_text(file.read_text().replace("</mj-text>", "!</mj-text>").replace("No more", "Never more"))
    found = json.loads(todoke("diff", "old", "welcome", "--json").stdout)
    [campaign] = found["campaigns"]
    assert (campaign["kind"], campaign["fields"]) == ("changed", ["messages"])
    published = [
        json.loads(todoke("publish", name, "--to", "shop.json", "--json").stdout) for name in ("old", "welcome")
    ]
    assert published[0]["revision"] != published[1]["revision"]


MISTAKES = [
    (
        "mails/welcome.mjml",
        "Look around",
        "{{ usr.x }}",
        ":9: error: messages.welcome_mail.mjml.en: Liquid: unknown var",
    ),
    (
        "mails/welcome.mjml",
        "Look around",
        "{{ user.x | shout }}",
        ":9: error: messages.welcome_mail.mjml.en: Liquid: unk",
    ),
    ("mails/welcome.mjml", "Look around", "{% if %}", ":9: error: messages.welcome_mail.mjml.en: Liquid: "),
    (
        "mails/welcome.mjml",
        "<mj-button",
        "<mj-buton",
        ":9: error: messages.welcome_mail.mjml.en: MJML has no tag `mj-but",
    ),
    (
        "mails/footer.liquid",
        "{{ reason }}",
        "\n{{ raison }}",
        ":2: error: messages.welcome_mail.mjml.en: Liquid: unknown v",
    ),
    ("mails/footer.liquid", "{{ reason }}", "\n{{ reason", ":2: error: messages.welcome_mail.mjml.en: Liquid: "),
    (
        "mails/welcome.mjml",
        "'footer'",
        "'foter'",
        ":10: error: messages.welcome_mail.mjml.en: Liquid: there is no file `fo",
    ),
    (
        "mails/welcome.mjml",
        "'header'",
        "'header', a: 1",
        ":1: error: messages.welcome_mail.mjml.en: `header` holds MJML",
    ),
    ("mails/welcome.txt", None, "", ":1: error: messages.welcome_mail.text: expected text; found an empty file"),
    ("mails/welcome.txt", None, "\ud800", ":1: error: (top): cannot be read: "),
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_at_its_file_and_line(todoke, welcome, mistake):
    name, part, instead, expected = mistake
    file = welcome / name
    text = instead if part is None else file.read_text().replace(part, instead)
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    found = todoke("validate", "welcome")
    assert found.returncode == 2
    assert f"welcome/{name}{expected}" in found.stderr


@pytest.mark.parametrize(
    "name",
    ["mails/none.txt", "../secret.txt", "/etc/hostname", "mails/../../secret.txt", "link.txt", "welcome.yaml", "mails"],
)
def test_what_is_no_file_of_the_folder_is_not_read(todoke, welcome, tmp_path, name):
    (tmp_path / "secret.txt").write_text("secret")
    (welcome / "link.txt").symlink_to(tmp_path / "secret.txt")
    file = welcome / "welcome.yaml"
    file.write_text(file.read_text().replace("mails/welcome.txt", name))
    found = todoke("validate", "welcome")
    assert found.returncode == 2
    line = file.read_text().split("\n").index(f"    text: {{file: {name}}}") + 1
    assert (
        f"welcome/welcome.yaml:{line}: error: messages.welcome_mail.text.file: there is no file `{name}`"
        in found.stderr
    )


def test_a_partial_of_definitions_themselves_and_of_folders_around(todoke, welcome):
    (welcome / "deep").mkdir()
    (welcome / "deep" / "more.yaml").write_text(
        "messages:\n"
        "  hi: {channel: push, title: \"{% render 'hello', name: user.first_name %}\", body: {file: hi.txt}}\n"
        "campaigns: {hi: {owner: o, trigger: {enters: members}, steps: [{send: hi}], consent: news}}\n"
    )
    (welcome / "hello.liquid").write_text("Hello {{ name }}")
    (welcome / "hi.txt").write_text(
        "{% for item in event.items %}{% render 'deep/item' with item as thing %}{% endfor %}x"
    )
    (welcome / "deep" / "item.txt").write_text("{{ thing.sku }}")
    assert todoke("validate", "welcome").returncode == 0
    (welcome / "deep" / "hello.liquid").write_text("{{ nobody }}")
    assert (
        "deep/hello.liquid:1: error: messages.hi.title: Liquid: unknown variable"
        in todoke("validate", "welcome").stderr
    )


def test_any_text_may_stand_in_a_file(todoke, welcome, tmp_path):
    (welcome / "welcome.yaml").write_text(
        "segments: {s: {owner: o, members: {event: Signed Up}}}\n"
        "campaigns:\n"
        "  c: {owner: o, trigger: {enters: s}, transactional: true, steps: [{send: m}, {send: p}, {send: w}]}\n"
        "messages:\n"
        "  m: {channel: email, subject: {file: t}, text: {file: t}, from: {file: f}, reply_to: {en: {file: f}}}\n"
        "  p: {channel: inbox, title: {file: t}, body: {en: {file: t}}}\n"
        "  w: {channel: webhook, url: {file: u}, body: x, headers: {X: {file: t}}}\n"
    )
    for name, text in (("t", "Hi {{ user.id }}\n"), ("f", "Shop: A <a@b.c>\n"), ("u", "https://a.example\n")):
        (welcome / name).write_text(text)
    words = ["--definitions", "welcome", "--events", "welcome/events.jsonl", "--store", "none", "--report", "r.json"]
    ran = todoke("run", *words)
    assert ran.returncode == 0, ran.stderr
    assert json.loads((tmp_path / "r.json").read_text())["suppressed"] == {}
    [line] = [line for line in (tmp_path / "outbox").glob("webhook-*") if line.stat().st_size]
    assert json.loads(line.read_text().splitlines()[0])["headers"] in ({"X": "Hi ada"}, {"X": "Hi emi"})
    senders = {path.read_text().partition("\n")[0] for path in (tmp_path / "outbox" / "mail").glob("*.eml")}
    assert senders == {'From: "Shop: A" <a@b.c>'}


def test_a_partial_that_renders_itself_is_a_mistake(todoke, welcome):
    (welcome / "mails" / "footer.liquid").write_text("{% render 'footer', reason: reason %}")
    refused = todoke("validate", "welcome")
    assert refused.returncode == 2
    assert "welcome/mails/footer.liquid:1: error: " in refused.stderr
    assert "a partial that renders itself" in refused.stderr
