"""Events that concern no user: whom they reach, once each, and that they change nothing else."""

import msgspec
import pytest
from campaigns.campaign_story import entries, refusals, sends, story
from core import DAY, HOUR, START, Story, of_type

from transforms.campaigns.effects import Send
from transforms.events.decode import Cause, Refused, decode
from transforms.events.event import Event
from transforms.users.control import decode_control, encode_inputs_control
from transforms.users.effects import Account, Recorded
from transforms.users.user import Announcement

NEWS = {"announcement": "Published", "where": {"level": {"is": "high"}}}


def announce(told: Story, at: int, id_: str = "a1", *, time: int | None = None, **properties: object) -> list[object]:
    happened = START + (at if time is None else time)
    event = Event(id_, "track", "Published", happened, START + at, properties={"level": "high", **properties})
    return told.take(Announcement(event))


def test_it_reaches_who_is_in_the_audience_and_templates_see_it() -> None:
    told = story(trigger=NEWS, audience={"segment": "viewers"})
    announce(told, HOUR, "early")
    told.track("Viewed", 2 * HOUR)
    announce(told, 3 * HOUR, headline="Big")
    assert sends(told) == [("c", "push_a", 3 * HOUR)]
    assert told.reasons == []  # who is outside is not told of
    [send] = of_type(Send, told.effects)
    assert send.event == {"level": "high", "headline": "Big"}


def test_only_those_that_are_as_the_trigger_says() -> None:
    told = story(trigger=NEWS)
    announce(told, HOUR, level="low")
    assert (sends(told), entries(told)) == ([], [])


def test_once_however_often_it_is_told() -> None:
    told = story(trigger=NEWS)
    for at in (HOUR, 2 * HOUR, 3 * DAY):
        announce(told, at)
    assert sends(told) == [("c", "push_a", HOUR)]
    assert refusals(told) == []


def test_the_same_message_gives_all_the_same_entry() -> None:
    """So that who shares a mailbox gets one mail of it."""
    names = []
    for user in ("u1", "u2"):
        told = story(user, trigger=NEWS)
        announce(told, HOUR)
        names += [send.entry for send in of_type(Send, told.effects)]
    assert len(names) == 2
    assert len({*names}) == 1


def test_it_is_too_old_by_its_own_time() -> None:
    told = story(trigger=NEWS)
    announce(told, 2 * HOUR, time=HOUR - 1)
    assert refusals(told) == [("", "too_old", 2 * HOUR)]


def test_nobody_becomes_known_by_it_and_it_belongs_to_no_history() -> None:
    told = story(trigger=NEWS)
    nobody = Story(told.definitions, "nobody")
    announce(nobody, HOUR)
    assert (nobody.user.created, nobody.effects) == (None, [])
    announce(told, HOUR)
    assert not [each for each in of_type(Recorded, told.effects) if each.event.name == "Published"]


def test_a_user_who_went_on_as_another_one_is_not_told_twice() -> None:
    told = story(trigger=NEWS)
    told.take(Event("m", "alias", "", START + HOUR, START + HOUR, "v", previous="u"))
    before = len(told.effects)
    announce(told, 2 * HOUR)
    assert told.effects[before:] == []


def test_an_announcement_of_history_reaches_nobody() -> None:
    told = story(trigger=NEWS)
    event = Event("a", "track", "Published", START + HOUR, START + HOUR, properties={"level": "high"}, historical=True)
    told.take(Announcement(event))
    assert (sends(told), told.reasons) == ([], [])


def test_it_settles_what_is_due_before_it() -> None:
    told = story(trigger=NEWS, audience={"segment": "viewers"})
    told.track("Viewed", HOUR)
    announce(told, 3 * HOUR)
    assert sends(told) == []


def test_it_travels_on_the_control_topic_and_has_its_account_there() -> None:
    event = Event("a1", "track", "Published", START, START, properties={"level": "high"})
    user, [item] = decode_control(encode_inputs_control("u", [Announcement(event)]), START)
    assert (user, item) == ("u", Announcement(event))
    told = story(trigger=NEWS)
    effects = told.take(msgspec.structs.replace(item, control=True))
    assert Account("applied", "\x00announcement:a1", control=True) in effects


def test_a_call_without_ids_is_one_only_where_somebody_waits_for_it() -> None:
    payload = b'{"type":"track","event":"Published","messageId":"a","timestamp":"2026-03-27T00:00:00Z"}'
    with pytest.raises(Refused) as refused:
        decode(payload)
    assert refused.value.cause is Cause.NO_ID
    event, _ = decode(payload, nobody=True)
    assert (event.user, event.anonymous, event.name) == (None, None, "Published")
    for other in (payload.replace(b'"track","event"', b'"page","name"'), payload.replace(b'"track"', b'"identify"')):
        with pytest.raises(Refused, match="neither"):
            decode(other, nobody=True)


def test_an_id_that_was_refused_is_no_announcement() -> None:
    payload = b'{"type":"track","event":"Published","userId":"null","timestamp":"2026-03-27T00:00:00Z"}'
    with pytest.raises(Refused) as refused:
        decode(payload, nobody=True)
    assert refused.value.cause is Cause.REFUSED_ID
