from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from liquid import Environment

from transforms.channels.email.message import MailMessage, RenderedMail
from transforms.channels.inbox.message import InboxMessage, RenderedInbox, ShownOn
from transforms.channels.line.message import LineMessage, RenderedLine
from transforms.channels.push.message import PushMessage, RenderedPush
from transforms.channels.sms.message import SmsMessage
from transforms.channels.webhook.message import RenderedWebhook, WebhookMessage
from transforms.messages.definitions import Text
from transforms.messages.liquid import fill
from transforms.messages.render import RenderError, render
from transforms.messages.web_address import web_address


def push(title: str, **fields: object) -> PushMessage:
    return PushMessage(id="m", title=Text({"": title}), **fields)


def mail(**texts: str) -> MailMessage:
    fields = {"subject": "S", **texts}
    return MailMessage(id="m", **{name: Text({"": text}) for name, text in fields.items()})


def elements(html: str) -> list[str]:
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append(tag)
    parser.feed(html)
    return found


def test_a_push(scope):
    message = push(
        "Hi {{ user.first_name }}",
        body=Text({"": "{{ now | date: '%H:%M' }} {{ user.city | default: 'there' }}"}),
        data={"c": Text({"": "{{ campaign }}"})},
        deep_link=Text({"": "shop://{{ user.id }}"}),
        collapse_key=Text({"": "k"}),
        ttl=60,
    )
    assert render(message, scope, None, "en") == RenderedPush(
        title="Hi Ada",
        body="08:30 there",
        data={"c": "win_back", "deep_link": "shop://u1"},
        collapse_key="k",
        ttl=60,
    )


