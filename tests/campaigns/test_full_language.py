"""The whole language is read: three businesses and each form by itself."""

from pathlib import Path

import pytest

from transforms.campaigns.load import check

FOLDER = Path(__file__).parent.parent / "data" / "full_language"
SURPRISING = ("holds also for users", "is false for users without")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_whole_businesses_have_no_mistake(path):
    definitions, problems = check(((path.name, path.read_text(encoding="utf-8")),))
    assert [str(problem) for problem in problems.errors] == []
    assert definitions is not None
    assert [str(w) for w in problems.warnings if not any(part in w.cause for part in SURPRISING)] == []


HEAD = "segments: {s: {owner: o, members: {event: A}}}\n"
CAMPAIGN = (
    "messages: {m: {channel: push, title: x}, n: {channel: inbox, title: x}}\n"
    "campaigns:\n"
    "  c: {owner: o, trigger: {enters: s}, steps: [{send: m}, {send: [n]}], consent: news, reenter: never, MORE}\n"
)
MAIL = "campaigns: {c: {owner: o, trigger: {enters: s}, steps: [{send: m}], consent: news}}\nmessages:\n  m: "
PLAIN = CAMPAIGN.replace(", MORE", "")

#: Definitions with one form.
EACH = (
    [
        HEAD + CAMPAIGN.replace("MORE", form)
        for form in (
            *("starts: 2026-07-01", "ends: '2026-07-01T00:00:00+09:00'", "starts: 2026-07-01, ends: 2026-07-02"),
            *("starts: 2026-07-01, include_current: true", "include_current: false"),
            *("holdout: 10", "holdout: 0", "holdout: 12.5", "holdout: 100"),
            *("variants: {a: 50, b: 50}", "variants: {a: 33.3, b: 33.3, c: 33.4}", "variants: {a: 100}"),
            *("with: {cart: {last: A}}", "priority: 0", "priority: 100", "on_unknown: resend"),
            *("goals: {g: {event: A, within: 1d}}", "goals: {g: {event: any, within: 1d, after: 7d, value: a.b}}"),
            "goals: {holdout: {event: A, type: page, where: {a: {is: 1}}, within: 1d}, user: {event: B, within: 1w}}",
        )
    ]
    + [
        HEAD + PLAIN.replace("{send: m}", f"{{send: m}}, {step}")
        for step in (
            "{if: {segment: s}, then: [{id: x, send: m}], else: [{end: true}]}",
            "{if: {segment: s}, then: [{wait: 1d}]}",
            "{set: {plan: pro}}",
            "{set: {plan: ~, n: 5, b: true, '#': x, text: '{{ user.id }} {{ event.x }}'}}".replace("'#': x, ", ""),
            "{end: true}",
            "{wait: {until: '12:00', zone: user}}",
            "{wait: {until: '00:00'}}",
            "{wait: {until: '12:00', zone: Asia/Tokyo}}",
            "{wait: {for: {event: A}, at_most: 1d}}",
            "{wait: {for: {event: any, type: page, where: {a: {is: 1}}}, at_most: 1d}}",
            "{id: second, send: m, unless: {event: A}}",
        )
    ]
    + [
        HEAD + PLAIN.replace("{send: m}", f"{step}").replace("MORE", "")
        for step in (
            "{if: {segment: s}, then: [{if: {event: B}, then: [{send: m}], else: [{wait: 1d}]}]}",
            "{if: {segment: s}, then: [{wait: 1d}], else: [{send: m}]}",
        )
    ]
    + [
        HEAD + PLAIN.replace("consent: news", "variants: {a: 50, b: 50}, consent: news").replace("{send: m}", step)
        for step in (
            "{send: {a: m, b: [m, n]}}",
            "{send: m, unless: {variant: a}}",
            "{if: {any: [{variant: a}, {not: {all: [{variant: b}, {event: B}]}}]}, then: [{send: m}]}",
        )
    ]
    + [
        HEAD + PLAIN.replace("{enters: s}", f"{trigger}, audience: {{segment: s}}")
        for trigger in (
            *("{schedule: {at: '2026-07-01T10:00', zone: user}}", "{schedule: {at: '2026-07-01T10:00:30'}}"),
            "{schedule: {at: '2026-07-01T10:00+09:00'}}",
            *("{schedule: {cron: '30 7 * * 1', zone: Asia/Tokyo}}", "{schedule: {cron: ' 0  0 29 2 MON-FRI '}}"),
            *("{schedule: {cron: '0 9 * * *', zone: user}}, rate: {at_most: 1, per: 1m}", "{announcement: A}"),
            "{announcement: A, type: track, where: {a: {is: 1}}}, rate: {at_most: 1000000, per: 1s}",
            *("{enters: s, include_current: true}, starts: 2026-07-01", "{enters: s, include_current: false}"),
        )
    ]
    + [
        HEAD + PLAIN.replace("{enters: s}", "{event: A}").replace("reenter: never", reenter)
        for reenter in (
            *("reenter: {each: order.id}", "reenter: restart", "reenter: never, exit: {event: A, same: order_id}"),
            *("reenter: always, exit: [{event: any}]", "reenter: never, exit: {event: A, type: page, same: a}"),
        )
    ]
    + [
        HEAD + PLAIN.replace("{enters: s}", "{event: A}").replace("{send: m}", step)
        for step in ("{wait: {for: {event: A, same: order.id}, at_most: 1d}}, {send: m}",)
    ]
    + [
        HEAD + MAIL + message
        for message in (
            *("{channel: line, text: x}", "{channel: line, text: {en: x, ja: y}}"),
            "{channel: line, messages: [{type: text, text: '{{ user.id }}'}, {type: sticker, packageId: '1'}]}",
            "{channel: webhook, url: http://h, body: {a: b, n: 5, l: [x, ~, {y: true}]}, headers: {c: d, E: {en: f}}}",
            *(
                "{channel: webhook, url: http://h, body: 'a {{ user.id }}'}",
                "{channel: webhook, url: http://h, body: ~}",
            ),
            *("{channel: inbox, title: x, body: y, expires: 7d}", "{channel: inbox, body: y, data: {a: {b: [1]}}}"),
            *("{channel: push, title: x, android: {a: b}}", "{channel: push, title: x, apns: {a: {b: ['{{ now }}']}}}"),
            "{channel: push, title: x, web: {}}",
        )
    ]
    + [
        HEAD + "policies: {frequency_caps: [{channels: [push], at_most: 2, per: 1d}]}",
        HEAD + "policies: {frequency_caps: [{channels: [push, line], at_most: 1000, per: 4w}]}",
        HEAD + "policies: {global_holdout: {percent: 2, salt: x}}",
    ]
)


@pytest.mark.parametrize("text", EACH, ids=lambda value: value.splitlines()[-1][-70:])
def test_each_form_once(text):
    _, problems = check((("f.yaml", text),))
    assert [str(problem) for problem in problems.errors] == []
