"""Bodies as SDKs were recorded to send them, and the limits to the byte."""

import gzip
import json
from typing import Any

import pytest
from collect_service import KEY, RECEIVED, TRACK, Service

from services.collect.request import BATCHES, BEACON, KINDS, PIXEL_KINDS, PIXELS
from transforms.events.decode import decode
from transforms.events.times import read_time

JAVA = {
    "batch": [
        {
            "type": "track",
            "messageId": "m-java",
            "timestamp": "2026-02-01T00:00:00.000Z",
            "userId": "ann",
            "event": "Order Completed",
            "properties": {"total": 19.9},
        },
    ],
    "sentAt": "2026-02-01T00:00:01.000Z",
    "context": {"library": {"name": "analytics-java", "version": "3.5.4"}},
    "sequence": 1,
    "writeKey": KEY,
}
GO = {
    "batch": [
        {
            "type": "identify",
            "messageId": "m-go",
            "anonymousId": "made-for-this-call",
            "userId": "ann",
            "originalTimestamp": "2026-02-01T00:00:00.123456789Z",
            "traits": {"plan": "pro"},
        }
    ],
    "messageId": "of-the-batch",
    "sentAt": "2026-02-01T00:00:01.123456789Z",
    "context": {"library": {"name": "analytics-go", "version": "4.2.2"}},
}
RUDDER_BROWSER = {
    "batch": [
        {
            "type": "identify",
            "messageId": "m-browser",
            "channel": "web",
            "anonymousId": "visitor",
            "userId": "",
            "originalTimestamp": "2026-02-01T00:00:00.000Z",
            "sentAt": "2026-02-01T00:00:01.000Z",
            "context": {"traits": {"plan": "pro"}, "sessionId": 1},
            "integrations": {"All": True},
        }
    ],
    "sentAt": "2026-02-01T00:00:01.000Z",
}


def test_segments_sdk_for_java_sends_its_key_in_the_body_alone(service: Service) -> None:
    assert service.post("/v1/import/", JAVA, key=None).status_code == 200
    assert service.post("/v1/import/", gzip.compress(json.dumps(JAVA).encode()), key=None).status_code == 200
    [found, _] = service.published()
    assert found["context"] == {"library": JAVA["context"]["library"], "source": "shop"}  # type: ignore[index]
    assert (found["sentAt"], found["receivedAt"]) == (JAVA["sentAt"], RECEIVED)
    assert "writeKey" not in found


def test_rudders_sdk_for_go_names_a_user_and_a_visitor_of_one_call(service: Service) -> None:
    assert service.post("/v1/batch", GO).status_code == 200
    [found] = service.published()
    assert (found["userId"], found["messageId"], "anonymousId" in found) == ("ann", "m-go", False)
    event, _ = decode(json.dumps(found).encode(), read_time(RECEIVED))
    sent, received = read_time("2026-02-01T00:00:01.123456Z"), read_time(RECEIVED)
    assert event.time == received - sent + read_time("2026-02-01T00:00:00.123456Z")


def test_rudders_sdk_for_browsers_beacons_a_visitors_traits(service: Service) -> None:
    body, headers = json.dumps(RUDDER_BROWSER).encode(), {"Content-Type": "text/plain"}
    assert service.post(f"/beacon/v1/batch?writeKey={KEY}", body, key=None, headers=headers).status_code == 200
    [found] = service.published()
    assert ("userId" in found, found["anonymousId"], found["messageId"]) == (False, "visitor", "m-browser")
    event, _ = decode(json.dumps(found).encode(), read_time(RECEIVED))
    assert (event.user, event.anonymous, event.traits) == (None, "visitor", {"plan": "pro"})


@pytest.mark.parametrize("end", ["", "/"])
def test_every_path_answers_with_a_slash_at_its_end_and_without(service: Service, end: str) -> None:
    needs = {"userId": "ann", "event": "Seen", "groupId": "acme", "previousId": "old", "name": "Home"}
    for word in KINDS:
        assert service.post(f"/v1/{word}{end}", needs).status_code == 200
    for path in (*BATCHES, BEACON):
        assert service.post(f"{path}{end}", {"batch": [TRACK]}).status_code == 200
    asked = "&".join(f"{name}={said}" for name, said in needs.items())
    for path in PIXELS:
        for kind in PIXEL_KINDS:
            assert service.ask("GET", f"{path}/{kind}{end}?{asked}&writeKey={KEY}").status_code == 200
    assert len(service.published()) == len(KINDS) + len(BATCHES) + 1 + len(PIXELS) * len(PIXEL_KINDS)


def padded(call: dict[str, Any], size: int) -> bytes:
    bare = json.dumps(call | {"properties": {"text": ""}}).encode()
    return json.dumps(call | {"properties": {"text": "x" * (size - len(bare))}}).encode()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 413)])
def test_a_call_has_at_most_32_kib_and_a_batch_500_after_unzipping(
    service: Service, zipped: bool, more: int, status: int
) -> None:
    def post(path: str, body: bytes) -> int:
        return service.post(path, gzip.compress(body) if zipped else body).status_code

    assert post("/v1/track", padded(TRACK, 32 * 1024 + more)) == status
    batch = b'{"batch": [%s]}' % b", ".join([padded(TRACK, 10_000)] * 50)
    assert post("/v1/batch", batch + b" " * (500 * 1024 - len(batch) + more)) == status
    one = service.post("/v1/batch", b'{"batch": [%s]}' % padded(TRACK, 32 * 1024 + more)).json()
    assert [each["cause"] for each in one.get("refused", [])] == ["too_large"] * more


def test_every_answer_that_refuses_is_one_that_an_sdk_can_read(service: Service) -> None:
    """Python's SDKs raise KeyError without `code` and `message`, and try again."""
    answers = [
        service.post("/v1/track", b"{"),
        service.post("/v1/track", TRACK, key="another-key-0123456"),
        service.post("/v1/track", TRACK, headers={"Origin": "https://evil.example"}),
        service.post("/v1/track", b" " * 40_000),
        service.post("/v1/track", TRACK, headers={"Content-Encoding": "br"}),
        service.ask("GET", "/v1/track"),
        service.ask("GET", "/nothing"),
    ]
    assert [answer.status_code for answer in answers] == [400, 401, 403, 413, 415, 405, 404]
    for answer in answers:
        assert answer.headers["content-type"] == "application/problem+json"
        said = answer.json()
        assert said["status"] == answer.status_code
        assert said["detail"] == said["message"]
        assert said["code"].replace("_", "a").isalnum()
