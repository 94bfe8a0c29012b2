"""`todoke validate` warns of variables without `default` that nothing knows: a typo holds back all of a campaign."""

import json

import pytest

HEAD = """\
segments:
  buyers: {{owner: o, members: {{all: [{{event: Order Completed}}, {{attribute: plan.name, exists: true}}]}}}}
campaigns:
  greet:
    owner: o
    trigger: {{event: Order Completed}}
    reenter: never
    consent: news
    with: {{cart: {{last: Product Added}}}}
    steps: [{{set: {{tier: gold}}}}, {{if: {{attribute: city, is: Ulm}}, then: [{{send: m}}]}}]
messages:
  m: {{channel: push, title: "{}"}}
"""
EVENTS = [
    {"type": "identify", "userId": "a", "timestamp": "2026-03-01T09:00:00Z", "traits": {"nickname": "A"}},
    {"type": "group", "userId": "a", "timestamp": "2026-03-01T09:00:00Z", "groupId": 1, "traits": {"seats": 5}},
    {
        "type": "track",
        "userId": "a",
        "timestamp": "2026-03-01T09:00:00Z",
        "event": "Order Completed",
        "properties": {"total": 1},
    },
    {
        "type": "track",
        "userId": "a",
        "timestamp": "2026-03-01T09:00:00Z",
        "event": "Product Added",
        "properties": {"sku": "x"},
    },
]


@pytest.mark.parametrize(
    ("template", "plain", "sampled"),
    [
        ("{{ user.nickname }}", ["user.nickname"], []),
        ("{{ user.nikname }}", ["user.nikname"], ["user.nikname"]),
        ("{{ user.nickname | upcase }}", ["user.nickname"], []),
        ("{{ 'a' | append: user.nikname }}", ["user.nikname"], ["user.nikname"]),
        ("{{ user.nikname | default: 'x' }}", [], []),
        ("{{ user.nikname | upcase | default: 'x' }}", [], []),
        ("{% if user.nikname %}{{ user.nikname }}{% endif %}", [], []),
        ("{% for x in user.tags %}{{ x }}{% endfor %}", [], []),
        ("{{ user.plan }} {{ user.tier }} {{ user.city }}", [], ["user.plan"]),
        ("{{ user.id }} {{ user.email }} {{ user.context.os.name }}", [], ["user.email"]),
        ("{{ user.locale }} {{ user.timezone | default: 'UTC' }}", [], ["user.locale"]),
        ("{{ event.total }} {{ cart.sku }}", [], []),
        ("{{ user.group.id }} {{ user.seats }}", ["user.group", "user.seats"], ["user.seats"]),
        ("{{ event.totl }} {{ cart.sk }}", [], ["event.totl", "cart.sk"]),
        ("{{ campaign }} {{ now | date: '%Y' }}", [], []),
    ],
)
def test_what_is_warned_of(todoke, tmp_path, template, plain, sampled):
    (tmp_path / "d.yaml").write_text(HEAD.format(template), encoding="utf-8")
    (tmp_path / "events.jsonl").write_text("\n".join(json.dumps(event) for event in EVENTS) + "\nnot JSON\n")
    for more, expected in (((), plain), (("--events", "events.jsonl"), sampled)):
        found = todoke("validate", "d.yaml", "--json", *more)
        assert (found.returncode, found.stderr) == (0, "")
        problems = json.loads(found.stdout)["problems"]
        assert sorted(problem["cause"].split("`")[1] for problem in problems) == sorted(expected)
        assert all(problem["warning"] and (problem["file"], problem["line"]) == ("d.yaml", 12) for problem in problems)


def _warned(todoke, tmp_path, definitions, events):
    (tmp_path / "d.yaml").write_text(json.dumps(definitions), encoding="utf-8")
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, events)))
    found = todoke("validate", "d.yaml", "--events", "events.jsonl", "--json")
    assert (found.returncode, found.stderr) == (0, "")
    return [problem["cause"] for problem in json.loads(found.stdout)["problems"]]


def _call(user, minute, **more):
    return {"type": "identify", "userId": user, "timestamp": f"2026-03-01T09:{minute:02}:00Z", **more}


