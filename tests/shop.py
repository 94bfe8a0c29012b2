"""Definitions with campaigns of every kind over the events of `generators`, for tests on random histories."""

from typing import Any

__all__ = ["SHOP"]

VIEWED_PRICED = {"event": "Viewed", "where": {"amount": {"at_least": 2}}}

SHOP: dict[str, Any] = {
    "policies": {
        "frequency_caps": [{"channels": ["push", "email"], "at_most": 3, "per": "1d"}],
        "global_holdout": {"percent": 10, "salt": "2026"},
    },
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
        "weekly": {
            "trigger": {"schedule": {"cron": "0 9 * * 1", "zone": "user"}},
            "ends": "2026-04-07T00:00:00Z",
            "audience": {"segment": "reachable"},
            "holdout": 20,
            "variants": {"a": 50, "b": 50},
            "steps": [
                {"id": "week", "send": {"a": ["push_g", "mail_e"], "b": "push_h"}, "unless": {"segment": "active"}}
            ],
            "reenter": "always",
            "consent": "offers",
            "goals": {"ordered": {"event": "Ordered", "within": "3d", "value": "amount"}},
        },
        "order": {
            "trigger": {"event": "Ordered"},
            "steps": [
                {"wait": {"for": {"event": "Viewed"}, "at_most": "2h"}},
                {"id": "ask", "send": ["push_i", "mail_f"]},
            ],
            "reenter": {"each": "amount"},
            "consent": "news",
            "quiet_hours": {"from": "22:00", "to": "07:00"},
            "priority": 90,
        },
        "browsing": {
            "trigger": {"event": "Viewed"},
            "steps": [{"wait": "30m"}, {"send": "push_j", "unless": {"event": "Ordered", "within": "1h"}}],
            "reenter": "restart",
            "consent": "offers",
        },
        "resting": {
            "status": "paused",
            "trigger": {"enters": "often"},
            "steps": [{"send": "push_f"}],
            "consent": "offers",
        },
    },
    "messages": {
        **{f"push_{letter}": {"channel": "push", "title": "Hello"} for letter in "abcdefghij"},
        **{f"mail_{letter}": {"channel": "email", "subject": "Hello", "text": "Hello"} for letter in "abcdef"},
    },
}
