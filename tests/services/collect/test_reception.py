"""The paths, keys and bodies of SDKs; what is answered, and what has been written then."""

import gzip
import json
import re
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from collect_service import KEY, OLD_KEY, RECEIVED, SHOP, SLOW_KEY, TRACK, Service

GROUP = {"groupId": "acme", "userId": "ann"}
ALIAS = {"userId": "ann", "previousId": "old"}
#: A call of each kind, without its type.
CALLS: dict[str, dict[str, Any]] = {
    "track": {"event": "Seen", "userId": "ann"},
    "identify": {"userId": "ann", "traits": {"plan": "a"}},
    "page": {"name": "Home", "userId": "ann"},
    "screen": {"name": "Home", "userId": "ann"},
    "group": GROUP,
    "alias": ALIAS,
}


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("end", ["", "/"])
def test_each_kind_has_a_path_and_a_short_one(service: Service, kind: str, end: str) -> None:
    for word in (kind, kind[0]):
        assert service.post(f"/v1/{word}{end}", CALLS[kind]).status_code == 200
    assert [call["type"] for call in service.published()] == [kind, kind]


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import", "/v1/import/", "/beacon/v1/batch"])
def test_batches_come_at_each_of_their_paths(service: Service, path: str) -> None:
    answer = service.post(path, {"batch": [TRACK, {**TRACK, "messageId": "m2"}]})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert [call["messageId"] for call in service.published()] == ["m1", "m2"]


