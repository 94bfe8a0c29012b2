"""Previews: the sizes that the oracle counts, and members with reasons that hold."""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from core import DAY, START, compile_plain
from generators import definitions, histories, instants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships
from strength import examples

from transforms.users.histories import Histories
from transforms.users.preview import WEEK, Preview, preview_segment
from transforms.users.user import ANONYMOUS

Plain = dict[str, Any]


def previewed(history: list[Plain], plain: Plain, segment: str, as_of: int, **more: Any) -> Preview:
    with tempfile.TemporaryDirectory() as folder:
        found = Histories(Path(folder), parts=2)
        found.read([json.dumps(call).encode() for call in history], as_of)
        return preview_segment(segment, found, compile_plain(plain), as_of, **more)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_sizes_are_the_oracles(data: st.DataObject) -> None:
    history, plain = data.draw(histories()), data.draw(definitions())
    segment = data.draw(st.sampled_from(sorted(plain["segments"])))
    as_of = data.draw(st.sampled_from(instants(plain, history)))
    anonymous = data.draw(st.booleans())
    found = previewed(history, plain, segment, as_of, weeks=3, anonymous=anonymous)
    for week, back in zip(found.weeks, (2, 1, 0), strict=True):
        every = memberships(plain, history, as_of - back * WEEK)
        known = {key: segments for key, segments in every.items() if anonymous or not key.startswith(ANONYMOUS)}
        assert week.at == as_of - back * WEEK
        assert (week.users, week.members) == (len(known), sum(segment in segments for segments in known.values()))
    assert (found.users, found.members) == (found.weeks[-1].users, found.weeks[-1].members)
    assert found.conditions[0].holds == found.conditions[1].holds == found.members
    now = memberships(plain, history, as_of)
    assert len(found.sample) == min(5, found.members)
    for reason in found.sample:
        assert segment in now[reason.user]
        assert reason.because.holds
        assert reason.because.parts[0].holds


def order(user: str, day: int, **more: Any) -> Plain:
    time = (START + day * DAY) // 1_000_000
    return {
        "type": "track",
        "event": "Ordered",
        "userId": user,
        "messageId": f"{user}{day}",
        "timestamp": stamp(time),
    } | more


def stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


LATELY: Plain = {
    "segments": {"lately": {"members": {"any": [{"event": "Ordered", "within": "8d"}, {"event": "Never"}]}}}
}


def test_growth_week_by_week() -> None:
    history = [order("a", 0), order("b", 7), order("b", 13), order("c", 14)]
    found = previewed(history, LATELY, "lately", START + 14 * DAY, weeks=4)
    assert [(week.members, week.users) for week in found.weeks] == [(0, 0), (1, 1), (2, 2), (2, 3)]
    assert [(asked.depth, asked.text, asked.holds) for asked in found.conditions] == [
        (0, "lately", 2),
        (1, "any", 2),
        (2, "event: Ordered, within: 8d", 2),
        (2, "event: Never", 0),
    ]


def test_a_reason_has_what_holds_since_when_and_until_when() -> None:
    found = previewed([order("b", 7), order("b", 13)], LATELY, "lately", START + 14 * DAY)
    [reason] = found.sample
    [ordered] = reason.because.parts[0].parts  # of `any` only what holds
    times = (ordered.since, ordered.turns, ordered.newest)
    assert times == (START + 7 * DAY, START + 21 * DAY, START + 13 * DAY)


def test_the_sample_is_the_same_whatever_the_order() -> None:
    history = [order(f"u{number}", number % 7) for number in range(40)]
    first = previewed(history, LATELY, "lately", START + 7 * DAY, sample=3).sample
    again = previewed(history[::-1], LATELY, "lately", START + 7 * DAY, sample=3).sample
    assert first == again
    assert len({reason.user for reason in first}) == 3
    assert previewed(history, LATELY, "lately", START + 7 * DAY, sample=0).sample == ()


@pytest.mark.parametrize("sample", [1, 2])
def test_users_who_go_on_as_each_other_are_one(sample: int) -> None:
    alias = {
        "type": "alias",
        "previousId": "a",
        "userId": "b",
        "messageId": "x",
        "timestamp": stamp(START // 1_000_000 + 9),
    }
    further = alias | {"previousId": "b", "userId": "c", "messageId": "y"}
    history = [order("a", 0), order("b", 0), order("c", 0), alias, further]
    found = previewed(history, LATELY, "lately", START + DAY, sample=sample)
    assert (found.members, found.users, [reason.user for reason in found.sample]) == (1, 1, ["c"])


def test_messages_that_are_not_used_are_counted(tmp_path: Path) -> None:
    histories_ = Histories(tmp_path)
    lines = [json.dumps(order("a", day)).encode() for day in (0, 1, 2)]
    histories_.read([*lines, b"not JSON"], START + DAY)
    assert histories_.accounts == {"read": 4, "dead_letters": 1, "later": 1}
    assert histories_.newest == START + DAY
