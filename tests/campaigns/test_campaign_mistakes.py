"""Mistakes in campaigns, each found at its place and nothing else: triggers, steps, arms, goals, rates and policies."""

import pytest

from transforms.campaigns.load import check

HEAD = """\
segments:
  vip: {owner: crm, members: {event: Order}}
messages:
  hello: {channel: push, title: Hello}
  bye: {channel: push, title: Bye}
campaigns:
  greet:
    owner: crm
    consent: news
"""
TRIGGER = "    trigger: {enters: vip}\n"
STEPS = "    steps: [{send: hello}, {send: bye}]\n"
ENTERS, SENDS = HEAD + TRIGGER, HEAD + STEPS
MANY = SENDS + "    reenter: always\n"
BOTH = HEAD + TRIGGER + STEPS

GREET = "campaigns.greet"

#: Definitions, and the paths inside the campaign with a part of each cause.
FIELDS = [
    (BOTH + "    starts: soon\n", [("starts", "expected an ISO 8601 time with a zone, or a date")]),
    (BOTH + "    ends: 2026-02-30\n", [("ends", "there is no such time")]),
    (BOTH + "    starts: 2026-07-02\n    ends: 2026-07-02\n", [("ends", "is not after `starts`")]),
    (BOTH + "    holdout: 101\n", [("holdout", "from 0 to 100")]),
    (BOTH + "    holdout: ten\n", [("holdout", "expected a number")]),
    (
        BOTH.replace("consent: news", "transactional: true") + "    holdout: 5\n",
        [("holdout", "a transactional campaign holds nobody out")],
    ),
    (BOTH + "    variants: {}\n", [("variants", "expected variants with their percent")]),
    (BOTH + "    variants: [a, b]\n", [("variants", "expected variants with their percent")]),
    (BOTH + "    variants: {a: 50, b: 49.9}\n", [("variants", "these are 99.9")]),
    (BOTH + "    variants: {A: 100}\n", [("variants.A", "`A` is not an id")]),
    (BOTH + "    variants: {holdout: 100}\n", [("variants.holdout", "is what those are called who are held out")]),
    (BOTH + "    with: {}\n", [("with", "expected names such as {cart: {last: Product Added}}")]),
    (BOTH + "    with: {cart: Added}\n", [("with.cart", "expected a mapping with last")]),
    (BOTH + "    with: {cart: {last: 5}}\n", [("with.cart.last", "expected text")]),
    (BOTH + "    with: {cart: {first: A}}\n", [("with.cart", "`last` is missing"), ("with.cart.first", "unknown key")]),
    (BOTH + "    with: {user: {last: A}}\n", [("with.user", "`user` is taken")]),
    (BOTH + "    with: {my-cart: {last: A}}\n", [("with.my-cart", "is not an id")]),
    (BOTH + "    priority: 101\n", [("priority", "from 0 to 100")]),
    (BOTH + "    priority: high\n", [("priority", "expected a whole number")]),
    (BOTH + "    rate: {at_most: 5, per: 1m}\n", [("rate", "for campaigns that reach many at once")]),
    (BOTH + "    goals: {}\n", [("goals", "expected goals such as")]),
    (BOTH + "    goals: {bought: {event: A}}\n", [("goals.bought", "`within` is missing")]),
    (BOTH + "    goals: {bought: {within: 1d}}\n", [("goals.bought", "`event` is missing")]),
    (BOTH + "    goals: {Bought: {event: A, within: 1d}}\n", [("goals.Bought", "is not an id")]),
    (BOTH + "    goals: {bought: {event: A, within: 1d, of: x}}\n", [("goals.bought.of", "unknown key `of`")]),
    (BOTH + "    goals: {bought: {event: A, within: 1d, value: 5}}\n", [("goals.bought.value", "expected text")]),
    (BOTH + "    goals: {bought: {event: A, within: 1d, after: x}}\n", [("goals.bought.after", "a duration")]),
    (BOTH + "    audience: {variant: a}\n", [("audience", "it is decided at entry")]),
    (BOTH + "    include_current: true\n", [("include_current", "needs `starts`")]),
    (BOTH + "    include_current: 5\n", [("include_current", "expected true or false")]),
    (
        BOTH.replace("enters", "leaves") + "    include_current: false\n",
        [("include_current", "goes with `enters` only")],
    ),
    (BOTH + "    exit: {segment: vip, same: x}\n", [("exit.same", "`same` goes with `event` only")]),
    (BOTH + "    exit: {event: A, same: x}\n", [("exit.same", "others have no properties")]),
    (BOTH + "    reenter: {each: x}\n", [("reenter.each", "others have no properties")]),
    (BOTH + "    reenter: {each: 'x[]'}\n", [("reenter.each", "[] leads to many"), ("reenter.each", "others have")]),
    (BOTH + "    reenter: {after: 1d, each: x}\n", [("reenter", "found after and each")]),
]
TRIGGERS = [
    ("{leaves: vip, include_current: true}", [("trigger.include_current", "goes with `enters` only")]),
    (
        "{enters: vip, include_current: true}",
        [("trigger.include_current", "needs `starts`")],
    ),
    ("{enters: vip, include_current: 1}", [("trigger.include_current", "expected true or false")]),
    ("{schedule: daily}", [("trigger.schedule", "expected a mapping with at, cron, zone")]),
    ("{schedule: {zone: user}}", [("trigger.schedule", "expected one of at, cron; found none")]),
    ("{schedule: {at: '2026-07-01T10:00', cron: '0 9 * * *'}}", [("trigger.schedule", "found at and cron")]),
    ("{schedule: {at: tomorrow}}", [("trigger.schedule.at", 'expected a local time such as "2026-07-01T10:00"')]),
    ("{schedule: {at: '2026-02-30T10:00'}}", [("trigger.schedule.at", "there is no such time")]),
    ("{schedule: {at: '2026-07-01T10:00Z', zone: user}}", [("trigger.schedule.zone", "has a zone of its own")]),
    ("{schedule: {cron: '0 9 * *'}}", [("trigger.schedule.cron", "expected five fields")]),
    ("{schedule: {cron: '0 25 * * *'}}", [("trigger.schedule.cron", "not a cron expression")]),
    ("{schedule: {cron: '0 9 30 2 *'}}", [("trigger.schedule.cron", "not a cron expression: bad day-of-month")]),
    ("{schedule: {cron: '0 9 */30 2 1#5'}}", [("trigger.schedule.cron", "never comes")]),
    ("{schedule: {cron: 5}}", [("trigger.schedule.cron", "expected text")]),
    ("{schedule: {cron: '0 9 * * *', zone: Mars}}", [("trigger.schedule.zone", "no time zone of the IANA database")]),
    ("{schedule: {cron: '0 9 * * *'}, where: {a: {is: 1}}}", [("trigger.where", "goes with `event` only")]),
    ("{announcement: 5}", [("trigger.announcement", "expected text")]),
    ("{announcement: A, enters: vip}", [("trigger", "found enters and announcement")]),
    ("{announcement: A, where: {}}", [("trigger.where", "")]),
]
STEPS_WRONG = [
    ("{wait: {until: noon}}", [("steps[1].wait.until", 'from "00:00" to "23:59"')]),
    ("{wait: {until: '12:00', zone: Mars}}", [("steps[1].wait.zone", "no time zone of the IANA database")]),
    ("{wait: {until: '12:00', at_most: 1d}}", [("steps[1].wait.at_most", "goes with `for` only")]),
    ("{wait: {for: {event: A}}}", [("steps[1].wait", "`at_most` is missing")]),
    ("{wait: {for: {event: A}, at_most: 1d, zone: user}}", [("steps[1].wait.zone", "goes with `until` only")]),
    ("{wait: {for: {type: page}, at_most: 1d}}", [("steps[1].wait.for", "`event` is missing")]),
    ("{wait: {for: A, at_most: 1d}}", [("steps[1].wait.for", "expected a mapping with event")]),
    ("{wait: {for: {event: A, same: x}, at_most: 1d}}", [("steps[1].wait.for.same", "others have no properties")]),
    ("{wait: {for: {event: A}, until: '12:00', at_most: 1d}}", [("steps[1].wait", "found until and for")]),
    ("{wait: 1d, unless: {event: A}}", [("steps[1].unless", "`unless` goes with `send` only")]),
    ("{send: bye, then: [{end: true}]}", [("steps[1].then", "`then` goes with `if` only")]),
    ("{id: x, send: bye, unless: {evnt: A}}", [("steps[1].unless", "expected one of all, any")]),
    ("{if: {event: A}}", [("steps[1]", "`then` is missing")]),
    ("{if: {event: A}, then: []}", [("steps[1].then", "expected a list of steps; found an empty list")]),
    ("{if: {event: A}, then: [{send: helo}]}", [("steps[1].then[0].send", "sends message `helo`")]),
    ("{if: {segment: vips}, then: [{end: true}]}", [("steps[1].if.segment", "refers to segment `vips`")]),
    ("{if: {event: A}, then: [{send: hello}]}", [("steps[1].then[0]", "step id `hello` is taken")]),
    ("{if: {variant: a}, then: [{end: true}]}", [("steps[1].if", "needs a campaign with `variants`")]),
    ("{id: x, send: {a: bye}}", [("steps[1].send", "sending by variant needs a campaign with `variants`")]),
    ("{end: false}", [("steps[1].end", "expected true")]),
    ("{end: ~}", [("steps[1].end", "expected true or false")]),
    ("{set: {}}", [("steps[1].set", "expected attributes with their values")]),
    ("{set: {context.locale: ja}}", [("steps[1].set.context.locale", "is no part of the context")]),
    ("{set: {a: [1]}}", [("steps[1].set.a", "expected text, a number, true, false or nothing; found a list")]),
    ("{set: {a: '{{ evnt.x }}'}}", [("steps[1].set.a", "unknown variable `evnt`")]),
]
BY_VARIANT = [
    ("{id: x, send: {a: bye}}", [("steps[1].send", "sends nothing to variant `b`")]),
    ("{id: x, send: {a: bye, b: bye, c: bye}}", [("steps[1].send.c", "there is no variant `c`: a, b")]),
    ("{id: x, send: {a: bye, b: []}}", [("steps[1].send.b", "expected a message, or a list of them")]),
    ("{id: x, send: bye, unless: {not: {variant: c}}}", [("steps[1].unless.not.variant", "there is no variant `c`")]),
    ("{id: x, send: bye, unless: {event: A, count: {at_least: -1}}}", [("steps[1].unless.count.at_least", "")]),
]
POLICIES = [
    ("global_holdout: 5", [("global_holdout", "expected a mapping with goals, percent, salt")]),
    ("global_holdout: {percent: 2}", [("global_holdout", "`salt` is missing")]),
    ("global_holdout: {percent: 200, salt: x}", [("global_holdout.percent", "from 0 to 100")]),
    ("frequency_caps: {channels: [push], at_most: 1, per: 1d}", [("frequency_caps", "expected a list of caps")]),
    ("frequency_caps: [{channels: push, at_most: 1, per: 1d}]", [("frequency_caps[0].channels", "a list of channels")]),
    (
        "frequency_caps: [{channels: [fax], at_most: 1, per: 1d}]",
        [("frequency_caps[0].channels[0]", "expected one of")],
    ),
    ("frequency_caps: [{channels: [push], at_most: 0, per: 1d}]", [("frequency_caps[0].at_most", "from 1 to 1,000")]),
    ("frequency_caps: [{channels: [push], at_most: 1, per: day}]", [("frequency_caps[0].per", "expected a duration")]),
    ("frequency_caps: [{channels: [push], at_most: 1}]", [("frequency_caps[0]", "`per` is missing")]),
]


