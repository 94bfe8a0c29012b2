"""What each kind of call becomes, and why others become nothing."""

import json
from hashlib import blake2b
from typing import Any

import pytest

from transforms.events.decode import MAX_DEPTH, MAX_PAYLOAD_BYTES, Cause, Refused, decode
from transforms.events.event import Event
from transforms.events.times import read_time

NOON = "2026-03-10T12:00:00Z"
ARRIVAL = read_time(NOON)
SECOND = 1_000_000
TRACK: dict[str, Any] = {"type": "track", "event": "Ordered", "messageId": "m1", "userId": "u1", "timestamp": NOON}


def read(call: dict[str, Any], arrival: int | None = None) -> Event:
    return decode(json.dumps(call).encode(), arrival)[0]


def cause_of(payload: bytes, arrival: int | None = None) -> str:
    with pytest.raises(Refused) as raised:
        decode(payload, arrival)
    assert raised.value.detail
    return raised.value.cause


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels - 1):
        value = {"in": value}
    return value


def test_a_track_call_with_everything() -> None:
    call = TRACK | {
        "anonymousId": "a1",
        "properties": {"price": 5, "gift": None},
        "context": {"locale": "ja"},
        "integrations": {"All": True},
        "historical": True,
    }
    assert read(call) == Event(
        id="m1",
        type="track",
        name="Ordered",
        time=ARRIVAL,
        arrival=ARRIVAL,
        user="u1",
        anonymous="a1",
        properties={"price": 5, "gift": None},
        context={"locale": "ja"},
        historical=True,
        integrations={"All": True},
    )


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"type": "track", "event": "E", "anonymousId": "a"}, {"name": "E", "user": None, "anonymous": "a"}),
        ({"type": "page", "name": "Home", "userId": "u"}, {"name": "Home"}),
        ({"type": "page", "userId": "u", "properties": {"a": 1}}, {"name": "", "properties": {"a": 1}}),
        ({"type": "screen", "userId": "u", "name": None}, {"name": ""}),
        ({"type": "identify", "userId": "u", "traits": {"a": 1}}, {"name": "", "traits": {"a": 1}}),
        ({"type": "identify", "anonymousId": "a", "properties": {"a": 1}}, {"traits": {}, "properties": {}}),
        ({"type": "alias", "userId": "u", "previousId": "p"}, {"name": "", "user": "u", "previous": "p"}),
        ({"type": "delete", "userId": "u"}, {"name": "", "user": "u"}),
        (
            {"type": "group", "userId": "u", "groupId": "g", "traits": {"plan": "pro"}},
            {"name": "", "user": "u", "group": "g", "traits": {"plan": "pro"}, "properties": {}},
        ),
        ({"type": "group", "anonymousId": "a", "groupId": 0}, {"group": "0", "traits": {}}),
    ],
)
def test_each_kind_of_call(call: dict[str, Any], expected: dict[str, Any]) -> None:
    event = read(call, ARRIVAL)
    assert event.type == call["type"]
    assert {name: getattr(event, name) for name in expected} == expected


def test_null_counts_as_absent() -> None:
    fields = ["messageId", "anonymousId", "timestamp", "originalTimestamp", "sentAt", "receivedAt"]
    fields += ["properties", "context", "historical", "integrations"]
    without = {"type": "track", "event": "E", "userId": "u"}
    padded = without | dict.fromkeys(fields)
    event, absent = read(padded, ARRIVAL), read(without, ARRIVAL)
    assert event.id != absent.id  # the hash of other bytes
    assert (event.time, event.properties, event.context, event.anonymous, event.historical) == (
        (absent.time, absent.properties, absent.context, absent.anonymous, absent.historical)
    )