def test_what_is_answered_200_is_as_it_was_sent_with_its_arrival_and_source(service: Service) -> None:
    call = {**TRACK, "properties": {"price": 1.10, "deep": [{"日本": None}]}, "context": {"ip": "::1"}}
    service.batch(call)
    assert service.published() == [{**call, "context": {"ip": "::1", "source": "shop"}, "receivedAt": RECEIVED}]


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
def test_a_key_comes_in_basic_in_the_body_or_in_a_beacons_query(service: Service, key: str) -> None:
    assert service.post("/v1/track", TRACK, key=key).status_code == 200
    assert service.post("/v1/track", {**TRACK, "writeKey": key}, key=None).status_code == 200
    assert service.post("/v1/import/", {"batch": [TRACK], "writeKey": key}, key=None).status_code == 200
    beacon = service.post(f"/beacon/v1/batch?writeKey={key}", {"batch": [TRACK]}, key=None)
    assert beacon.status_code == 200
    assert len(service.published()) == 4
    assert not any("writeKey" in call for call in service.published())


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/v1/track", TRACK, {}),
        ("/v1/track", {**TRACK, "writeKey": "another"}, {}),
        ("/v1/track", {**TRACK, "writeKey": 7}, {}),
        (f"/v1/track?writeKey={KEY}", TRACK, {}),
        ("/v1/track", TRACK, {"Authorization": "Basic %%%"}),
        ("/v1/track", TRACK, {"Authorization": f"Bearer {KEY}"}),
        ("/v1/track", {**TRACK, "writeKey": KEY}, {"Authorization": "Basic " + b64encode(b"another:").decode()}),
    ],
)
def test_a_bad_key_is_401_and_nothing_is_written(service: Service, path: str, body: Any, headers: Any) -> None:
    answer = service.post(path, body, key=None, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "write_key"
    assert answer.json()["message"]
    assert service.published() == []


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
@pytest.mark.parametrize("encoding", [{}, {"Content-Encoding": "gzip"}])
def test_the_body_is_json_perhaps_in_gzip_whatever_is_said(service: Service, kind: str, encoding: Any) -> None:
    plain = json.dumps({"batch": [TRACK]}).encode()
    for body in (plain, gzip.compress(plain), gzip.compress(plain[:20]) + gzip.compress(plain[20:])):
        assert service.post("/v1/batch", body, headers={"Content-Type": kind, **encoding}).status_code == 200
    assert len(service.published()) == 3


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", {}, 400, "not_json"),
        (b"{", {}, 400, "not_json"),
        (b"[]", {}, 400, "invalid"),
        (b"{}", {}, 400, "no_batch"),
        (b'{"batch": 1}', {}, 400, "invalid"),
        (b'{"batch": ["\xff"]}', {}, 400, "not_utf8"),
        (b'{"batch": ' + b"[" * 100_000, {}, 400, "too_deep"),
        (gzip.compress(b"{}" * 1000)[:-9], {}, 400, "cut_off"),
        (b"\x1f\x8bno", {}, 400, "not_gzip"),
        (b"{}", {"Content-Encoding": "br"}, 415, "encoding"),
        (gzip.compress(b"") * 20_000 + gzip.compress(b"{}"), {}, 400, "members"),
        (b'{"batch": [' + b"{}," * 10_000 + b"{}]}", {}, 413, "too_many"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_problem(
    service: Service, body: bytes, headers: Any, status: int, code: str
) -> None:
    answer = service.post("/v1/batch", body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_sizes_count_after_unzipping_and_a_zip_bomb_stops_there(service: Service) -> None:
    large = {**TRACK, "properties": {"text": "x" * 33_000}}
    assert service.post("/v1/track", large).status_code == 413
    assert service.post("/v1/track", gzip.compress(json.dumps(large).encode())).status_code == 413
    assert service.post("/v1/batch", {"batch": [{**TRACK, "event": "x" * 10_000}] * 60}).status_code == 413
    bomb = gzip.compress(bytes(100_000_000), 9)
    assert len(bomb) < 100_000
    assert service.post("/v1/batch", gzip.compress(bytes(600_000)) + bomb).status_code == 413
    assert service.published() == []


def test_of_a_batch_partly_bad_the_good_is_published_and_the_bad_kept_and_listed(service: Service) -> None:
    large = {**TRACK, "properties": {"text": "x" * 33_000}}
    answer = service.batch(TRACK, {"type": "track", "userId": "ann"}, 7, {**TRACK, "userId": ""}, large, {"type": "x"})
    assert answer.status_code == 200
    refused = [(each["index"], each["cause"]) for each in answer.json()["refused"]]
    causes = ["no_event", "invalid", "no_id", "too_large", "unknown_type"]
    assert refused == list(zip(range(1, 6), causes, strict=True))
    assert len(service.published()) == 1
    assert sorted(cause for cause, _ in service.letters()) == sorted(causes)


def test_a_bad_call_by_itself_is_400_and_kept(service: Service) -> None:
    answer = service.post("/v1/track", {"userId": "ann", "writeKey": KEY})
    assert (answer.status_code, answer.json()["code"]) == (400, "no_event")
    [(cause, payload)] = service.letters()
    assert cause == "no_event"
    assert KEY.encode() not in payload


def test_a_key_that_browsers_know_deletes_nobody(service: Service) -> None:
    for said in ('"delete"', '"\\u0064elete"'):
        answer = service.post("/v1/batch", f'{{"batch": [{{"type": {said}, "userId": "ann"}}]}}'.encode())
        assert [each["cause"] for each in answer.json()["refused"]] == ["unknown_type"]
    assert (service.published(), service.letters()) == ([], [])


def test_a_source_beyond_its_rate_is_429_with_when_to_come_again(service: Service) -> None:
    body = {"batch": [{**TRACK, "messageId": f"m{number}"} for number in range(5)]}
    assert service.post("/v1/batch", body, key=SLOW_KEY).status_code == 200
    answer = service.post("/v1/batch", body, key=SLOW_KEY)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert service.post("/v1/batch", body).status_code == 200


def test_a_queue_that_takes_nothing_is_503_and_not_ready(service: Service) -> None:
    assert service.ask("GET", "/ready").status_code == 200
    service.queue.close()
    answer = service.post("/v1/track", TRACK)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert {"code", "message", "type", "title", "status", "detail"} == set(answer.json())
    assert service.ask("GET", "/ready").status_code == 503
    assert service.ask("GET", "/live").status_code == 200


def test_a_pixel_is_an_image_and_a_call(service: Service) -> None:
    data = urlsafe_b64encode(json.dumps({**TRACK, "writeKey": KEY}).encode()).decode().rstrip("=")
    said = f"/pixel/v1/page?writeKey={KEY}&anonymousId=a&name=Home&properties.path=/x&context.page.url=u"
    for path in (f"/v1/pixel/track?data={data}", said):
        for method in ("GET", "HEAD"):  # which publishes nothing
            answer = service.ask(method, path)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    track, page = service.published()
    assert (track["event"], page["type"]) == ("Seen", "page")
    assert (page["properties"], page["context"]) == ({"path": "/x"}, {"page": {"url": "u"}, "source": "shop"})
    plus = b64encode(
        json.dumps({**TRACK, "event": "\u00fb\u00ff>>>", "writeKey": KEY}, ensure_ascii=False).encode()
    ).decode()
    assert "+" in plus
    assert service.ask("GET", f"/v1/pixel/track?data={plus}").status_code == 200
    assert service.ask("GET", "/pixel/v1/page?writeKey=x").status_code == 401
    assert service.ask("GET", "/v1/pixel/page?data=%25").status_code == 400


def test_a_preflight_may_ask_for_any_headers_of_an_allowed_origin(service: Service) -> None:
    asked = "anonymousid,authorization,content-type,sentat"
    headers = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked}
    answer = service.ask("OPTIONS", "/v1/t", headers={**headers, "Origin": SHOP})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert answer.headers["access-control-allow-headers"] == asked
    assert "access-control-allow-credentials" not in answer.headers


def test_a_browsers_page_may_read_the_answer_if_its_origin_may_send(service: Service) -> None:
    answer = service.post("/v1/t", TRACK, headers={"Origin": SHOP})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert answer.headers["access-control-expose-headers"] == "Retry-After"
    assert "Origin" in answer.headers["vary"]
    other = service.post("/v1/t", TRACK, headers={"Origin": "https://evil.example"})
    assert (other.status_code, other.json()["code"]) == (403, "origin")
    assert len(service.published()) == 1


def test_what_is_not_there_is_a_problem_too(service: Service) -> None:
    assert service.ask("GET", "/nothing").json()["status"] == 404
    answer = service.ask("GET", "/v1/track")
    assert (answer.status_code, answer.json()["code"]) == (405, "http")
    assert "POST" in answer.headers["allow"]


def test_metrics_count_by_source_and_cause(service: Service) -> None:
    service.batch(TRACK, {"type": "track"})
    lines = service.ask("GET", "/metrics").text.splitlines()
    assert 'todoke_collect_calls_total{source="shop"} 1' in lines
    assert 'todoke_collect_refused_total{source="shop",cause="no_event"} 1' in lines
    assert 'todoke_collect_requests_total{status="200"} 1' in lines


def test_openapi_names_every_path_and_what_it_refers_to(service: Service) -> None:
    text = service.ask("GET", "/openapi.json").text
    document = json.loads(text)
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {route.path for route in service.app.routes if route.path[-1] != "/"}
    named = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(re.findall(r'"\$ref":"([^"]*)"', text)) <= named
