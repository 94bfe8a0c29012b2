"""An export of the archive, run into a new store, gives the same users."""

import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from columns import columnar
from core import compile_plain, decode_all, essence
from generators import definitions, histories
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runs import Runs

from transforms.events.decode import decode
from transforms.users.export import archive_messages, exported
from transforms.users.user import User

Plain = dict[str, Any]
slow = settings(deadline=None, suppress_health_check=list(HealthCheck))


def standing(users: dict[str, User]) -> dict[str, tuple[Any, ...]]:
    """Whose past is whose, and since when everybody is known."""
    return {
        name: (user.created, None if user.owner else user.clock, set(user.merged), user.owner and user.owner.latest)
        for name, user in users.items()
    }


@slow
@given(st.booleans().flatmap(lambda shared: histories(shared_devices=shared)), definitions(), st.data())
def test_an_export_gives_the_same_users(history: list[Plain], plain: Plain, data: st.DataObject) -> None:
    events, compiled = decode_all(history), compile_plain(plain)
    first = {event.id: event for event in sorted(events, key=lambda each: -each.arrival)}
    as_of = max(event.arrival for event in events)
    before, after = Runs(), Runs()
    before.run(first.values(), compiled, as_of)
    lines = [json.dumps(call).encode() for _, call in exported(before.store, Counter())]
    again = [decode(line)[0] for line in data.draw(st.permutations(lines))]
    after.run(again, compiled, as_of)
    assert essence(after.users, compiled) == essence(before.users, compiled)
    assert standing(after.users) == standing(before.users)
    assert sorted(line for _, line in map(str_of, exported(after.store, Counter()))) == sorted(
        line for _, line in map(str_of, exported(before.store, Counter()))
    )


def test_a_group_and_integrations_are_exported_as_they_came() -> None:
    call = {
        "type": "group",
        "messageId": "m",
        "userId": "u",
        "groupId": "g",
        "traits": {"plan": "pro"},
        "integrations": {"All": False, "Mail": {"list": [1]}},
        "timestamp": "2026-03-27T00:00:00Z",
        "arrival": "2026-03-27T00:00:01Z",
    }
    runs = Runs()
    runs.run(decode_all([call]), compile_plain({"segments": {}}), decode_all([call])[0].arrival)
    assert [said for _, said in exported(runs.store, Counter())] == [call]


def test_any_sign_in_ids_names_and_values_passes_through_a_store_and_an_export() -> None:
    odd = "a\x00b\n#$\u2028\U0001f388"
    common = {"userId": odd, "timestamp": "2026-03-27T00:00:00Z", "arrival": "2026-03-27T00:00:01Z"}
    calls: list[Plain] = [
        {"type": "track", "messageId": f"{odd}1", "event": odd, "properties": {odd: odd}},
        {
            "type": "identify",
            "messageId": f"{odd}2",
            "traits": {odd: odd, "": 1, "a": 2, "a.b": 3, "__proto__": {"x": 1}},
        },
        {"type": "group", "messageId": f"{odd}3", "groupId": odd, "traits": {odd: odd, "a": 1, "a.b": 2}},
        {"type": "page", "messageId": f"{odd}4", "name": odd, "context": {"location": {"a": "x", "a.b": 1, odd: odd}}},
    ]
    calls = [common | call for call in calls]
    runs = Runs()
    runs.run(decode_all(calls), compile_plain({"segments": {}}), decode_all(calls)[0].arrival)
    found = [said for _, said in exported(runs.store, Counter())]
    assert sorted(found, key=lambda call: str(call["messageId"])) == calls


def test_one_message_id_of_two_users_is_two_messages() -> None:
    definitions = compile_plain({"segments": {"did": {"members": {"event": "E", "count": {"is": 1}}}}})
    times = {"timestamp": "2026-03-27T00:00:00Z", "arrival": "2026-03-27T00:00:01Z"}
    calls = [{"type": "track", "event": "E", "messageId": "same", "userId": user, **times} for user in ("u", "v", "u")]
    runs = Runs()
    runs.run(decode_all(calls), definitions, decode_all(calls)[0].arrival)
    assert {name: set(user.members) for name, user in runs.users.items()} == {"u": {"did"}, "v": {"did"}}
    assert columnar(calls, definitions, decode_all(calls)[0].arrival) == {"u": {"did"}, "v": {"did"}}


def test_a_user_who_cannot_be_read_is_counted_and_keeps_no_other_from_the_export(
    caplog: pytest.LogCaptureFixture,
) -> None:
    times = {"timestamp": "2026-03-27T00:00:00Z", "arrival": "2026-03-27T00:00:01Z"}
    calls = [{"type": "track", "event": "E", "messageId": user, "userId": user, **times} for user in ("u", "v", "w")]
    calls.append({"type": "alias", "messageId": "a", "userId": "v", "previousId": "w", **times})
    runs, counts = Runs(), Counter[str]()
    runs.run(decode_all(calls), compile_plain({"segments": {}}), decode_all(calls)[0].arrival)
    runs.store.write_users([msgspec.structs.replace(runs.store.read_users(["v"])["v"], state=b"\xc1")])
    found = {said["messageId"] for _, said in exported(runs.store, counts)}
    assert {"u"} <= found
    assert "v" not in found
    assert (counts["users"], counts["unreadable"]) == (len(found - {"a"}), 1)
    assert {json.loads(message)["messageId"] for message in archive_messages(runs.store)} == found
    assert caplog.messages == ["1 user has a state that cannot be read: what the archive has of them is left out"]


def str_of(found: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    return found[0], json.dumps(found[1], sort_keys=True)
