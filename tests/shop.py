"""Definitions with campaigns of every kind over the events of `generators`, for tests on random histories."""

from typing import Any

__all__ = ["SHOP"]

VIEWED_PRICED = {"event": "Viewed", "where": {"amount": {"at_least": 2}}}

SHOP: dict[str, Any] = {
    "segments": {
        "abandoned": {"members": {"event": "Viewed", "missing": {"event": "Ordered", "within": "1h"}}},
        "active": {"members": {"event": "Viewed", "within": "2h"}},
        "buyers": {"members": {"event": "Ordered"}},
        "lapsed": {"members": {"all": [{"segment": "buyers"}, {"not": {"event": "Ordered", "within": "1d"}}]}},
        "paying": {"members": {"attribute": "plan", "starts_with": "pro"}},
        "reachable": {"members": {"any": [{"reachable": "push"}, {"reachable": "email"}]}},
        "often": {"members": {"event": "Viewed", "within": "1w", "count": {"at_least": 2}}},
    },
    "campaigns": {
        "cart": {
            "trigger": {"enters": "abandoned"},
            "audience": {"segment": "reachable"},
            "steps": [
                {"id": "first", "send": ["push_a", "mail_a"]},
                {"wait": "2h"},
                {"id": "second", "send": "mail_b"},
            ],
            "exit": {"event": "Ordered"},
            "reenter": {"after": "1d"},
            "consent": "offers",
        },
        "thanks": {
            "trigger": {"event": "Ordered"},
            "steps": [{"wait": "30s"}, {"id": "thanks", "send": ["mail_a", "push_a"]}],
            "reenter": "always",
            "transactional": True,
        },
        "tour": {
            "trigger": VIEWED_PRICED,
            "steps": [{"send": "push_b"}, {"wait": "1h"}, {"send": "push_c"}, {"wait": "1d"}, {"send": "mail_c"}],
            "exit": [{"segment": "lapsed"}, {"leaves": "paying"}],
            "reenter": "never",
            "consent": "news",
            "max_event_age": "15m",
        },
        "come_back": {
            "trigger": {"leaves": "active"},
            "steps": [{"send": ["mail_d", "push_d"]}],
            "consent": "news",
        },
        "win_back": {"trigger": {"enters": "lapsed"}, "steps": [{"send": "push_e"}], "consent": "offers"},
        "resting": {
            "status": "paused",
            "trigger": {"enters": "often"},
            "steps": [{"send": "push_f"}],
            "consent": "offers",
        },
    },
    "messages": {
        **{f"push_{letter}": {"channel": "push", "title": "Hello"} for letter in "abcdef"},
        **{f"mail_{letter}": {"channel": "email", "subject": "Hello", "text": "Hello"} for letter in "abcd"},
    },
}
