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
        ("{{ user.plan }} {{ user.tier }} {{ user.city }}", [], []),
        ("{{ user.id }} {{ user.email }} {{ user.context.os.name }}", [], []),
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
