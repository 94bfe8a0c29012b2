import subprocess
import sys

import msgspec
import pytest

from transforms.channels.email.message import MailMessage
from transforms.channels.push.message import PushMessage
from transforms.identity.channels import channels
from transforms.messages.definitions import Text

PUSH = """
hello:
  channel: push
  title: {en: "Hello {{ user.first_name | default: 'there' }}", ja_JP: "ようこそ"}
  body: Hi
  data: {screen: {en: home, ja: ホーム}, level: 3, pro: true}
  deep_link: "shop://{{ event.order_id }}"
  badge: 2
  sound: ping
  collapse_key: hello
  ttl: 2h
  priority: high
  devices: latest
"""


def test_a_push_with_every_field(parse):
    messages, problems = parse(PUSH)
    assert problems == []
    assert messages["hello"] == PushMessage(
        id="hello",
        title=Text({"en": "Hello {{ user.first_name | default: 'there' }}", "ja-jp": "ようこそ"}),
        body=Text({"": "Hi"}),
        data={"screen": Text({"en": "home", "ja": "ホーム"}), "level": Text({"": "3"}), "pro": Text({"": "true"})},
        deep_link=Text({"": "shop://{{ event.order_id }}"}),
        badge=2,
        sound=Text({"": "ping"}),
        collapse_key=Text({"": "hello"}),
        ttl=7200,
        priority="high",
        devices="latest",
    )


def test_messages_are_plain_data(parse):
    messages, _ = parse(PUSH)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(messages["hello"]), type=PushMessage) == messages["hello"]


def test_a_mail_with_every_field(parse):
    messages, problems = parse(
        "m: {channel: email, subject: S, html: <p>h</p>, text: t, from: A <a@b.c>, reply_to: r@b.c, preheader: p}"
    )
    assert problems == []
    assert messages["m"] == MailMessage(
        id="m",
        subject=Text({"": "S"}),
        html=Text({"": "<p>h</p>"}),
        text=Text({"": "t"}),
        sender=Text({"": "A <a@b.c>"}),
        reply_to=Text({"": "r@b.c"}),
        preheader=Text({"": "p"}),
    )


MJML = "<mjml><mj-body><mj-section><mj-column>%s</mj-column></mj-section></mj-body></mjml>"


def test_mjml_becomes_html_with_its_liquid(parse):
    body = MJML % (
        "<mj-raw>{% for item in event.items %}</mj-raw>"
        "<mj-text>{% if event.n < 3 %}few{% endif %} {{ item.name }}</mj-text>"
        "<mj-raw>{% endfor %}</mj-raw><mj-button href='{{ unsubscribe_url }}'>x</mj-button>"
    )
    messages, problems = parse(f'm:\n  channel: email\n  subject: S\n  mjml: "{body}"\n')
    assert problems == []
    html = messages["m"].mjml.sources[""]
    assert "<mjml" not in html
    assert "<table" in html
    for tag in ("{% for item in event.items %}", "{% if event.n < 3 %}", "{{ item.name }}", "{% endfor %}"):
        assert tag in html
    assert 'href="{{ unsubscribe_url }}"' in html