@pytest.mark.parametrize(
    ("cause", "call"),
    [
        (Cause.UNKNOWN_TYPE, {"userId": "u"}),
        (Cause.UNKNOWN_TYPE, {"type": None, "userId": "u"}),
        (Cause.UNKNOWN_TYPE, {"type": "Group", "userId": "u", "groupId": "g"}),
        (Cause.UNKNOWN_TYPE, {"batch": [{"type": "page", "userId": "u"}]}),
        (Cause.NO_ID, {"type": "group", "userId": "u"}),
        (Cause.NO_ID, {"type": "group", "userId": "u", "groupId": ""}),
        (Cause.NO_ID, {"type": "group", "groupId": "g"}),
        (Cause.INVALID, {"type": "group", "userId": "u", "groupId": 1.0}),
        (Cause.UNKNOWN_TYPE, {"type": "Track", "event": "E", "userId": "u"}),
        (Cause.UNKNOWN_TYPE, {"type": ["track"]}),
        (Cause.NO_EVENT, {"type": "track", "userId": "u"}),
        (Cause.NO_EVENT, {"type": "track", "userId": "u", "event": None}),
        (Cause.NO_EVENT, {"type": "track", "userId": "u", "event": ""}),
        (Cause.INVALID, {"type": "track", "userId": "u", "event": 5}),
        (Cause.INVALID, {"type": "track", "userId": 5.0, "event": "E"}),
        (Cause.INVALID, {"type": "track", "userId": True, "event": "E"}),
        (Cause.INVALID, {"type": "track", "userId": ["u"], "event": "E"}),
        (Cause.INVALID, {"type": "track", "userId": "u", "anonymousId": {}, "event": "E"}),
        (Cause.INVALID, {"type": "track", "userId": "u", "event": "E", "messageId": 5.5}),
        (Cause.INVALID, {"type": "track", "userId": "u", "event": "E", "properties": []}),
        (Cause.INVALID, {"type": "track", "userId": "u", "event": "E", "context": "web"}),
        (Cause.INVALID, {"type": "track", "userId": "u", "event": "E", "historical": "yes"}),
        (Cause.INVALID, {"type": "identify", "userId": "u", "traits": "x"}),
        (Cause.NO_ID, {"type": "track", "event": "E"}),
        (Cause.NO_ID, {"type": "identify", "traits": {"email": "a@example.com"}}),
        (Cause.NO_ID, {"type": "alias", "anonymousId": "a", "previousId": "p"}),
        (Cause.NO_ID, {"type": "alias", "userId": "u"}),
        (Cause.NO_ID, {"type": "delete", "anonymousId": "a"}),
        (Cause.NO_ID, {"type": "track", "event": "E", "userId": ""}),
        (Cause.NO_ID, {"type": "track", "event": "E", "userId": "", "anonymousId": ""}),
        (Cause.NO_ID, {"type": "alias", "userId": "u", "previousId": ""}),
        (Cause.NO_ID, {"type": "delete", "userId": ""}),
        (Cause.REFUSED_ID, {"type": "track", "event": "E", "userId": " "}),
        (Cause.REFUSED_ID, {"type": "track", "event": "E", "userId": 0}),
        (Cause.REFUSED_ID, {"type": "track", "event": "E", "userId": "u", "anonymousId": -1}),
        (Cause.REFUSED_ID, {"type": "alias", "userId": 5, "previousId": 0}),
        (Cause.REFUSED_ID, {"type": "delete", "userId": int("9" * 257)}),
        (Cause.REFUSED_ID, {"type": "track", "event": "E", "userId": "u", "anonymousId": " NULL "}),
        (Cause.REFUSED_ID, {"type": "alias", "userId": "u", "previousId": "[object Object]"}),
        (Cause.REFUSED_ID, {"type": "delete", "userId": "x" * 257}),
        (Cause.BAD_TIME, {"type": "page", "userId": "u", "timestamp": "yesterday"}),
        (Cause.BAD_TIME, {"type": "page", "userId": "u", "timestamp": "2026-03-10T12:00:00"}),
        (Cause.BAD_TIME, {"type": "page", "userId": "u", "timestamp": 1_772_000_000}),
        (Cause.BAD_TIME, {"type": "page", "userId": "u", "sentAt": "soon"}),
        (Cause.BAD_TIME, {"type": "page", "userId": "u", "timestamp": NOON, "originalTimestamp": "soon"}),
        (Cause.BAD_TIME, {"type": "page", "userId": "u", "receivedAt": "2026-13-01T00:00:00Z"}),
        (Cause.UNSUPPORTED, {"type": "page", "userId": "u", "properties": {"a": [2**64]}}),
        (Cause.UNSUPPORTED, {"type": "page", "userId": "u", "context": {"a": -(2**63) - 1}}),
        (Cause.UNSUPPORTED, {"type": "identify", "userId": "u", "traits": {"a": {"b": 10**30}}}),
        (Cause.UNSUPPORTED, {"type": "identify", "userId": "u", "context": {"traits": {"b": 10**30}}}),
        (Cause.UNSUPPORTED, {"type": "page", "userId": "u", "integrations": [2**64]}),
        (Cause.TOO_DEEP, {"type": "page", "userId": "u", "integrations": nested(MAX_DEPTH)}),
        (Cause.INVALID, {"type": "identify", "userId": "u", "traits": {"a": 10**4290 + 1}, "context": 1}),
        (Cause.TOO_DEEP, {"type": "identify", "userId": "u", "traits": nested(MAX_DEPTH + 1)}),
    ],
)
def test_refused_with_a_cause(cause: Cause, call: dict[str, Any]) -> None:
    assert cause_of(json.dumps(call).encode(), ARRIVAL) == cause