def nested(depth: int) -> str:
    step = "{id: deep, send: bye}"
    for _ in range(depth):
        step = f"{{if: {{event: A}}, then: [{step}]}}"
    return step


STEPS_WRONG.append((nested(32), [(f"steps[1]{'.then[0]' * 31}.then", "steps nest at most 32 deep")]))

CASES = [
    *((text, GREET, expected) for text, expected in FIELDS),
    *((MANY + f"    audience: {{segment: vip}}\n    trigger: {text}\n", GREET, found) for text, found in TRIGGERS),
    *(
        (ENTERS + f"    steps:\n      - {{send: hello}}\n      - {text}\n      - {{id: z, send: bye}}\n", GREET, found)
        for text, found in STEPS_WRONG
    ),
    *(
        (
            ENTERS + f"    variants: {{a: 50, b: 50}}\n    steps: [{{send: hello}}, {text}, {{id: z, send: bye}}]\n",
            GREET,
            found,
        )
        for text, found in BY_VARIANT
    ),
    *((BOTH + f"policies:\n  {text}\n", "policies", found) for text, found in POLICIES),
    (
        SENDS + "    trigger: {schedule: {cron: '0 9 * * *'}}\n    reenter: never\n",
        "",
        [(GREET, "`audience` is missing")],
    ),
    (
        SENDS + "    trigger: {schedule: {cron: '0 9 * * *'}}\n    audience: {event: A}\n",
        "",
        [(GREET, "`reenter` is missing")],
    ),
    (SENDS + "    trigger: {announcement: A}\n", "", [(GREET, "`audience` is missing")]),
    (
        ENTERS + "    steps: [{if: {event: A}, then: [{wait: 1d}], else: [{end: true}]}]\n",
        "",
        [
            (f"{GREET}.steps", "no step sends anything"),
            ("messages.bye", "no campaign sends message `bye`"),
            ("messages.hello", "no campaign sends message `hello`"),
        ],
    ),
]


