"""Whose an event is: ids that name nobody, anonymous pasts, devices that several people share."""

import json
from typing import Any

import pytest
from core import DAY, HOUR, START, compile_plain, of_type, outcomes, run_bounded
from generators import iso

from transforms.events.decode import Cause, Refused, decode
from transforms.events.event import Event
from transforms.users.advance import fold
from transforms.users.effects import Forward, Linked, Recorded
from transforms.users.user import Merge, User

Plain = dict[str, Any]

COUNTS = compile_plain({"segments": {f"n{n}": {"members": {"event": "E", "count": {"is": n}}} for n in range(5)}})


def read(**fields: Any) -> Event:
    line = {"type": "track", "event": "E", "messageId": "m", "timestamp": iso(START), **fields}
    return decode(json.dumps(line).encode())[0]


REFUSED = [
    *(" ", "null", "NULL", " undefined", "None", "nil", "NaN", "0", "-1", "true", "False", "guest", "Anonymous"),
    *("[object Object]", "a" * 257, "é" * 129),
]


@pytest.mark.parametrize("id_", REFUSED)
def test_ids_that_name_nobody_are_refused_wherever_they_stand(id_: str) -> None:
    for fields in (
        {"userId": id_},
        {"anonymousId": id_},
        {"userId": "u", "anonymousId": id_},
        {"userId": id_, "anonymousId": "a"},
        {"type": "alias", "userId": "u", "previousId": id_},
        {"type": "delete", "userId": id_},
    ):
        with pytest.raises(Refused) as caught:
            read(**fields)
        assert caught.value.cause is Cause.REFUSED_ID


@pytest.mark.parametrize("id_", ["00", "1", "nobody", "guest1", "a" * 256, "é" * 128, "null\x00", "日本"])
def test_any_other_text_is_an_id_as_it_stands(id_: str) -> None:
    assert read(userId=id_).user == id_
    assert read(anonymousId=id_).anonymous == id_


def call(type_: str, hour: int, *, time: int | None = None, **who: Any) -> Event:
    name = "E" if type_ == "track" else ""
    at = START + hour * HOUR
    return Event(f"{type_}{hour}", type_, name, at if time is None else START + time * HOUR, at, **who)


def counts(users: dict[str, User]) -> dict[str, str]:
    """How often each user did E, as one segment's name; owned anonymous ids are left out."""
    return {key: next(iter(user.members)) for key, user in users.items() if user.created and user.owner is None}


def test_new_events_of_a_shared_device_go_to_its_latest_user_and_the_past_stays_with_the_first() -> None:
    events = [
        call("track", 0, anonymous="a"),
        call("identify", 1, user="u", anonymous="a"),
        call("track", 2, anonymous="a"),
        call("identify", 3, user="v", anonymous="a"),
        call("track", 4, anonymous="a"),
        call("track", 5, time=2, anonymous="a"),  # done while the device was u's, and came when it was v's
        call("track", 6, user="u", anonymous="a"),  # both ids: u's, who has the device again
        call("track", 7, anonymous="a"),
    ]
    users, effects = run_bounded(events, COUNTS, START + DAY)
    assert counts(users) == {"u": "n4", "v": "n2"}
    assert users["u"].merged == ("~a",)
    assert users["v"].merged == ()
    whose = {recorded.event.id: recorded.user for recorded in of_type(Recorded, effects) if recorded.user != "~a"}
    assert whose == {
        **{"identify1": "u", "track2": "u", "track6": "u", "track7": "u"},
        **{"identify3": "v", "track4": "v", "track5": "v"},
    }
    owners = [(linked.user, linked.time - START) for linked in of_type(Linked, effects) if linked.kind == "anonymous"]
    assert owners == [("u", HOUR), ("v", 3 * HOUR), ("u", 6 * HOUR)]
    assert all(ended == ["applied"] for ended in outcomes(effects).values())


@pytest.mark.parametrize(
    "link",
    [
        call("identify", 3, user="u", anonymous="a"),
        call("track", 3, user="u", anonymous="a"),
        call("alias", 3, user="u", previous="a"),
        call("alias", 3, user="u", anonymous="a", previous="a"),
    ],
)
def test_any_call_with_both_ids_identifies(link: Event) -> None:
    events = [call("track", 0, anonymous="a"), call("track", 1, user="u"), link, call("track", 4, anonymous="a")]
    users, effects = run_bounded(events, COUNTS, START + DAY)
    assert counts(users) == {"u": "n4" if link.type == "track" else "n3"}
    assert users["u"].merged == ("~a",)
    assert all(ended == ["applied"] for ended in outcomes(effects).values())


def test_several_pasts_of_one_user_add_up() -> None:
    events = [
        *(call("track", hour, anonymous=name) for hour, name in enumerate(["a", "b", "c"])),
        *(call("identify", 4 + hour, user="u", anonymous=name) for hour, name in enumerate(["c", "a", "b", "a"])),
    ]
    users, _ = run_bounded(events, COUNTS, START + DAY)
    assert counts(users) == {"u": "n3"}
    assert users["u"].merged == ("~a", "~b", "~c")


def test_a_known_user_is_merged_into_another_by_alias() -> None:
    events = [
        call("track", 0, user="v"),
        call("track", 1, user="u"),
        call("alias", 2, user="u", previous="v"),
        call("track", 3, user="v"),
    ]
    users, effects = run_bounded(events, COUNTS, START + DAY)
    assert outcomes(effects)["alias2"] == ["applied"]
    past, passed_on = [
        forward for forward in of_type(Forward, effects) if forward.user == "u" and forward.input.id != "alias2"
    ]
    assert [past.input.id, passed_on.input] == [Merge(START, User("v")).id, events[3]]
    user, _ = fold(users["u"], [past.input, passed_on.input], COUNTS)
    assert counts({"u": user, "v": users["v"]}) == {"u": "n3"}
    assert user.merged == ("v",)


@pytest.mark.parametrize("fields", [{"userId": "~a"}, {"userId": "~a", "anonymousId": "a"}])
def test_a_user_id_that_looks_like_the_key_of_an_anonymous_one_is_not_lost(fields: Plain) -> None:
    """Refused as it is read, or applied; but it ends as something."""
    try:
        event = read(**fields)
    except Refused:
        return
    _, effects = run_bounded([event], COUNTS, START + DAY)
    assert outcomes(effects) == {"m": ["applied"]}