MISTAKES = [
    ("m: {channel: line}", "a LINE message has `text` or `messages`"),
    ("m: {channel: line, text: x, messages: [{type: text, text: x}]}", "a LINE message has `text` or `messages`"),
    ("m: {channel: line, messages: []}", "expected a list of messages; found an empty list"),
    ("m: {channel: line, messages: [{text: x}]}", "expected one of LINE's message objects"),
    ("m: {channel: line, messages: [x]}", "expected one of LINE's message objects"),
    ("m: {channel: line, messages: [{type: text, text: '{{ usr.x }}'}]}", "unknown variable `usr`"),
    (
        "m: {channel: line, messages: [{type: a}, {type: a}, {type: a}, {type: a}, {type: a}, {type: a}]}",
        "LINE takes at most 5 messages at once",
    ),
    ("m: {channel: webhook, url: http://h}", "`body` is missing"),
    ("m: {channel: webhook, body: x}", "`url` is missing"),
    ("m: {channel: webhook, url: 5, body: x}", "expected text"),
    ("m: {channel: webhook, url: http://h, body: {a: [{b: '{% if %}'}]}}", "Liquid: "),
    (
        "m: {channel: webhook, url: http://h, body: y, headers: [a]}",
        "expected a mapping of header names to texts",
    ),
    ("m: {channel: webhook, url: http://h, body: y, headers: {a b: c}}", "`a b` is no header that can be set"),
    (
        "m: {channel: webhook, url: http://h, body: y, headers: {Content-LENGTH: c}}",
        "`Content-LENGTH` is no header",
    ),
    (
        "m: {channel: webhook, url: http://h, body: y, headers: {webhook-id: c}}",
        "`webhook-id` is no header",
    ),
    ("m: {channel: webhook, url: http://h, body: y, headers: {x-a: 5}}", "expected text"),
    ("m: {channel: inbox, image: x}", "an inbox message needs `title` or `body`"),
    ("m: {channel: inbox, title: x, expires: soon}", "expected a duration"),
    ("m: {channel: inbox, title: x, data: [a]}", "expected a mapping; found a list"),
    ("m: {channel: inbox, title: x, placement: Home Banner}", "lower-case letters, digits and _, such as home_banner"),
    ("m: {channel: inbox, title: x, trigger: {event: A}}", "a message with a `trigger` needs a `placement`"),
    ("m: {channel: inbox, title: x, placement: p, trigger: {}}", "expected one of `event`, `screen` and `page`"),
    ("m: {channel: inbox, title: x, placement: p, trigger: {event: A, page: B}}", "expected one of `event`"),
    ("m: {channel: inbox, title: x, placement: p, trigger: {event: 5}}", "expected the name of the event"),
    ("m: {channel: inbox, title: x, placement: p, trigger: {after: soon}}", "expected a duration"),
    ("m: {channel: inbox, title: x, placement: p, trigger: {click: A}}", "unknown key `click`"),
    ("m: {channel: inbox, title: x, data: {a: '{{ b }}'}}", "unknown variable `b`"),
    ("m: {channel: fax, title: x}", f"expected one of {', '.join(channels())}"),
    ("m: {title: x}", "`channel` is missing"),
    ("m: 3", "expected a mapping"),
    ("[]", "expected a mapping of message ids"),
    ("Bad-Id: {channel: push, title: x}", "`Bad-Id` is not an id"),
    ("m: {channel: push, title: x, apns: []}", "expected a mapping; found a list"),
    ("m: {channel: push, title: x, android: {a: '{{ b }}'}}", "unknown variable `b`"),
    ("m: {channel: push, title: x, subject: y}", "unknown key `subject`"),
    ("m: {channel: push, sound: x}", "needs `title` or `body`"),
    ('m: {channel: push, title: ""}', "empty text"),
    ("m: {channel: push, title: {}}", "an empty mapping"),
    ("m: {channel: push, title: {english: x}}", "`english` is not a locale"),
    ("m: {channel: push, title: {ja_JP: x, ja-jp: y}}", "given twice"),
    ("m: {channel: push, title: x, ttl: 5w}", "four weeks"),
    ("m: {channel: push, title: x, ttl: 1 month}", "no fixed length"),
    ("m: {channel: push, title: x, badge: -1}", "whole number"),
    ("m: {channel: push, title: x, priority: urgent}", "expected one of high, normal"),
    ("m: {channel: push, title: x, devices: some}", "expected one of all, latest"),
    ("m: {channel: push, title: x, data: {from: y}}", "reserved by FCM"),
    ("m: {channel: push, title: x, data: {google.x: y}}", "reserved by FCM"),
    ("m: {channel: push, title: x, data: {k: [1]}}", "expected text; found a list"),
    ("m: {channel: push, title: x, deep_link: a, data: {deep_link: b}}", "given in `data` and beside it"),
    ("m: {channel: email, text: x}", "`subject` is missing"),
    ("m: {channel: email, subject: x}", "needs a body"),
    ("m: {channel: email, subject: x, text: y, from: not an address}", "expected a mailbox"),
    (f"m: {{channel: email, subject: x, html: y, mjml: {MJML % ''}}}", "not both"),
    ("m: {channel: email, subject: x, text: y, preheader: z}", "`preheader` needs"),
    ("m: {channel: email, subject: x, mjml: hello}", "not MJML"),
    (f"m: {{channel: email, subject: x, mjml: {MJML % '<mj-txt>x</mj-txt>'}}}", "MJML has no tag `mj-txt` here"),
    (f"m: {{channel: email, subject: x, mjml: {MJML % '<p>x</p>'}}}", "MJML has no tag `p` here"),
    (f"m: {{channel: email, subject: x, mjml: {MJML % '<mj-text><mj-tx/></mj-text>'}}}", "MJML has no tag `mj-tx`"),
    ("m: {channel: email, subject: x, mjml: <mjml><mj-head><mj-foo/></mj-head></mjml>}", "MJML has no tag `mj-foo`"),
    ('m: {channel: email, subject: x, mjml: "<mjml><mj-body>{% if user.x %}</mj-body></mjml>"}', "tag"),
    (
        f"""m: {{channel: email, subject: x, mjml: "{MJML % "<mj-image src='a' width='{{ user.x }}'/>"}"}}""",
        "no place for `{{ user.x }}`",
    ),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_mistakes_of_form(parse, text, expected):
    _, problems = parse(text)
    assert any(expected in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ user.name", "Liquid: expected '}}'"),
        ("{% if user.x %}", "Liquid:"),
        ("{{ user.x | shout }}", "unknown filter `shout`"),
        ("{% include 'x' %}", "Liquid:"),
        ("{% render 'x' %}", "Liquid:"),
        ("{% frob %}", "Liquid:"),
        ("{{ name }}", "unknown variable `name`"),
        ("{{ today }}", "unknown variable `today`"),
        ("{{ [user.x] }}", "unknown variable"),
        ("{% for i in user.l %}{% endfor %}{{ i }}", "unknown variable `i`"),
        ("{{ 'a' | append: nome }}", "unknown variable `nome`"),
        ("line one\n{{ user.ok }}\n{{ nome }}", "`nome` in line 3 of the text"),
    ],
)
@pytest.mark.parametrize("place", ["title", "data"])
def test_mistakes_in_liquid_are_found_at_their_line(parse, template, expected, place):
    quoted = msgspec.json.encode(template).decode()
    field = f"title: {quoted}" if place == "title" else f"body: x\n  data:\n    k: {{en: {quoted}}}"
    _, problems = parse(f"m:\n  channel: push\n  {field}\n")
    line = 3 if place == "title" else 5
    assert any(expected in problem and problem.startswith(f"m.yaml:{line}: error: m.") for problem in problems), (
        problems
    )


