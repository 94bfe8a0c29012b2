"""Whatever is sent, a call is published and can be read by the job, or is refused; nothing fails."""

import json
from contextlib import closing
from typing import Any

import pytest
from collect_service import NOW, TRACK, Service
from hypothesis import given
from hypothesis import strategies as st

from services.collect.calls import Bad, Sent, prepared
from services.collect.request import Body
from transforms.events.decode import decode
from transforms.events.queue.read import QueueReader

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    *("type", "userId", "anonymousId", "messageId", "event", "properties", "traits", "context", "integrations"),
    *("timestamp", "originalTimestamp", "sentAt", "receivedAt", "writeKey", "groupId", "previousId", "historical"),
)
calls = st.dictionaries(st.sampled_from(NAMES), values, max_size=8).map(lambda said: {**TRACK, **said}) | values


@given(calls, values, values, st.sampled_from([None, "track", "identify", "group"]))
def test_what_is_published_can_be_read_and_all_else_is_refused(
    said: Any, context: Any, sent_at: Any, kind: Any
) -> None:
    raw = json.dumps(said).encode()
    around = Body(context=context, sent_at=sent_at, integrations=context)
    found = prepared(raw, Sent.now(kind, around, "shop", NOW))
    if isinstance(found, Bad):
        assert found.cause
        return
    event, _ = decode(found.payload, NOW)
    assert event.context["source"] == "shop"
    assert found.user in (event.user, f"~{event.anonymous}")
    if kind is not None:
        assert event.type == kind


@given(st.binary(max_size=40))
def test_any_bytes_are_refused_or_read(raw: bytes) -> None:
    found = prepared(raw, Sent.now("track", Body(), "shop", NOW))
    if not isinstance(found, Bad):
        decode(found.payload, NOW)


@pytest.mark.parametrize("levels", [60, 70, 400, 5_000])
@pytest.mark.parametrize("field", ["context", "properties", "integrations"])
def test_depth_is_bounded(service: Service, field: str, levels: int) -> None:
    nested = b'{"a":' * levels + b"1" + b"}" * levels
    said = json.dumps(TRACK)[:-1].encode() + b', "%s": %s}' % (field.encode(), nested)
    answer = service.post("/v1/track", said)
    assert (answer.status_code == 200) is (levels < 64)
    assert answer.status_code in (200, 400, 413)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30, 10**400])
@pytest.mark.parametrize("field", ["context", "properties"])
def test_a_number_that_the_job_cannot_keep_refuses_its_call_alone(service: Service, field: str, number: int) -> None:
    said = json.dumps({"batch": [{**TRACK, field: {"n": "N"}}, TRACK]}).replace('"N"', str(number))
    answer = service.post("/v1/batch", said.encode())
    assert answer.status_code == 200
    assert [each["index"] for each in answer.json().get("refused", [])] in ([0], [])
    with closing(QueueReader(service.queue.path)) as reader:
        for message in (each for page in reader.pages() for each in page):
            decode(message.payload, NOW)