@pytest.mark.parametrize(
    "template",
    [
        "{{ user.last_name }}",
        "{{ user.first_name.x }}",
        "{{ user.last_name | upcase }}",
        "{{ user.last_name | plus: 1 }}",
        "{{ user.last_name | date: '%Y' }}",
        "{{ user.last_name | size }}",
        "{{ 'a' | append: user.last_name }}",
        "{{ user.nothing }}",
        "{{ user.nothing | upcase }}",
        "{{ variant }}",
        "{% if true %}{{ user.last_name }}{% endif %}",
        "{% if user.last_name %}x{% else %}{{ user.last_name }}{% endif %}",
        "{% for x in (1..user.last_name) %}x{% endfor %}y",
        "{% cycle user.last_name %}",
        "{{ 1 | plus: user.last_name }}",
        "{{ 1.5 | round: user.last_name }}",
        "{% capture y %}{{ user.last_name }}{% endcapture %}y",
        "{% assign y = user.last_name %}{{ y }}",
        "{% assign y = user.last_name %}{{ y.z }}",
        "{% assign y = user.last_name | upcase %}y",
        "{% assign y = 'a' | append: user.last_name %}y",
        "{{ event.size }}",
        "{{ event.first }}",
        "{{ event.items[7].name }}",
        "{{ event.none | first }}",
        "{{ event.items | map: 'price' | join: ', ' }}",
        "{{ event.items | map: 'price' }}",
        "{{ event.holes | join: ', ' }}",
        "{% for x in event.holes %}{{ x }}{% endfor %}",
    ],
)
def test_what_is_missing_is_refused(scope, template):
    with pytest.raises(RenderError, match=r"^title: "):
        render(push(template), scope, None, "en")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ user.last_name | default: 'x' }}", "x"),
        ("{{ user.a.b.c | default: 'x' }}", "x"),
        ("{{ user.nothing | default: 'x' }}", "x"),
        ("{{ event.none | first | default: 'x' }}", "x"),
        ("{{ event.holes | compact | join: '-' }}", "a"),
        ("{{ event.items.size }} {{ event.items.first.name }}", "2 pen"),
        ("{{ event.items | map: 'name' | join: ', ' }}", "pen, ink"),
        ("{{ event.at | date: '%-d %B' }}", "1 July"),
        ("{{ 'now' | date: '%Y-%m-%d %H' }}", "2026-03-01 08"),
        ("{{ 0 | date: '%Y-%m-%d %H' }}", "1970-01-01 09"),
        ("{{ '0' | date: '%Y-%m-%d %H' }}", "1970-01-01 09"),
        ("{{ '1772321400.75' | date: '%F %T.%L' }}", "2026-03-01 08:30:00.750"),
        ("{{ '20260301' | date: '%F' }}", "2026-03-01"),
        ("{{ '2026-03-01T00:30:00Z' | date: '%F %H:%M %z' }}", "2026-03-01 09:30 +0900"),
        ("{{ '2026-03-01T00:30:00' | date: '%F %H:%M' }}", "2026-03-01 00:30"),
        ("{{ now | date: '%s' }}", "1772321400"),
        ("{{ 1772321400 | date: '%s %%s %%%s' }}", "1772321400 %s %1772321400"),
        ("{{ '2026-03-01T00:30:00+02:00' | date: '%s' }}", "1772317800"),
        ("{{ -0.5 | date: '%s %L' }}", "-1 500"),
        ("{{ '2026-03-01T09:30:00' | date: '%T %s %z' }}", "09:30:00 1772325000 +0900"),
        ("{{ '2026-03-01' | date: '%s' }}", "1772290800"),
        ("{{ 2.5 | round }} {{ -2.5 | round }} {{ 3.5 | round }} {{ 0.5 | round }}", "3 -3 4 1"),
        ("{{ 1.005 | round: 2 }} {{ 2.675 | round: 2 }} {{ -1.005 | round: 2 }}", "1.01 2.68 -1.01"),
        ("{{ 5 | round: 2 }} {{ '2.5' | round }} {{ 1250 | round: -2 }}", "5 3 1300"),
        ("{% if user.last_name %}x{% else %}y{% endif %}", "y"),
        ("{% if user.nothing %}x{% else %}y{% endif %}", "y"),
        ("{% if user.a.b.c and user.first_name %}x{% else %}y{% endif %}", "y"),
        ("{% if user.last_name == 'x' %}x{% else %}y{% endif %}", "y"),
        ("{% if user.last_name == nil %}x{% else %}y{% endif %}", "x"),
        ("{% if user.last_name != 'x' %}x{% else %}y{% endif %}", "x"),
        ("{% if user.age > 3 %}x{% elsif user.age <= 3 %}y{% else %}z{% endif %}", "z"),
        ("{% if user.tags contains 'x' %}x{% else %}y{% endif %}", "y"),
        ("{% if user.first_name contains user.last_name %}x{% else %}y{% endif %}", "y"),
        ("{% unless user.last_name %}x{% endunless %}", "x"),
        ("{% case user.last_name %}{% when 'x' %}x{% else %}y{% endcase %}", "y"),
        ("{% for x in user.last_names %}x{% else %}none{% endfor %}y", "noney"),
        ("{% for x in user.nothing %}x{% endfor %}y", "y"),
        ("{% assign y = user.last_name %}{% if y %}x{% else %}{{ y | default: 'z' }}{% endif %}", "z"),
        ("{{ user.last_name | default: user.first_name }}", "Ada"),
    ],
)
def test_what_is_there_is_shown(scope, template, expected):
    assert render(push(template), scope, None, "en").title == expected


@pytest.mark.parametrize(
    "template",
    [
        "{{ 1 | divided_by: 0 }}",
        "{{ 'soon' | date: '%Y' }}",
        "{{ true | date: '%Y' }}",
        "{{ 9e300 | date: '%Y' }}",
        "{% for a in (1..200) %}{% for b in (1..200) %}x{% endfor %}{% endfor %}",
        "{% for a in (1..99999999) %}x{% endfor %}",
        "{{ (1..99999999) | join: ',' }}",
        "{% assign a = 'xxxxxxxxxx' %}{% for i in (1..60) %}{% assign a = a | append: a %}{% endfor %}{{ a }}",
        "{% for i in (1..9999) %}" + "x" * 200 + "{% endfor %}",
        "{{ user.first_name | truncate: 'x' }}",
        "{{ user.first_name | slice: 'x' }}",
        "{{ user.first_name | map: 'x' }}",
    ],
)
def test_errors_and_excess_are_refused(scope, template):
    with pytest.raises(RenderError, match=r"^title: "):
        render(push(template), scope, None, "en")