@pytest.mark.parametrize(
    ("text", "where", "expected"), CASES, ids=[text.splitlines()[-1][-60:] for text, _, _ in CASES]
)
def test_each_mistake_is_found_at_its_place_and_nothing_else(found_in, text, where, expected):
    found = sorted((path, cause) for _, path, cause in found_in(text))
    wanted = sorted((f"{where}.{path}" if where else path, part) for path, part in expected)
    assert [path for path, _ in found] == [path for path, _ in wanted], found
    for (_, cause), (_, part) in zip(found, wanted, strict=True):
        assert part in cause


#: What somebody who is new to the language writes in a campaign, and the words that mend it.
TYPOS = {
    "trigger: Order Completed": "write {event: Order Completed} or {enters: Order Completed}",
    "trigger: [{event: A}]": "write {event: …} or {enters: …}",
    "trigger: {segment: vip}": "did you mean `enters`?",
    "trigger: {enter: vip}": "did you mean `enters`?",
    "trigger: {enters: [vip]}": "write one segment",
    "trigger: {event: [A, B]}": "write one name",
    "trigger: {event: A, where: {currency: JPY}}": "write {is: JPY}",
    "trigger: {schedule: 0 9 * * *}": 'write {cron: "0 9 * * *", zone: user}',
    "trigger: {schedule: {at: 09:00}}": 'for every day write cron: "0 9 * * *"',
    "trigger: {cron: 0 9 * * *}": "did you mean `schedule`?",
    "steps: hello": "write {send: hello}",
    "steps: {send: hello}": "write a list with it",
    "steps: [hello]": "write {send: hello}",
    "steps: [{push: hello}]": "did you mean `send`?",
    "steps: [{delay: 1d}, {send: hello}]": "did you mean `wait`?",
    "steps: [{wait: 1 day}, {send: hello}]": "write 1d",
    "steps: [{if: vip, then: [{send: hello}]}]": "write {event: vip} or {segment: …}",
    "steps: [{wait: {for: Order, at_most: 1d}}, {send: hello}]": "write {event: Order}",
    "steps: [{send: hello}, {end: yes}]": "write true",
    "exit: Order Completed": "write {event: Order Completed} or {segment: Order Completed}",
    "exit: {enters: vip}": "did you mean `segment`?",
    "reenter: 30d": "write {after: 30d}",
    "reenter: once": "write never",
    "reenter: {each: a * b}": "of names, dots and []",
    "consent: true": "write the topic, such as marketing",
    "holdout: 10%": "write 10",
    "variants: {a: 50%, b: '50'}": "write 50",
    "quiet_hours: 21:00-08:00": 'write {from: "21:00", to: "08:00"}',
    "quiet_hours: {start: 21:00, end: 08:00}": "did you mean `from`?",
    "max_delay: 12 hours": "write 12h",
    "goals: {event: Order}": "write {event: Order, within: 3d}",
    "goals: {ordered: {event: Order, within: 3d, value: price * n}}": "of names, dots and []",
    "with: {cart: Product Added}": "write {last: Product Added}",
    "status: active": "write live",
    "transactional: yes": "write true",
    "on_unknown: retry": "write resend",
    "priority: '50'": "write 50",
}


@pytest.mark.parametrize("line", TYPOS)
def test_a_mistake_says_what_to_write(line):
    key = line.partition(":")[0]
    fields = {"owner": "crm", "consent": "news", "reenter": "always", "trigger": "{enters: vip}"}
    fields["steps"] = "[{send: hello}, {send: bye}]"
    body = "".join(f"    {name}: {value}\n" for name, value in fields.items() if name != key)
    head = HEAD.partition("    owner")[0]
    _, problems = check((("a.yaml", f"{head}{body}    {line}\n"),))
    assert TYPOS[line] in "\n".join(problem.cause for problem in problems.errors)
