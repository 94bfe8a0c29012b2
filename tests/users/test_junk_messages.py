"""Whatever users and templates hold, a message is made whole or has a verdict, and a `set` step writes or does not."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from core import START, compile_plain, decode_all, of_type
from generators import iso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strength import examples
from test_junk import CONTEXTS, JUNK, OBJECTS

from transforms.campaigns.effects import Send
from transforms.campaigns.load import Definitions
from transforms.channels.email.settings import parse_smtp
from transforms.channels.email.transport import Composed, Mail
from transforms.channels.line.settings import parse_line
from transforms.channels.line.transport import Line
from transforms.channels.outbox import Outbox
from transforms.channels.outcome import Outcome
from transforms.channels.preview import preview_campaign
from transforms.channels.push.settings import parse_fcm
from transforms.channels.push.transport import Push
from transforms.channels.scope import make_message
from transforms.channels.settings import MailSettings
from transforms.channels.webhook.transport import Webhook
from transforms.messages.render import RenderError
from transforms.users.advance import fold
from transforms.users.histories import Histories
from transforms.users.user import User

Plain = dict[str, Any]

SETTINGS = MailSettings()
#: Templates in which anything may come out: outputs, filters that read numbers, dates, lists and codes, tags.
TEMPLATES = [
    *(
        "{{ event.x }}",
        "{{ user.at }}",
        "{{ user.context.location.a.b }}",
        "{{ zone.x }}{{ now_us.x }}{{ attributes.x }}",
    ),
    *("{{ event.x | date: '%s %L %z' }}", "{{ event.x | round: event.y }}", "{{ event.x | divided_by: event.y }}"),
    *(
        "{{ event.x | slice: event.y, 3 }}",
        "{{ event.x | truncate: event.y }}",
        "{{ event.x | split: event.y | first }}",
    ),
    *("{{ event.x | url_decode }}", "{{ event.x | base64_decode }}", "{{ event.x | sort: event.y | join: ',' }}"),
    *("{{ event.x | where: event.y, event.z | map: event.y }}", "{{ event.x | times: event.y | plus: event.z }}"),
    *("{% for i in event.x %}{{ i }}{% endfor %}", "{% if event.x > event.y %}a{% else %}b{% endif %}"),
    *("{% if event.x contains event.y %}a{% endif %}", "{% for i in (event.x..event.y) %}{{ i }}{% endfor %}"),
    *(
        "{% case event.x %}{% when event.y %}a{% else %}b{% endcase %}",
        "{% tablerow i in event.x cols: event.y %}{{ i }}{% endtablerow %}",
    ),
    *(
        "{% for i in event.x limit: event.y offset: event.z %}{{ i }}{% endfor %}",
        "{{ event[event.x] }}",
        "{{ event.x[event.y] }}",
    ),
    *(
        "{{ event.x | default: event.y }}",
        "{% cycle event.x, event.y %}",
        "{% assign a = event.x %}{{ a | upcase }}{{ a | sum }}",
    ),
]
EVERYWHERE = "{{ event.x | default: 'x' }}"
#: A message of each channel, with a template in each of its fields.
FORMS: dict[str, Plain] = {
    "push": {"title": "T", "body": "T", "data": {"a": "T"}, "image": "T", "deep_link": "T", "apns": {"a": ["T"]}},
    "email": {"subject": "T", "html": "<p title='T'>T</p>", "from": "T <a@b.c>", "reply_to": "T", "preheader": "T"},
    "line": {"messages": [{"type": "text", "text": "T"}]},
    "webhook": {"url": "https://T/T", "body": {"a": "T"}, "headers": {"X": "T"}},
    "inbox": {"title": "T", "body": "T", "image": "T", "data": {"a": ["T", {"b": "T"}]}},
}
BODIES: list[Plain] = [
    *({"channel": channel, **form} for channel, form in FORMS.items()),
    {"channel": "email", "subject": "x", "text": "T"},
    {"channel": "email", "subject": "x", "mjml": "<mjml><mj-body><mj-text>T</mj-text></mj-body></mjml>"},
    {"channel": "webhook", "url": "http://T", "body": "T"},
    {"channel": "webhook", "url": "http://a.example/", "body": "T", "headers": {"X": "T"}},
    {"channel": "line", "text": "T"},
]


def filled(form: Any, template: str) -> Any:
    return json.loads(json.dumps(form).replace("T", json.dumps(template)[1:-1]))


def hostile(template: str) -> Definitions:
    """Each form with the template in all of its fields, and a `set` step with it."""
    messages = {f"m{place}": filled(body, template) for place, body in enumerate(BODIES)}
    steps: list[Plain] = [{"set": {"written": template, "timezone": template}}]
    campaign = {
        "trigger": {"event": "E"},
        "reenter": "always",
        "transactional": True,
        "with": {name: {"last": "E"} for name in ("zone", "attributes", "now_us")},
        "steps": [*steps, *({"send": name} for name in messages)],
    }
    return compile_plain({"campaigns": {"c": campaign}, "messages": messages})


HOSTILE = [hostile(template) for template in (*TEMPLATES, EVERYWHERE)]

#: What a mail's readers, a Liquid filter and a host are told apart by, beside all that other tests throw in.
SPICE = st.sampled_from(
    [
        *(
            "me: you; <shop@example.com>",
            "a@",
            '"',
            "Bob <",
            "=?utf-8?q?a=0D=0Ab?=",
            "a\r\nBcc: d@e.f",
            "<!-- ",
            "\x00",
        ),
        *(
            "a..b",
            "[::1",
            "x:99999",
            "\u2028",
            "\ud7ff",
            "\\",
            "<p>",
            "&#0;",
            "]]>",
            "<?xml?>",
            "%",
            "%Q",
            "9" * 40,
            "ü.",
        ),
        *("{{ user }}", "{% raw %}", "1e400", "-0", "2026-02-30", "=?", "🎈" * 30),
    ]
)
VALUES = SPICE | JUNK | st.dictionaries(st.sampled_from(["a", "a.b", "b", "x"]), SPICE | JUNK, max_size=3)
CALLS = st.fixed_dictionaries(
    {
        "properties": st.fixed_dictionaries({}, optional=dict.fromkeys("xyz", VALUES)),
        "context": CONTEXTS | st.fixed_dictionaries({"location": VALUES, "locale": VALUES}),
        "traits": OBJECTS,
    }
)


def sends_of(call: Plain, definitions: Definitions) -> list[Send]:
    """What a user who can be reached everywhere is sent; tells first what is known, then triggers."""
    known = {"context": {"device": {"token": "t"}}, "traits": {"email": "u@example.com", "line_id": "L"}}
    calls = [
        {"type": "identify", **call, "traits": {**call["traits"], **known["traits"]}},
        {"type": "identify", **known},
        {"type": "track", "event": "E", **call},
    ]
    lines = [
        {"messageId": f"m{number}", "userId": "u", "timestamp": iso(START + number), **line}
        for number, line in enumerate(calls)
    ]
    _, effects = fold(User("u"), decode_all(lines), definitions)
    return of_type(Send, effects)


def made(send: Send, channel: Any, definitions: Definitions) -> Any:
    """What a channel makes of a send, or the verdict."""
    try:
        message = definitions.messages[send.message]
        return channel.make(send, make_message(send, message, SETTINGS, send.decided_at, "en"))
    except RenderError as error:
        return error


def channels() -> dict[str, Any]:
    """Each channel as it is where messages go out; none of them is called."""
    return {
        "push": Push(parse_fcm("fcm:project-x@http://127.0.0.1:9")),
        "email": Mail(parse_smtp("smtp://127.0.0.1:9"), SETTINGS),
        "line": Line(parse_line("line@http://127.0.0.1:9"), ""),
        "webhook": Webhook(""),
    }


@settings(max_examples=examples(400), suppress_health_check=list(HealthCheck))
@given(CALLS, st.sampled_from(HOSTILE))
def test_no_value_and_no_template_raises(call: Plain, definitions: Definitions) -> None:
    sends = sends_of(call, definitions)
    assert {send.message for send in sends} == {f"m{place}" for place in range(len(BODIES))}
    outcomes = asyncio.run(written(sends, definitions))
    assert {outcome.state for outcome in outcomes} <= {"handed_off", "failed"}


async def written(sends: list[Send], definitions: Definitions) -> list[Outcome]:
    """Make each message for its channel, and write it to an outbox."""
    opened = channels()
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox(Path(folder), SETTINGS)
        for send in sends:
            content = made(send, opened.get(send.channel, outbox), definitions)
            assert not isinstance(content, Composed) or content.content.isascii()
            shown = made(send, outbox, definitions)
            assert isinstance(content, RenderError) is isinstance(shown, RenderError)
            if isinstance(shown, Outcome):
                outcomes.append(shown)
            elif not isinstance(shown, RenderError):
                outcomes.append(await outbox.send(send, shown))
        await outbox.close()
    for channel in opened.values():
        await channel.close()
    return outcomes


@pytest.mark.parametrize("value", [{"a": "x", "a.b": 1}, {"a.b": 1, "a": "x"}, {"a": {"b": 1}, "a.b": 2}, "x", {"": 1}])
def test_a_preview_of_a_hostile_context(tmp_path: Path, value: Any) -> None:
    definitions = hostile("{{ user.context.location.a.b | default: event.x }}")
    context = {"location": value, "device": {"token": "t"}}
    traits = {"email": "u@example.com", "line_id": "L"}
    calls: list[Plain] = [
        {"type": "identify", "traits": traits, "timestamp": iso(START - 1)},
        {"type": "track", "event": "E", "properties": {"x": "y"}, "timestamp": iso(START)},
    ]
    lines = [{"userId": "u", "context": context, **call} for call in calls]
    histories = Histories(tmp_path, parts=2)
    histories.read([json.dumps(line).encode() for line in lines], START)
    found = preview_campaign("c", histories, definitions, START)
    [told] = found.sample
    assert {each.reason for each in told.happened if each.what == "refused"} <= {"render_error"}
    assert sum(each.what in ("sent", "refused") and each.message != "" for each in told.happened) == len(BODIES)