LOCALES = Text({"en": "color", "en-gb": "colour", "pt": "cor"})


@pytest.mark.parametrize(
    ("locale", "default", "expected"),
    [
        ("en-GB", "pt", "colour"),
        ("en_gb", "pt", "colour"),
        ("en-US", "pt", "color"),
        ("pt-BR", "en", "cor"),
        ("ja-JP", "en", "color"),
        ("ja", "en_GB", "colour"),
        (None, "pt", "cor"),
        ("", "pt", "cor"),
        ("zh-Hant-TW", "en", "color"),
    ],
)
def test_locale_then_language_then_default(scope, locale, default, expected):
    message = PushMessage(id="m", title=LOCALES, data={"k": LOCALES})
    rendered = render(message, scope, locale, default)
    assert (rendered.title, rendered.data["k"]) == (expected, expected)


def test_no_locale_fits(scope):
    with pytest.raises(RenderError, match=r"title: no text for ja-jp, ja, fr; there is en, en-gb, pt"):
        render(PushMessage(id="m", title=LOCALES), scope, "ja-JP", "fr")


def test_nothing_to_show(scope):
    empty = "{% if false %}x{% endif %}"
    with pytest.raises(RenderError, match="both are empty"):
        render(PushMessage(id="m", title=Text({"": empty}), body=Text({"": " {{ ' ' }}"})), scope, None, "en")
    with pytest.raises(RenderError, match="subject: is empty"):
        render(mail(subject=empty, text="x"), scope, None, "en")
    for body in ("html", "mjml", "text"):
        with pytest.raises(RenderError, match="the body is empty"):
            render(mail(**{body: empty}), scope, None, "en")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x00", "\x0b", "\x85", "\u2028"])
@pytest.mark.parametrize("field", ["subject", "sender", "reply_to"])
def test_headers_cannot_be_injected(scope, field, end):
    scope["user"]["first_name"] = f"Ada{end}Bcc: victim@example.com"
    with pytest.raises(RenderError, match="a line break or control character"):
        render(mail(**{"text": "x", field: "{{ user.first_name }}"}), scope, None, "en")


TOLD = Text({"": "Hi {{ user.first_name }}"})


@pytest.mark.parametrize("command", ["\x00", "\x07", "\x1b", "\x7f", "\x9b"])
def test_a_text_message_holds_no_command(scope, command):
    scope["user"]["first_name"] = f"Ada{command}"
    with pytest.raises(RenderError, match="a control character"):
        render(SmsMessage("m", TOLD), scope, None, "en")
    for blank in ("\t", "\n", "\r\n", "\x0b", "\u2028", "\u200d"):
        scope["user"]["first_name"] = f"Ada{blank}Lovelace"
        assert render(SmsMessage("m", TOLD), scope, None, "en")


@pytest.mark.parametrize("message", [PushMessage("m", body=TOLD), InboxMessage("m", body=TOLD), LineMessage("m", TOLD)])
def test_what_goes_out_as_json_is_what_it_is(scope, message):
    scope["user"]["first_name"] = "Ada\0"
    assert "Hi Ada\0" in render(message, scope, None, "en").summary


