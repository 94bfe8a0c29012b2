"""What is legal and surprises people, and what is read from definitions that are right."""

import pytest

from transforms.campaigns.load import check, compiled
from transforms.segments.values import DAY, HOUR


def warnings_of(text):
    definitions, problems = check((("w.yaml", text),))
    assert definitions is not None, [str(problem) for problem in problems]
    assert all(str(problem).startswith(f"w.yaml:{problem.line}: warning: ") for problem in problems)
    return [(problem.line, problem.path, problem.cause) for problem in problems]


@pytest.mark.parametrize("operator", ["is_not: pro", "not_in: [pro]"])
def test_is_not_is_false_for_who_has_no_value(operator):
    name, plain = operator.split(":")[0], {"is_not": "is", "not_in": "in"}[operator.split(":")[0]]
    text = f"""\
segments:
  s:
    owner: o
    members:
      all:
        - {{event: A}}
        - any: [{{attribute: plan, {operator}}}, {{attribute: plan, exists: false}}]
"""
    cause = f"`{name}` is false for users without `plan`; `not: {{… {plain}: …}}` takes them in"
    assert warnings_of(text) == [(7, f"segments.s.members.all[1].any[0].{name}", cause)]


def test_so_it_is_in_an_audience(valid):
    text = f"{valid}    audience:\n      attribute: context.os.name\n      is_not: ios\n"
    [(line, path, cause)] = warnings_of(text)
    assert (line, path) == (14, "campaigns.greet.audience.is_not")
    assert "`context.os.name`" in cause


@pytest.mark.parametrize(
    "condition",
    [
        "{not: {event: A}}",
        "{event: A, count: {at_most: 0}}",
        "{event: A, within: 7d, count: {less_than: 3}}",
        "{event: A, count: {at_least: 0}}",
        "{attribute: plan, exists: false}",
        "{consented: {topic: news, channel: push}}",
        "{any: [{event: A}, {not: {reachable: push}}]}",
        "{identified: false}",
    ],
)
def test_who_was_never_seen_to_do_anything_is_a_member_too(condition):
    text = f"segments:\n  s:\n    owner: o\n    members: {condition}\n"
    expected = [(4, "segments.s.members", "holds also for users who were never seen to do anything")]
    assert warnings_of(text) == expected


def test_a_segment_of_segments_says_so_too():
    text = "segments:\n  b: {owner: o, members: {not: {segment: a}}}\n  a: {owner: o, members: {event: A}}\n"
    assert [(line, path) for line, path, _ in warnings_of(text)] == [(2, "segments.b.members")]


@pytest.mark.parametrize(
    "condition",
    [
        "{event: A}",
        "{all: [{event: A}, {not: {event: B}}]}",
        "{not: {consented: {topic: news, channel: push}}}",
        "{consented: {topic: news, channel: email}}",
        "{event: A, where: {plan: {is_not: pro}}}",
    ],
)
def test_no_warning_for_what_asks_for_something(condition):
    assert warnings_of(f"segments: {{s: {{owner: o, members: {condition}}}}}") == []


def test_an_audience_that_can_never_hold_when_its_segment_is_left(valid):
    text = valid.replace("enters: vip", "leaves: vip") + "    audience: {all: [{segment: vip}, {reachable: push}]}\n"
    cause = "who leaves `vip` is no longer in it: this audience never holds at that instant"
    assert warnings_of(text) == [(12, "campaigns.greet.audience", cause)]
    assert warnings_of(text.replace("leaves: vip", "enters: vip")) == []


def test_quiet_hours_of_a_transactional_campaign_have_no_effect(valid):
    text = valid.replace("consent: news", "transactional: true\n    quiet_hours: {from: '21:00', to: '08:00'}")
    cause = "a transactional campaign sends at any hour: `quiet_hours` has no effect"
    assert warnings_of(text) == [(12, "campaigns.greet.quiet_hours", cause)]
    assert compiled((("w.yaml", text),)).campaigns["greet"].quiet is None


@pytest.mark.parametrize(
    ("delays", "quiet", "max_delay"),
    [
        ("", None, DAY),
        ("max_delay: 30m", None, HOUR // 2),
        ("quiet_hours: {from: 21:00, to: '08:05'}", (21 * 60, 8 * 60 + 5), DAY),
        ("quiet_hours: {to: 08:00, from: 21:00}\n    max_delay: 11h", (21 * 60, 8 * 60), 11 * HOUR),
        ("quiet_hours: {from: 00:00, to: 23:59}", (0, 24 * 60 - 1), DAY),
    ],
)
def test_what_a_campaign_says_of_delays(valid, delays, quiet, max_delay):
    text = f"{valid}    {delays}\n"
    assert warnings_of(text) == []
    campaign = compiled((("d.yaml", text),)).campaigns["greet"]
    assert (campaign.quiet, campaign.max_delay) == (quiet, max_delay)


def test_what_a_campaign_says_and_what_it_leaves_open(valid):
    plain = compiled((("v.yaml", valid),)).campaigns["greet"]
    assert (plain.status, plain.reenter.kind, plain.audience, plain.exits) == ("live", "always", None, ())
    assert plain.max_event_age == HOUR
    text = valid.replace(
        "      - {send: hello}\n", "      - {wait: 2h}\n      - {send: [hello, bye]}\n      - {id: last, send: bye}\n"
    )
    text = text.replace("title: Hello}", "title: Hello}\n  bye: {channel: push, title: Bye}")
    text += "    status: paused\n    reenter: {after: 7d}\n    exit: [{event: A}, {segment: vip}, {leaves: vip}]\n"
    full = compiled((("v.yaml", text + "policies: {max_event_age: 2h}"),)).campaigns["greet"]
    assert [(step.id, step.kind, step.length, step.messages) for step in full.steps] == [
        ("wait_1", "wait", 2 * HOUR, {}),
        ("send_2", "send", None, {"": ("hello", "bye")}),
        ("last", "send", None, {"": ("bye",)}),
    ]
    assert (full.status, full.reenter.kind, full.reenter.after) == ("paused", "after", 7 * DAY)
    assert [way.kind for way in full.exits] == ["event", "segment", "leaves"]
    assert full.max_event_age == 2 * HOUR


def test_the_revision_is_that_of_the_content_whatever_files_are_called(valid):
    revision = compiled((("a.yaml", valid),)).definitions_hash
    assert compiled((("/elsewhere/b.yaml", valid),)).definitions_hash == revision
    assert compiled((("a.yaml", valid + "\n"),)).definitions_hash != revision


@pytest.mark.parametrize(
    ("texts", "default", "warned"),
    [
        ("{ja: やあ}", "en", True),
        ("{ja: やあ, en-GB: Hello}", "en", True),
        ("{ja: やあ, en: Hello}", "en", False),
        ("{ja_JP: やあ}", "ja-jp", False),
        ("Hello", "en", False),
    ],
)
def test_texts_that_lack_the_default_locale_reach_few(texts, default, warned):
    text = f"""\
policies: {{default_locale: {default}}}
campaigns:
  c: {{owner: o, trigger: {{event: A}}, reenter: always, consent: news, steps: [{{send: m}}]}}
messages:
  m:
    channel: push
    body: Hello
    title: {texts}
"""
    cause = f"has no text for `{default}`, the default locale: whose locale is none of these gets nothing"
    assert warnings_of(text) == ([(8, "messages.m.title", cause)] if warned else [])