@pytest.mark.parametrize(
    ("cause", "payload"),
    [
        (Cause.NOT_JSON, b""),
        (Cause.NOT_JSON, b"plain text"),
        (Cause.NOT_JSON, b'{"type": "track", "event": "E", "userId": "u", "properties": {"a": NaN}}'),
        (Cause.NOT_JSON, b'{"type": "track", "event": "E", "userId": "u", "properties": {"a": Infinity}}'),
        (Cause.NOT_JSON, b'{"type": "track", "event": "E", "userId": "\\ud800"}'),
        (Cause.NOT_JSON, b"[1"),
        (Cause.NOT_UTF8, b'{"type": "track", "event": "E", "userId": "\xff"}'),
        (Cause.NOT_UTF8, b'{"type": "track", "event": "E", "userId": "u", "ignored": "\xed\xa0\x80"}'),
        (Cause.INVALID, b"[]"),
        (Cause.INVALID, b"5"),
        (Cause.INVALID, b'{"type": "track", "event": "E", "userId": "u", "properties": {"a": 1e999}}'),
        (Cause.INVALID, b'{"type": "track", "event": "E", "userId": "u", "properties": {"a": ' + b"9" * 5000 + b"}}"),
        (Cause.TOO_DEEP, b"[" * 100_000),
        (Cause.TOO_DEEP, b'{"type": "track", "ignored": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        (Cause.TOO_LARGE, b" " * (MAX_PAYLOAD_BYTES + 1)),
    ],
)
def test_bytes_that_are_no_call(cause: Cause, payload: bytes) -> None:
    assert cause_of(payload, ARRIVAL) == cause


def test_the_limits_themselves_are_allowed() -> None:
    assert read(TRACK | {"properties": nested(MAX_DEPTH)}).properties == nested(MAX_DEPTH)
    assert read(TRACK | {"properties": {"a": [2**64 - 1, -(2**63)]}}).properties == {"a": [2**64 - 1, -(2**63)]}
    wide = {"items": [{"n": number} for number in range(2 * MAX_DEPTH)]}
    assert read(TRACK | {"properties": wide}).properties == wide
    payload = json.dumps(TRACK).encode()
    assert decode(payload.ljust(MAX_PAYLOAD_BYTES))[0].id == "m1"


def test_a_missing_message_id_is_the_hash_of_the_bytes() -> None:
    payload = json.dumps({"type": "page", "userId": "u", "messageId": ""}).encode()
    assert decode(payload, ARRIVAL)[0].id == blake2b(payload, digest_size=16).hexdigest()


def test_a_long_message_id_is_hashed_by_itself_so_that_copies_stay_copies() -> None:
    fits, long = "é" * 128, "é" * 128 + "x"
    assert read(TRACK | {"messageId": fits}).id == fits
    once, again = read(TRACK | {"messageId": long}), read(TRACK | {"messageId": long, "sentAt": NOON})
    assert once.id == again.id == blake2b(long.encode(), digest_size=16).hexdigest()


@pytest.mark.parametrize(
    ("times", "arrival"),
    [
        ({"arrival": "12:00:03", "receivedAt": "12:00:02", "timestamp": "12:00:01"}, "12:00:03"),
        ({"receivedAt": "12:00:02", "timestamp": "12:00:01"}, "12:00:02"),
        ({"timestamp": "12:00:01", "sentAt": "12:00:05"}, "12:00:01"),
    ],
)
def test_arrival_of_a_line_in_a_file(times: dict[str, str], arrival: str) -> None:
    call = {"type": "page", "userId": "u"} | {field: f"2026-03-10T{time}Z" for field, time in times.items()}
    assert read(call).arrival == read_time(f"2026-03-10T{arrival}Z")


def test_a_line_without_any_time_is_refused_and_a_live_message_is_not() -> None:
    call = {"type": "page", "userId": "u", "sentAt": NOON}
    assert cause_of(json.dumps(call).encode()) == Cause.NO_TIME
    assert (read(call, ARRIVAL).time, read(call, ARRIVAL).arrival) == (ARRIVAL, ARRIVAL)


def test_a_live_message_arrives_when_it_was_published() -> None:
    call = TRACK | {"arrival": "not even read", "timestamp": "2026-03-10T11:00:00Z"}
    event = read(call, ARRIVAL)
    assert (event.time, event.arrival) == (ARRIVAL - 3600 * SECOND, ARRIVAL)


def test_the_devices_clock_is_corrected_where_all_three_times_are_there() -> None:
    times = {
        "timestamp": "2026-03-10T10:00:00.000001Z",
        "sentAt": "2026-03-10T10:00:10Z",
        "receivedAt": "2026-03-10T11:30:10Z",
    }
    assert read(TRACK | times, ARRIVAL).time == read_time("2026-03-10T11:30:00.000001Z")
    assert read(TRACK | times | {"sentAt": None}, ARRIVAL).time == read_time("2026-03-10T10:00:00.000001Z")


def test_a_correction_beyond_the_calendar_is_a_bad_time() -> None:
    times = {"timestamp": "0001-01-01T00:00:00Z", "sentAt": NOON, "receivedAt": "2026-03-10T11:00:00Z"}
    assert cause_of(json.dumps(TRACK | times).encode(), ARRIVAL) == Cause.BAD_TIME


@pytest.mark.parametrize(("ahead", "far"), [(1, False), (300 * SECOND, False), (300 * SECOND + 1, True)])
def test_a_time_after_the_arrival_becomes_the_arrival(ahead: int, far: bool) -> None:
    event, skewed = decode(json.dumps(TRACK).encode(), ARRIVAL - ahead)
    assert (event.time, skewed) == (ARRIVAL - ahead, far)


@pytest.mark.parametrize(
    ("number", "text"), [(5, "5"), (-2, "-2"), (2**53 + 1, "9007199254740993"), (10**40, "1" + "0" * 40)]
)
def test_an_integer_is_an_id_by_its_decimal_text(number: int, text: str) -> None:
    call = {"userId": number, "anonymousId": number, "previousId": number, "messageId": number, "groupId": number}
    for type_ in ("track", "page", "screen", "identify", "group", "alias", "delete"):
        event = read(call | {"type": type_, "event": "E"}, ARRIVAL)
        assert (event.user, event.anonymous, event.id) == (text, text, text)
        assert event.previous == (text if type_ == "alias" else None)
        assert event.group == (text if type_ == "group" else None)


@pytest.mark.parametrize("field", ["userId", "anonymousId"])
def test_an_empty_id_is_absent(field: str) -> None:
    call = TRACK | {"userId": "u", "anonymousId": "a"}
    event = read(call | {field: ""}, ARRIVAL)
    assert (event.user, event.anonymous) == (("u", None) if field == "anonymousId" else (None, "a"))


TEN, EARLY = "2026-03-10T10:00:00Z", "2026-03-10T08:00:00Z"
SENT = {"sentAt": "2026-03-10T08:00:10Z", "receivedAt": "2026-03-10T10:00:10Z"}


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"timestamp": EARLY, **SENT}, TEN),
        ({"originalTimestamp": EARLY, **SENT}, TEN),
        ({"originalTimestamp": EARLY, "timestamp": TEN, **SENT}, TEN),  # corrected before, by who wrote both
        ({"originalTimestamp": TEN, "timestamp": EARLY, **SENT}, EARLY),
        ({"originalTimestamp": EARLY}, EARLY),
        ({"originalTimestamp": EARLY, "sentAt": TEN}, EARLY),
        ({"originalTimestamp": EARLY, "receivedAt": TEN}, EARLY),
        (SENT, NOON),
    ],
)
def test_a_time_is_corrected_once(times: dict[str, str], expected: str) -> None:
    call = {"type": "page", "userId": "u", **times}
    assert read(call, ARRIVAL).time == read_time(expected)
    if "receivedAt" not in times:
        assert (read(call).time, read(call).arrival) == (read_time(expected), read_time(expected))
    elif len(times) > len(SENT):
        assert (read(call).time, read(call).arrival) == (read_time(expected), read_time(times["receivedAt"]))