def test_html_is_escaped_and_styled_and_has_a_text(scope):
    message = mail(
        html="<style>p{color:red} @media print{p{color:black}}</style>"
        "<p title=\"{{ user.bio }}\">{{ user.bio }} {{ '<i>ok</i>' | safe }}</p>"
        "<a href='{{ unsubscribe_url }}'>leave</a>",
        preheader="Just {{ user.bio }}",
        subject="{{ user.bio }}",
        sender="Shop <shop@example.com>",
    )
    rendered = render(message, scope, None, "en")
    assert isinstance(rendered, RenderedMail)
    assert rendered.subject == "<b>\"x\"</b> & 'y'"
    assert rendered.sender == "Shop <shop@example.com>"
    assert elements(rendered.html) == ["html", "head", "style", "body", "div", "p", "i", "a"]
    assert 'style="color: red;"' in rendered.html
    assert "@media print" in rendered.html
    assert rendered.html.index("<body>") < rendered.html.index("Just &lt;b&gt;") < rendered.html.index("<p ")
    assert rendered.text == "<b>\"x\"</b> & 'y' ok\n\n[leave](https://localhost/u?token=t)\n"


def test_a_text_of_its_own_is_taken_as_it_is(scope):
    rendered = render(mail(html="<p>h</p>", text="{{ user.bio }}"), scope, None, "en")
    assert rendered.text == "<b>\"x\"</b> & 'y'"


def test_styles_are_never_fetched(scope):
    rendered = render(mail(html="<link rel=stylesheet href='http://127.0.0.1:9/x.css'><p>x</p>"), scope, None, "en")
    assert "<p>x</p>" in rendered.html


@pytest.mark.parametrize("name", sorted(set(Environment().filters) - {"safe"}))
@pytest.mark.parametrize("arguments", ["", ": 'a'", ": 'a', 'b'", ": 1"])
def test_no_filter_lets_markup_through(scope, name, arguments):
    attack = "<script>alert(1)</script>"
    encoded = "%3Cscript%3E PHNjcmlwdD4= &lt;script&gt;"
    for value in (attack, encoded, "PHNjcmlwdD4=", [attack]):
        scope["event"] = {"x": value}
        try:
            filled = fill(f"{{{{ event.x | {name}{arguments} }}}}", scope, escape=True)
        except ValueError:
            continue
        assert "<script" not in filled


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(value=JSON, name=st.sampled_from(sorted(Environment().filters)), argument=JSON)
def test_any_data_is_rendered_or_refused(value, name, argument):
    message = push(f"{{{{ event.x | {name}: event.y }}}}{{{{ event.x }}}}")
    scope = {"user": {"id": "u"}, "event": {"x": value, "y": argument}, "campaign": "c"}
    try:
        rendered = render(message, scope, None, "en")
    except RenderError:
        return
    assert rendered.title


def text(source: str) -> Text:
    return Text({"": source})


def test_a_line_text_and_line_messages(scope):
    assert render(LineMessage("m", text(" Hi {{ user.first_name }} ")), scope, None, "en") == RenderedLine(
        [{"type": "text", "text": "Hi Ada"}]
    )
    tree = {"type": text("flex"), "contents": {"n": 5, "on": True, "none": None, "texts": [text("{{ user.id }}")]}}
    assert render(LineMessage("m", None, (tree,)), scope, None, "en").messages == [
        {"type": "flex", "contents": {"n": 5, "on": True, "none": None, "texts": ["u1"]}}
    ]


@pytest.mark.parametrize(("source", "cause"), [(" ", "text: is empty"), ("é" * 5001, "at most 5,000 characters")])
def test_a_line_text_that_cannot_go_out(scope, source, cause):
    with pytest.raises(RenderError, match=cause):
        render(LineMessage("m", text(source)), scope, None, "en")


def test_a_line_text_is_counted_as_line_counts(scope):
    with pytest.raises(RenderError, match="at most"):
        render(LineMessage("m", text("\U0001f600" * 2501)), scope, None, "en")
    assert render(LineMessage("m", text("\U0001f600" * 2500)), scope, None, "en")


