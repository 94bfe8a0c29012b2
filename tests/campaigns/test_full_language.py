"""Forms of the whole language that this version does not support are refused by name, each at its own line.

The files hold three businesses' definitions in the whole language. When a form becomes supported, its line goes.
"""

from pathlib import Path

import pytest

from transforms.campaigns.load import check

FOLDER = Path(__file__).parent.parent / "data" / "full_language"

#: By file, line and path, which ends in the form that is refused.
REFUSED = {
    "shop": """
        67 campaigns.cart_recovery.holdout
        68 campaigns.cart_recovery.with
        71 campaigns.cart_recovery.steps[1].wait.until
        71 campaigns.cart_recovery.steps[1].wait.zone
        72 campaigns.cart_recovery.steps[2].unless
        78 campaigns.cart_recovery.priority
        79 campaigns.cart_recovery.goals
        87 campaigns.birthday_coupon.goals
        95 campaigns.order_shipped.reenter.each
        96 campaigns.order_shipped.on_unknown=resend
        100 campaigns.summer_sale.trigger.schedule
        107 campaigns.summer_sale.holdout
        108 campaigns.summer_sale.rate
        112 campaigns.summer_sale.goals
        119 messages.shipped_line.channel=line
        127 policies.global_holdout
        128 policies.frequency_caps
    """,
    "game": """
        60 campaigns.onboarding.holdout
        61 campaigns.onboarding.variants
        64 campaigns.onboarding.steps[1].unless
        65 campaigns.onboarding.steps[2].if
        65 campaigns.onboarding.steps[2].then
        67 campaigns.onboarding.steps[4].unless
        74 campaigns.onboarding.goals
        81 campaigns.energy_full.reenter=restart
        90 campaigns.come_back.holdout
        91 campaigns.come_back.variants
        93 campaigns.come_back.steps[0].send=sending by variant
        94 campaigns.come_back.steps[1].wait.at_most
        94 campaigns.come_back.steps[1].wait.for
        95 campaigns.come_back.steps[2].send=sending by variant
        103 campaigns.come_back.goals
        107 campaigns.weekend_event.trigger.schedule
        108 campaigns.weekend_event.ends
        118 campaigns.weekend_event.goals
        123 messages.onboard_gift.channel=inbox
        128 messages.grant_gift.channel=webhook
        135 policies.frequency_caps
    """,
    "news": """
        62 campaigns.trial_conversion.holdout
        63 campaigns.trial_conversion.variants
        65 campaigns.trial_conversion.steps[0].send=sending by variant
        66 campaigns.trial_conversion.steps[1].wait.at_most
        66 campaigns.trial_conversion.steps[1].wait.for
        73 campaigns.trial_conversion.goals
        80 campaigns.payment_failed.exit[0].same
        81 campaigns.payment_failed.reenter.each
        82 campaigns.payment_failed.on_unknown=resend
        86 campaigns.weekly_digest.trigger.schedule
        95 campaigns.weekly_digest.goals
        100 campaigns.we_miss_you.steps[1].set
        104 campaigns.we_miss_you.goals
        108 campaigns.breaking.trigger.announcement
        114 campaigns.breaking.priority
        130 policies.frequency_caps
    """,
}
LATER = "is part of the language but not supported by this version"


def refused(text):
    """The mistakes as (line, path, what is refused); there may be none of another kind."""
    definitions, problems = check((("f.yaml", text),))
    assert definitions is None
    assert [str(problem) for problem in problems.errors if LATER not in problem.cause] == []
    return [(problem.line, problem.path, problem.cause.removesuffix(LATER).strip(" `")) for problem in problems.errors]


def as_found(line):
    number, _, place = line.strip().partition(" ")
    path, _, form = place.partition("=")
    return int(number), path, form or path.rpartition(".")[2]


@pytest.mark.parametrize("name", REFUSED)
def test_the_whole_language_is_refused_by_name_and_nothing_else_is_wrong(name):
    expected = [as_found(line) for line in REFUSED[name].strip().splitlines()]
    assert refused((FOLDER / f"{name}.yaml").read_text(encoding="utf-8")) == expected


HEAD = "segments: {s: {owner: o, members: {event: A}}}\n"
CAMPAIGN = (
    "messages: {m: {channel: push, title: x}}\n"
    "campaigns:\n  c: {owner: o, trigger: {enters: s}, steps: [{send: m}], consent: news, reenter: never, MORE}\n"
)
MAIL = "campaigns: {c: {owner: o, trigger: {enters: s}, steps: [{send: m}], consent: news}}\nmessages:\n  m: "


#: Definitions with one form that is refused, and its name.
EACH = (
    [
        (HEAD + CAMPAIGN.replace("MORE", form), form.partition(":")[0])
        for form in (
            "starts: 2026-07-01",
            "ends: 2026-07-01",
            "include_current: true",
            "holdout: 10",
            "variants: {a: 50, b: 50}",
            "with: {cart: {last: A}}",
            "rate: {at_most: 1, per: 1m}",
            "priority: 50",
            "goals: {g: {event: A, within: 1d}}",
        )
    ]
    + [
        (HEAD + CAMPAIGN.replace(", MORE", "").replace("{send: m}", f"{{send: m}}, {step}"), form)
        for step, form in (
            ("{if: {segment: s}, then: [{send: m}], else: [{end: true}]}", "if + then + else"),
            ("{set: {plan: pro}}", "set"),
            ("{end: true}", "end"),
            ("{wait: {until: '12:00', zone: user}}", "until + zone"),
            ("{wait: {for: {event: A}, at_most: 1d}}", "for + at_most"),
            ("{id: second, send: m, unless: {event: A}}", "unless"),
        )
    ]
    + [
        (HEAD + CAMPAIGN.replace(", MORE", "").replace("{enters: s}", trigger), form)
        for trigger, form in (
            ("{schedule: {at: '2026-07-01T10:00', zone: user}}", "schedule"),
            ("{announcement: A, where: {a: {is: 1}}}", "announcement"),
            ("{enters: s, include_current: true}", "include_current"),
        )
    ]
    + [
        (HEAD + CAMPAIGN.replace(", MORE", "").replace("reenter: never", reenter), form)
        for reenter, form in (
            ("reenter: {each: order_id}", "each"),
            ("reenter: restart", "restart"),
            ("exit: {event: A, same: order_id}", "same"),
            ("exit: [{event: any}]", "event: any"),
            ("on_unknown: resend", "resend"),
        )
    ]
    + [
        (HEAD + MAIL + message, form)
        for message, form in (
            ("{channel: line, text: x}", "line"),
            ("{channel: webhook, url: x, body: {a: b}, headers: {c: d}}", "webhook"),
            ("{channel: inbox, title: x, body: y, expires: 7d}", "inbox"),
            ("{channel: push, title: x, android: {a: b}}", "android"),
            ("{channel: push, title: x, apns: {a: b}}", "apns"),
            ("{channel: push, title: x, web: {a: b}}", "web"),
        )
    ]
    + [
        (HEAD + "policies: {frequency_caps: [{channels: [push], at_most: 2, per: 1d}]}", "frequency_caps"),
        (HEAD + "policies: {global_holdout: {percent: 2, salt: x}}", "global_holdout"),
        (HEAD + "slos: {push_latency: {owner: o}}", "slos"),
    ]
)


@pytest.mark.parametrize(("text", "form"), EACH, ids=lambda value: value.splitlines()[-1][-60:])
def test_each_form_once(text, form):
    assert sorted(name for _, _, name in refused(text)) == sorted(form.split(" + "))