def test_traits_of_an_identify_call_may_stand_in_its_context() -> None:
    context = {"traits": {"plan": "pro", "age": 3, "city": "Ulm"}}
    identify = {"type": "identify", "userId": "u", "context": context}
    assert read(identify, ARRIVAL).traits == {"plan": "pro", "age": 3, "city": "Ulm"}
    both = read(identify | {"traits": {"plan": "free", "age": None}}, ARRIVAL)
    assert both.traits == {"plan": "free", "age": None, "city": "Ulm"}
    assert both.context == context
    for junk in (5, "x", [], None):
        assert read(identify | {"context": {"traits": junk}}, ARRIVAL).traits == {}
    assert read(TRACK | {"context": context}, ARRIVAL).traits == {}


def consent(**said: Any) -> dict[str, Any]:
    good = {"topic": "news", "channel": "push", "granted": False}
    return TRACK | {"event": "Consent Changed", "properties": good | said}


@pytest.mark.parametrize(
    "said",
    [
        *({"granted": granted} for granted in ("false", "true", "", 0, 1, None, [], {})),
        *({"channel": channel} for channel in ("fax", "", " ", None, 5, ["push"], "push,email", "all")),
        *({"topic": topic} for topic in ("", "  ", None, 5, [], {"news": 1})),
    ],
)
def test_consent_that_is_not_clear_is_a_dead_letter(said: dict[str, Any]) -> None:
    assert cause_of(json.dumps(consent(**said)).encode(), ARRIVAL) == Cause.INVALID


@pytest.mark.parametrize("said", [{"channel": "Push"}, {"channel": " EMAIL "}, {"topic": "All"}, {"channel": "sms"}])
def test_consent_in_another_case_is_clear_and_kept_as_it_stands(said: dict[str, Any]) -> None:
    assert read(consent(**said), ARRIVAL).properties == consent(**said)["properties"]


def test_a_page_called_like_consent_says_nothing_of_it() -> None:
    assert read({"type": "page", "name": "Consent Changed", "userId": "u", "timestamp": NOON}).properties == {}


def test_a_mark_before_utf_8_is_skipped() -> None:
    payload = json.dumps({"type": "page", "userId": "u"}).encode()
    assert decode(b"\xef\xbb\xbf" + payload, ARRIVAL) == decode(payload, ARRIVAL)
