"""A window that is longer than the archive keeps events is a mistake, by name."""

from typing import Any

import pytest
from core import texts_of

from transforms.campaigns.load import check

Plain = dict[str, Any]


def mistakes(members: Plain, **more: Any) -> list[str]:
    plain = {"policies": {"retention": "30d"}, "segments": {"s": {"members": members}}, **more}
    return [str(problem) for problem in check(texts_of(plain))[1].errors]


@pytest.mark.parametrize(
    "members",
    [
        {"event": "A", "within": "31d"},
        {"not": {"all": [{"event": "A", "sum": {"of": "n", "at_least": 1}, "within": "5w"}]}},
        {"event": "A", "last": {"older_than": "90d"}},
        {"event": "A", "missing": {"event": "B", "within": "31d"}},
        {"sequence": [{"event": "A"}, {"event": "B", "within": "31d"}], "within": "1d"},
    ],
)
def test_a_longer_window_is_refused(members: Plain) -> None:
    (mistake,) = mistakes(members)
    assert "segments.s" in mistake
    assert "looks back further than the archive keeps events (`policies.retention`)" in mistake


@pytest.mark.parametrize(
    "members",
    [
        {"event": "A", "within": "30d"},
        {"event": "A", "count": {"at_least": 2}},
        {"attribute": "born", "within": "90d"},
    ],
)
def test_others_are_taken(members: Plain) -> None:
    assert mistakes(members) == []


def test_that_of_a_campaign_is_named() -> None:
    campaign = {
        "trigger": {"event": "A"},
        "audience": {"event": "B", "within": "60d"},
        "steps": [{"send": "m"}],
        "consent": "offers",
        "reenter": "always",
    }
    more = {"campaigns": {"c": campaign}, "messages": {"m": {"channel": "push", "title": "Hi"}}}
    (mistake,) = mistakes({"event": "A"}, **more)
    assert "campaigns.c" in mistake


def test_without_a_retention_all_is_kept() -> None:
    assert mistakes({"event": "A", "within": "900d"}, policies={}) == []
