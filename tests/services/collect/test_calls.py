"""What becomes of the fields of a call."""

from contextlib import closing
from typing import Any

import pytest
from collect_service import NOW, RECEIVED, TRACK, Service

from transforms.events.decode import decode
from transforms.events.queue.read import QueueReader
from transforms.events.times import read_time, write_time

LIBRARY = {"name": "analytics-go", "version": "1.0.0"}


def published(service: Service, call: dict[str, Any], **around: Any) -> dict[str, Any]:
    assert "refused" not in service.batch(call, **around).json()
    return service.published()[-1]


def test_fields_of_the_batch_are_merged_down_and_a_calls_own_win(service: Service) -> None:
    around = {"sentAt": "2026-02-01T00:00:01Z", "context": {"library": LIBRARY, "ip": "1"}, "integrations": {"All": 1}}
    found = published(service, {**TRACK, "context": {"ip": "2"}, "integrations": {"X": False}}, **around)
    assert found["context"] == {"library": LIBRARY, "ip": "2", "source": "shop"}
    assert found["integrations"] == {"All": 1, "X": False}
    assert found["sentAt"] == "2026-02-01T00:00:01Z"
    own = published(service, {**TRACK, "sentAt": "2026-02-01T00:00:02Z"}, **around)
    assert own["sentAt"] == "2026-02-01T00:00:02Z"
    assert (own["context"]["ip"], own["integrations"]) == ("1", {"All": 1})


def test_an_empty_id_is_absent(service: Service) -> None:
    found = published(service, {**TRACK, "userId": "", "anonymousId": "a", "groupId": None})
    assert "userId" not in found
    assert "groupId" not in found
    assert found["anonymousId"] == "a"


def test_a_senders_message_id_is_kept_and_made_where_there_is_none(service: Service) -> None:
    assert published(service, TRACK)["messageId"] == "m1"
    without = {name: said for name, said in TRACK.items() if name != "messageId"}
    made = {published(service, without)["messageId"], published(service, {**without, "messageId": ""})["messageId"]}
    assert len(made) == 2


def test_traits_in_the_context_are_those_of_an_identify_call(service: Service) -> None:
    found = published(service, {"type": "identify", "userId": "ann", "context": {"traits": {"plan": "a"}}})
    assert found["context"]["traits"] == {"plan": "a"}
    service.batch({"type": "group", "userId": "ann", "groupId": "acme", "traits": {"seats": 3}})
    assert service.published()[-1]["traits"] == {"seats": 3}


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"timestamp": "2026-02-02T02:00:00Z"}, "2026-02-02T02:00:00Z"),
        ({"originalTimestamp": "2026-02-02T02:00:00Z"}, "2026-02-02T02:00:00Z"),
        ({"timestamp": "2026-02-02T02:00:00Z", "sentAt": "2026-02-02T02:10:00Z"}, "2026-02-02T02:30:00Z"),
        ({"originalTimestamp": "2026-02-02T02:00:00Z", "sentAt": "2026-02-02T02:10:00Z"}, "2026-02-02T02:30:00Z"),
        (
            {
                "timestamp": "2026-02-02T01:00:00Z",
                "originalTimestamp": "2026-02-02T02:10:00Z",
                "sentAt": "2026-02-02T02:10:00Z",
            },
            "2026-02-02T01:30:00Z",
        ),
        ({"timestamp": "2026-02-02T02:00:00.123456789Z"}, "2026-02-02T02:00:00.123456Z"),
        ({"timestamp": "2030-01-01T00:00:00Z"}, RECEIVED),
        ({"timestamp": "", "sentAt": ""}, RECEIVED),
    ],
)
def test_times_are_corrected_by_the_devices_clock_and_timestamp_is_first(
    service: Service, times: dict[str, str], expected: str
) -> None:
    call = {name: said for name, said in TRACK.items() if name != "timestamp"} | times
    service.batch(call | {"receivedAt": "1999-01-01T00:00:00Z", "arrival": "1999-01-01T00:00:00Z"})
    [found] = service.published()
    assert found["receivedAt"] == RECEIVED
    assert "arrival" not in found
    event, _ = decode(payload(service), NOW)
    assert write_time(event.time) == write_time(read_time(expected))


def test_an_unreadable_time_refuses_its_call_alone(service: Service) -> None:
    answer = service.batch(TRACK, {**TRACK, "timestamp": "yesterday"})
    assert [(each["index"], each["cause"]) for each in answer.json()["refused"]] == [(1, "bad_time")]


def test_the_anonymous_id_that_rudders_go_sdk_makes_for_each_call_is_dropped(service: Service) -> None:
    call = {name: said for name, said in TRACK.items() if name != "timestamp"}
    go = call | {"originalTimestamp": "2026-02-01T00:00:00.123456789Z", "anonymousId": "new"}
    assert "anonymousId" not in published(service, go, context={"library": LIBRARY})
    assert published(service, go)["anonymousId"] == "new"
    segments = {**TRACK, "anonymousId": "own"}
    assert published(service, segments, context={"library": LIBRARY})["anonymousId"] == "own"


def test_a_source_cannot_be_claimed(service: Service) -> None:
    assert published(service, {**TRACK, "context": {"source": "bank"}})["context"] == {"source": "shop"}


@pytest.mark.parametrize("context", ["text", 3, [1]])
def test_a_context_that_is_no_object_is_refused(service: Service, context: Any) -> None:
    assert service.batch({**TRACK, "context": context}).json()["refused"][0]["cause"] == "invalid"


def payload(service: Service) -> bytes:
    with closing(QueueReader(service.queue.path)) as reader:
        [message] = [each for page in reader.pages() for each in page]
    return message.payload
