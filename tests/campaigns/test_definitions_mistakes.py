"""A corpus of mistakes around conditions: sections, ids, campaigns, messages, policies.

Each comes with its line, its path and a part of its cause; nothing else may be reported beside it.
"""

import pytest

from transforms.campaigns.load import check
from transforms.identity.channels import channels

#: What replaces a part of `valid`, and what is then wrong.
CHANGED = [
    # Segments
    ("owner: crm, members", "members", [(2, "segments.vip", "`owner` is missing")]),
    ("owner: crm, members", "owner: '', members", [(2, "segments.vip.owner", "expected text; found empty text")]),
    (
        "members: {event: Order}",
        "nmae: VIP",
        [
            (2, "segments.vip", "`members` is missing"),
            (2, "segments.vip.nmae", "unknown key `nmae`; allowed are members, name, owner; did you mean `name`?"),
        ],
    ),
    (
        "{owner: crm, members: {event: Order}}",
        "VIP",
        [(2, "segments.vip", "expected a mapping with members, name, owner; found text")],
    ),
    ("members: {event", "members: {evnt", [(2, "segments.vip.members", "found `evnt`")]),
    ("members: {event: Order}", "members: {segment: vip}", [(2, "segments.vip.members", "in a circle: vip → vip")]),
    # Sections and ids
    (
        "messages:",
        "mesages:",
        [
            (3, "mesages", "unknown key `mesages`; allowed are campaigns, messages, policies, recommend, segments"),
            (10, "campaigns.greet.steps[0].send", "sends message `hello`, which does not exist"),
        ],
    ),
    (
        "segments:\n",
        "segments: []\nmore:\n",
        [
            (1, "segments", "expected a mapping of segments; found a list"),
            (2, "more", "unknown key `more`"),
            (9, "campaigns.greet.trigger.enters", "refers to segment `vip`, which does not exist"),
        ],
    ),
    (
        "  vip:",
        "  VIP:",
        [
            (2, "segments.VIP", "`VIP` is not an id: small letters, digits and _"),
            (8, "campaigns.greet.trigger.enters", "segment `vip`, which does not exist"),
        ],
    ),
    ("  greet:", "  1st-greeting:", [(6, "campaigns.1st-greeting", "`1st-greeting` is not an id")]),
    ("  greet:", "  グリート:", [(6, "campaigns.グリート", "`グリート` is not an id")]),
    (
        "  hello: {",
        "  Hello: {channel: push, title: x}\n  hello: {",
        [(4, "messages.Hello", "`Hello` is not an id"), (4, "messages.Hello", "no campaign sends message `Hello`")],
    ),
    # Campaigns: what is there
    ("    owner: crm\n", "", [(6, "campaigns.greet", "`owner` is missing")]),
    (
        "    consent: news\n",
        "",
        [(6, "campaigns.greet", "`consent` is missing: write its topic, or `transactional: true`")],
    ),
    ("    trigger: {enters: vip}\n", "", [(6, "campaigns.greet", "`trigger` is missing")]),
    (
        "consent: news",
        "consent: news\n    statsu: live",
        [(12, "campaigns.greet.statsu", "unknown key `statsu`; allowed are audience,")],
    ),
    (
        "consent: news",
        "consent: news\n    status: draft",
        [(12, "campaigns.greet.status", 'expected one of live, paused, stopped; found "draft"')],
    ),
    ("consent: news", "consent: all", [(11, "campaigns.greet.consent", "`all` is no topic")]),
    (
        "consent: news",
        "consent: news\n    transactional: true",
        [(11, "campaigns.greet.consent", "a transactional campaign asks for no consent")],
    ),
    (
        "consent: news",
        "transactional: maybe",
        [
            (6, "campaigns.greet", "`consent` is missing"),
            (11, "campaigns.greet.transactional", "expected true or false; found text"),
        ],
    ),
    (
        "consent: news",
        "consent: news\n    max_event_age: 1 month",
        [(12, "campaigns.greet.max_event_age", "months and years have no fixed length")],
    ),
    (
        "consent: news",
        "consent: news\n    on_unknown: retry",
        [(12, "campaigns.greet.on_unknown", 'expected one of skip, resend; found "retry"')],
    ),
    (
        "consent: news",
        "consent: news\n    audience: {segment: whales}",
        [(12, "campaigns.greet.audience.segment", "segment `whales`, which does not exist")],
    ),
    (
        "consent: news",
        "consent: news\n    audience: {event: A, within: 1y}",
        [(12, "campaigns.greet.audience.within", "months and years")],
    ),
    # Triggers
    (
        "{enters: vip}",
        "vip",
        [
            (
                8,
                "campaigns.greet.trigger",
                "expected a mapping with announcement, enters, event, include_current, leaves, schedule",
            )
        ],
    ),
    (
        "{enters: vip}",
        "{}",
        [(8, "campaigns.greet.trigger", "expected one of enters, leaves, event, schedule, announcement; found none")],
    ),
    ("{enters: vip}", "{entres: vip}", [(8, "campaigns.greet.trigger.entres", "; did you mean `enters`?")]),
    ("{enters: vip}", "{enters: vip, leaves: vip}", [(8, "campaigns.greet.trigger", "found enters and leaves")]),
    (
        "{enters: vip}",
        "{enters: whales}",
        [(8, "campaigns.greet.trigger.enters", "refers to segment `whales`, which does not exist")],
    ),
    ("{enters: vip}", "{leaves: [vip]}", [(8, "campaigns.greet.trigger.leaves", "expected text; found a list")]),
    (
        "{enters: vip}",
        "{enters: vip, where: {a: {is: 1}}}",
        [(8, "campaigns.greet.trigger.where", "`where` goes with `event` only")],
    ),
    (
        "{enters: vip}",
        "{event: Order}",
        [
            (
                6,
                "campaigns.greet",
                "`reenter` is missing: this trigger needs never, always, restart, {after: D} or {each: PATH}",
            )
        ],
    ),
    # Exits and re-entry
    (
        "consent: news",
        "consent: news\n    exit: {}",
        [(12, "campaigns.greet.exit", "expected one of event, segment, leaves; found none")],
    ),
    (
        "consent: news",
        "consent: news\n    exit: [{event: A}, {leaves: whales}, B]",
        [
            (12, "campaigns.greet.exit[1].leaves", "segment `whales`, which does not exist"),
            (12, "campaigns.greet.exit[2]", "expected a mapping with event,"),
        ],
    ),
    (
        "consent: news",
        "consent: news\n    exit: {segment: whales}",
        [(12, "campaigns.greet.exit.segment", "segment `whales`, which does not exist")],
    ),
    (
        "consent: news",
        "consent: news\n    exit: {leaves: vip, type: page}",
        [(12, "campaigns.greet.exit.type", "`type` goes with `event` only")],
    ),
    (
        "consent: news",
        "consent: news\n    reenter: sometimes",
        [(12, "campaigns.greet.reenter", 'expected one of never, always, restart; found "sometimes"')],
    ),
    (
        "consent: news",
        "consent: news\n    reenter: {after: 2 months}",
        [(12, "campaigns.greet.reenter.after", "months and years")],
    ),
    (
        "consent: news",
        "consent: news\n    reenter: {}",
        [(12, "campaigns.greet.reenter", "expected one of after, each; found none")],
    ),
    (
        "consent: news",
        "consent: news\n    reenter: {aftr: 7d}",
        [(12, "campaigns.greet.reenter.aftr", "unknown key `aftr`")],
    ),
    # Steps
    (
        "      - {send: hello}",
        "      []",
        [
            (4, "messages.hello", "no campaign sends message `hello`"),
            (9, "campaigns.greet.steps", "expected a list of steps; found an empty list"),
        ],
    ),
    (
        "      - {send: hello}",
        "      - {send: hello}\n      - pause",
        [
            (
                11,
                "campaigns.greet.steps[1]",
                "expected a mapping with else, end, id, if, send, set, then, unless, wait; found text",
            )
        ],
    ),
    ("{send: hello}", "{send: hello, wait: 1d}", [(10, "campaigns.greet.steps[0]", "found send and wait")]),
    (
        "      - {send: hello}",
        "      - {send: hello}\n      - {sned: hello}",
        [(11, "campaigns.greet.steps[1].sned", "unknown key `sned`")],
    ),
    (
        "{send: hello}",
        "{send: helo}",
        [
            (4, "messages.hello", "no campaign sends message `hello`"),
            (10, "campaigns.greet.steps[0].send", "`helo`, which does not exist; did you mean `hello`?"),
        ],
    ),
    (
        "{send: hello}",
        "{send: [hello, 5]}",
        [(10, "campaigns.greet.steps[0].send[1]", "expected text; found a number")],
    ),
    (
        "{send: hello}",
        "{send: []}",
        [
            (4, "messages.hello", "no campaign sends message `hello`"),
            (10, "campaigns.greet.steps[0].send", "expected a message, or a list of them"),
        ],
    ),
    (
        "      - {send: hello}",
        "      - {send: hello}\n      - {send: hello}",
        [(11, "campaigns.greet.steps[1]", "step id `hello` is taken: write an `id:`")],
    ),
    (
        "{send: hello}",
        "{id: No, send: hello}",
        [(10, "campaigns.greet.steps[0].id", "`No` is not an id: small letters, digits and _")],
    ),
    (
        "      - {send: hello}",
        "      - {send: hello}\n      - {wait: 1 month}",
        [(11, "campaigns.greet.steps[1].wait", "months and years")],
    ),
    (
        "      - {send: hello}",
        "      - {send: hello}\n      - {wait: {}}",
        [(11, "campaigns.greet.steps[1].wait", "expected one of until, for; found none")],
    ),
    (
        "      - {send: hello}",
        "      - {send: hello}\n      - {wait: {days: 2}}",
        [(11, "campaigns.greet.steps[1].wait.days", "unknown key `days`; allowed are at_most, for, until, zone")],
    ),
    (
        "      - {send: hello}",
        "      - {wait: 1d}",
        [
            (4, "messages.hello", "no campaign sends message `hello`"),
            (9, "campaigns.greet.steps", "no step sends anything"),
        ],
    ),
    # Messages
    ("title: Hello", "title: '{{ user.name'", [(4, "messages.hello.title", "Liquid: expected")]),
    ("title: Hello", "title: '{{ name }}'", [(4, "messages.hello.title", "Liquid: unknown variable `name`")]),
    (
        "title: Hello",
        "tilte: Hello",
        [(4, "messages.hello", "a push needs `title` or `body`"), (4, "messages.hello.tilte", "unknown key `tilte`")],
    ),
    (
        "channel: push",
        "channel: fax",
        [(4, "messages.hello.channel", f'expected one of {", ".join(channels())}; found "fax"')],
    ),
    ("title: Hello", "title: Hello, ttl: [1]", [(4, "messages.hello.ttl", "found [1]")]),
    # Policies
    (
        "segments:\n",
        "policies: {default_zone: Mars/Olympus}\nsegments:\n",
        [(1, "policies.default_zone", 'no time zone of the IANA database is called "Mars/Olympus"')],
    ),
    *(
        (
            "segments:\n",
            f"policies: {{default_zone: {zone}}}\nsegments:\n",
            [(1, "policies.default_zone", f'no time zone of the IANA database is called "{zone}"')],
        )
        for zone in ("localtime", "posixrules", "right/UTC", "posix/Asia/Tokyo", "Factory", "../UTC", "asia/tokyo")
    ),
    (
        "segments:\n",
        "policies: {default_zone: 9}\nsegments:\n",
        [(1, "policies.default_zone", "expected text; found a number")],
    ),
    ("segments:\n", "policies: {max_event_age: 1y}\nsegments:\n", [(1, "policies.max_event_age", "months and years")]),
    (
        "segments:\n",
        "policies: {sessions: 30m}\nsegments:\n",
        [(1, "policies.sessions", "expected a mapping with gap; found")],
    ),
    ("segments:\n", "policies: {sessions: {}}\nsegments:\n", [(1, "policies.sessions", "`gap` is missing")]),
    (
        "segments:\n",
        "policies: {sessions: {gap: 1y}}\nsegments:\n",
        [(1, "policies.sessions.gap", "months and years")],
    ),
    ("segments:\n", "policies: {zone: UTC}\nsegments:\n", [(1, "policies.zone", "unknown key `zone`")]),
    (
        "segments:\n",
        "policies: {default_locale: english}\nsegments:\n",
        [(1, "policies.default_locale", "`english` is not a locale such as en, ja or pt-BR")],
    ),
    ("segments:\n", "policies: [UTC]\nsegments:\n", [(1, "policies", "expected a mapping with default_locale,")]),
]


