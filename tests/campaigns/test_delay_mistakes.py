"""Mistakes in quiet hours and delays, each found at its place and nothing else."""

import pytest

#: A part of the valid definitions, what stands in its place, and what is found then.
CHANGED = [
    (
        "campaigns:",
        "policies: {quiet_hours: {from: '21:00', to: '21:00'}}\ncampaigns:",
        [(5, "policies.quiet_hours", "`from` and `to` are the same")],
    ),
    (
        "campaigns:",
        "policies: {quiet_hours: none, settling: soon}\ncampaigns:",
        [
            (5, "policies.quiet_hours", "expected a mapping with from, to; found text"),
            (5, "policies.settling", "expected a duration"),
        ],
    ),
    (
        "consent: news",
        "consent: news\n    max_delay: 8h\npolicies: {quiet_hours: {from: '21:00', to: '08:00'}}",
        [(12, "campaigns.greet.max_delay", "shorter than the quiet hours")],
    ),
    (
        "consent: news",
        "consent: news\n    quiet_hours: 21:00-08:00",
        [(12, "campaigns.greet.quiet_hours", "expected a mapping with from, to; found text")],
    ),
    (
        "consent: news",
        "consent: news\n    quiet_hours: {from: 21:00, until: 08:00}",
        [
            (12, "campaigns.greet.quiet_hours", "`to` is missing"),
            (12, "campaigns.greet.quiet_hours.until", "unknown key `until`; allowed are from, to"),
        ],
    ),
    (
        "consent: news",
        "consent: news\n    quiet_hours: {from: 9pm, to: 24:00}",
        [
            (12, "campaigns.greet.quiet_hours.from", 'a local time from "00:00" to "23:59"; found "9pm"'),
            (12, "campaigns.greet.quiet_hours.to", 'found "24:00"'),
        ],
    ),
    (
        "consent: news",
        "consent: news\n    quiet_hours: {from: 21, to: '8:00'}",
        [
            (12, "campaigns.greet.quiet_hours.from", "found 21"),
            (12, "campaigns.greet.quiet_hours.to", 'found "8:00"'),
        ],
    ),
    (
        "consent: news",
        "consent: news\n    quiet_hours: {from: '21:00', to: '21:00'}",
        [(12, "campaigns.greet.quiet_hours", "`from` and `to` are the same")],
    ),
    (
        "consent: news",
        "consent: news\n    quiet_hours: {from: '21:00', to: '08:00'}\n    max_delay: 659m",
        [
            (
                13,
                "campaigns.greet.max_delay",
                "shorter than the quiet hours: what falls due as they begin would expire; write 11h or more",
            )
        ],
    ),
    (
        "consent: news",
        "consent: news\n    quiet_hours: {from: '09:15', to: '17:30'}\n    max_delay: 8h",
        [(13, "campaigns.greet.max_delay", "write 495m or more")],
    ),
    (
        "consent: news",
        "consent: news\n    max_delay: 1 month",
        [(12, "campaigns.greet.max_delay", "months and years have no fixed length")],
    ),
]


@pytest.mark.parametrize("change", CHANGED, ids=[f"{part} -> {new}" for part, new, _ in CHANGED])
def test_each_mistake_is_found_at_its_place_and_nothing_else(change, valid, found_in, same):
    part, instead, expected = change
    assert part in valid
    same(found_in(valid.replace(part, instead, 1)), expected)