def test_names_that_a_template_makes_itself_are_known(parse):
    template = (
        "{% assign a = user.x %}{% capture b %}{{ a }}{% endcapture %}{{ b }}{% increment n %}"
        "{% for i in event.l %}{{ forloop.index }}{{ i }}{% endfor %}"
        "{{ campaign }}{{ variant }}{{ now | date: '%Y' }}{{ unsubscribe_url }}"
    )
    _, problems = parse(f'm: {{channel: push, title: "{template}"}}')
    assert problems == []


def test_reading_definitions_loads_no_renderer():
    program = (
        "import sys; from transforms.messages.grammar import read_messages;"
        "print(*{'mjml', 'css_inline', 'inscriptis', 'firebase_admin', 'aiohttp', 'google.auth'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == ""


EXPECTED = "expected a mailbox, such as Shop <shop@example.com>; found"


@pytest.mark.parametrize("key", ["from", "reply_to"])
@pytest.mark.parametrize(
    "value", ["not an address", "a@", '"', "Bob <", "a@b.c, d@e.f", "<>", "{{ user.name }} <shop@>", "Shop <a@b..c>"]
)
def test_who_sends_is_a_mailbox(parse, key, value):
    plain = {"m": {"channel": "email", "subject": "S", "text": "T", key: value}}
    _, problems = parse(msgspec.json.encode(plain).decode())
    assert [problem.startswith(f"m.yaml:1: error: m.{key}: {EXPECTED}") for problem in problems] == [True]
    _, problems = parse(msgspec.json.encode({"m": {**plain["m"], key: {"en": "a@b.c", "ja": value}}}).decode())
    assert [problem.split(": ")[2] for problem in problems] == [f"m.{key}.ja"]


@pytest.mark.parametrize(
    "value",
    [
        "me: you; <shop@example.com>",
        "Shop: Offers <shop@example.com>",
        '"Shop" <me@localhost>',
        "info@müller.example",
        "{{ user.name }} <shop@example.com>",
        "{{ user.email }}",
        "Shop <{{ user.email }}>",
    ],
)
def test_who_may_send(parse, value):
    plain = {"m": {"channel": "email", "subject": "S", "text": "T", "from": value, "reply_to": value}}
    assert parse(msgspec.json.encode(plain).decode())[1] == []