def test_what_the_mistakes_are_put_into_has_none(valid):
    definitions, problems = check((("valid.yaml", valid),))
    assert definitions is not None
    assert list(problems) == []


@pytest.mark.parametrize("change", CHANGED, ids=[f"{part} -> {new}" for part, new, _ in CHANGED])
def test_each_mistake_is_found_at_its_place_and_nothing_else(change, valid, found_in, same):
    part, instead, expected = change
    assert part in valid
    same(found_in(valid.replace(part, instead, 1)), expected)


@pytest.mark.parametrize("text", ["hello", "[1, 2]", "5"])
def test_a_file_that_is_no_mapping(text, found_in, same):
    sections = "campaigns, messages, policies, recommend, segments, slos"
    same(found_in(text), [(1, "", f"expected a mapping with {sections}; found ")])


def test_all_of_them_at_once(valid, found_in, same):
    texts = valid
    for part, instead in [
        ("owner: crm, members", "members"),
        ("title: Hello", "title: '{{ name }}'"),
        ("enters: vip", "enters: whales"),
        ("send: hello", "send: helo"),
        ("consent: news", "consnt: news"),
    ]:
        texts = texts.replace(part, instead)
    same(
        found_in(texts),
        [
            (2, "segments.vip", "`owner` is missing"),
            (4, "messages.hello", "no campaign sends message `hello`"),
            (4, "messages.hello.title", "unknown variable `name`"),
            (6, "campaigns.greet", "`consent` is missing"),
            (8, "campaigns.greet.trigger.enters", "`whales`, which does not exist"),
            (10, "campaigns.greet.steps[0].send", "`helo`, which does not exist"),
            (11, "campaigns.greet.consnt", "unknown key `consnt`"),
        ],
    )