def _campaign(message, channel="push", steps=({"send": "m"},), **more):
    campaign = {"owner": "o", "trigger": {"event": "Bought"}, "reenter": "never", "consent": "news"}
    texts = {"title": message} if channel == "push" else {"text": message, "from": "Shop"}
    return {
        "segments": {"rich": {"owner": "o", "members": {"attribute": "plan", "is": "gold"}}},
        "campaigns": {"greet": campaign | {"steps": list(steps)} | more},
        "messages": {"m": {"channel": channel, **texts}},
    }


def test_null_is_no_value_and_the_last_word_by_event_time_counts(todoke, tmp_path):
    events = [
        _call("a", 5, traits={"name": None, "city": "Ulm"}),
        _call("a", 1, traits={"name": "A", "city": None}),
        _call("b", 1, traits={"name": "B", "city": "Bonn"}),
        _call("a", 6, type="track", event="Bought", properties={"total": None}),
        _call("a", 7, type="track", event="Bought", properties={"total": 1}),
    ]
    found = _warned(todoke, tmp_path, _campaign("{{ user.name }} {{ user.city }} {{ event.total }}"), events)
    assert [cause.partition(", and ")[2].partition(":")[0] for cause in found] == [
        "1 of 2 such events of the sample have it",
        "1 of 2 users of the sample have it",
    ]


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        ({}, True),
        ({"audience": {"segment": "rich"}}, False),
        ({"audience": {"any": [{"segment": "rich"}, {"attribute": "plan", "is": "new"}]}}, False),
        ({"audience": {"any": [{"segment": "rich"}, {"attribute": "age", "at_least": 9}]}}, True),
        ({"audience": {"not": {"segment": "rich"}}}, True),
        ({"audience": {"not": {"any": [{"attribute": "plan", "exists": False}, {"segment": "rich"}]}}}, False),
        ({"audience": {"attribute": "plan", "exists": False}}, True),
        ({"trigger": {"enters": "rich"}}, False),
        ({"trigger": {"leaves": "rich"}}, True),
        ({"steps": [{"send": "m", "unless": {"attribute": "plan", "exists": False}}]}, False),
        ({"steps": [{"send": "m", "unless": {"segment": "rich"}}]}, True),
        ({"steps": [{"if": {"segment": "rich"}, "then": [{"wait": "1d"}, {"send": "m"}]}]}, False),
        ({"steps": [{"if": {"segment": "rich"}, "then": [{"send": "m"}], "else": [{"send": "m", "id": "n"}]}]}, True),
        ({"steps": [{"set": {"plan": "gold"}}, {"send": "m"}]}, False),
    ],
)
def test_who_must_have_an_attribute_to_be_sent_the_message_is_no_cause_for_a_warning(todoke, tmp_path, more, warned):
    events = [_call("a", 1, traits={"plan": "gold"}), _call("b", 1)]
    found = _warned(todoke, tmp_path, _campaign("{{ user.plan }}", **more), events)
    assert [cause.split("`")[1] for cause in found] == ["user.plan"] * warned


def test_the_address_of_the_messages_own_channel_is_there(todoke, tmp_path):
    events = [_call("a", 1, traits={"phone": "+4930123456", "email": "a@example.com"}), _call("b", 1)]
    found = _warned(todoke, tmp_path, _campaign("{{ user.phone }} {{ user.email }}", channel="sms"), events)
    assert [cause.split("`")[1] for cause in found] == ["user.email"]


def test_a_warning_stands_at_the_line_of_its_file(todoke, tmp_path):
    (tmp_path / "d.yaml").write_text(HEAD.format("x").replace('"x"', "{file: m.txt}"), encoding="utf-8")
    (tmp_path / "m.txt").write_text("Hello\n{{ user.nikname }}{% render 'p' %}")
    (tmp_path / "p.txt").write_text("\n\n{{ user.nicname }}")
    found = todoke("validate", "d.yaml").stderr.splitlines()
    assert [line.partition(": warning: ")[0] for line in found] == ["m.txt:2", "p.txt:3"]


def test_a_sample_that_is_none(todoke, tmp_path):
    (tmp_path / "d.yaml").write_text(HEAD.format("x"), encoding="utf-8")
    for events in ("none.jsonl", "pubsub:projects/project-x/subscriptions/s"):
        found = todoke("validate", "d.yaml", "--events", events)
        assert found.returncode == 2
        assert "--events" in found.stderr