def test_a_webhook_with_json_and_with_text(scope):
    tree = {"user": text("{{ user.id }}"), "n": 5}
    message = WebhookMessage("m", text("https://a.example/{{ user.id }}?x"), tree, {"X-User": text("{{ user.id }}")})
    assert render(message, scope, None, "en") == RenderedWebhook(
        "https://a.example/u1?x", '{"user":"u1","n":5}', True, {"X-User": "u1"}
    )
    plain = WebhookMessage("m", text("http://a.example"), text("u={{ user.id }}\n"))
    assert render(plain, scope, None, "en") == RenderedWebhook("http://a.example", "u=u1\n", False, {})


@pytest.mark.parametrize(
    "url",
    [
        *("", "ftp://a.example", "https://", "https://a.example/\u00e9", "https://a.example/ x", "http://a..b/"),
        *("http://h:99999/", "http://h:0/", "http://h\\@e/", "http://[::1/", "http://a%20b/", "http://:80/"),
        *(
            "http://" + "a" * 64 + "/",
            "http://" + "\u00fc" * 300,
            "http://a b/",
            "http://-a/",
            "http:///x",
            "http://@/",
        ),
    ],
)
def test_a_url_that_is_none(scope, url):
    with pytest.raises(RenderError, match="url: expected https://"):
        render(WebhookMessage("m", text(url), {}), scope, None, "en")


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("http://\uff11\uff12\uff17.0.0.1/", "http://127.0.0.1/"),
        ("https://m\u00fcnchen.example:8443/a?b#c", "https://xn--mnchen-3ya.example:8443/a?b#c"),
        ("http://u:p@[::FFFF:7F00:1]:80/", "http://u:p@[::ffff:7f00:1]:80/"),
        ("http://127%2E0.0.1/", "http://127.0.0.1/"),
        ("http://A_b.example./", "http://a_b.example./"),
    ],
)
def test_a_url_is_called_as_it_is_shown(scope, url, called):
    assert render(WebhookMessage("m", text(url), {}), scope, None, "en").url == called


@given(st.text() | st.text("ahtp:/@[].%\\\u00fc\uff0e?#0", max_size=30).map("http://".__add__))
def test_no_text_makes_a_url_raise(url):
    called = web_address(url)
    assert called is None or (web_address(called) == called and called.isascii())


def test_a_header_may_not_break_the_line(scope):
    message = WebhookMessage("m", text("https://a.example"), {}, {"X": text("{{ 'a\nb' }}")})
    with pytest.raises(RenderError, match=r"headers\.X: a line break"):
        render(message, scope, None, "en")


def test_a_missing_variable_in_a_tree_is_named_by_its_place(scope):
    message = WebhookMessage("m", text("https://a.example"), {"a": [{"b": text("{{ user.nothing }}")}]})
    with pytest.raises(RenderError, match=r"body\.a\[0\]\.b: "):
        render(message, scope, None, "en")


def test_an_inbox_message(scope):
    message = InboxMessage("m", text("{{ user.first_name }}"), None, None, text("a://{{ user.id }}"), {"n": [1]}, 60)
    assert render(message, scope, None, "en") == RenderedInbox("Ada", "", None, "a://u1", {"n": [1]}, 60)
    with pytest.raises(RenderError, match="title, body: both are empty"):
        render(InboxMessage("m", text(" ")), scope, None, "en")


def test_an_inbox_message_says_where_when_and_in_which_language(scope):
    title = Text({"en": "Hello", "ja": "こんにちは"})
    message = InboxMessage("m", title, placement="popup", trigger=ShownOn(event="Cart Viewed"))
    found = render(message, scope, "ja-JP", "en")
    assert found == RenderedInbox(
        "こんにちは", "", placement="popup", trigger=ShownOn(event="Cart Viewed"), locale="ja"
    )
    assert render(message, scope, "fr", "en").locale == "en"


def test_parts_of_a_push(scope):
    message = push("Hi", parts={"apns": {"payload": {"user": text("{{ user.id }}")}}})
    assert render(message, scope, None, "en").parts == {"apns": {"payload": {"user": "u1"}}}
