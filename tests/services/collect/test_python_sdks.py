"""SDKs for Python, while the service is killed again and again: each call arrives, unchanged."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rudderstack.analytics.client import Client as RudderClient
from rudderstack.analytics.request import DatetimeSerializer as RudderSerializer
from segment.analytics.client import Client as SegmentClient
from segment.analytics.request import DatetimeSerializer as SegmentSerializer
from services_served import KEY, as_sent, collect_process, messages_by_id, restarted

ROUNDS = 60


def send_all(client: Any) -> list[Any]:
    """Calls of every kind; what the SDK puts into its queue."""
    sent = []
    for number in range(ROUNDS):
        user, time_ = f"ann-{number}", datetime(2026, 2, 1, 3, 4, 5, 678_000, tzinfo=UTC)
        sent += [
            client.identify(user, {"plan": "pro", "name": "安娜", "age": 33, "nested": {"a": [1, None, 2.5]}}),
            client.track(user, "Order Completed", {"total": 19.90, "items": [{"sku": "a"}]}, timestamp=time_),
            client.page(user, "Docs", "Start", {"path": "/start"}, {"ip": "203.0.113.7"}),
            client.screen(user, "App", "Home", integrations={"All": False}),
            client.group(user, "acme", {"seats": 3}),
            client.alias(f"old-{number}", user),
            client.track(anonymous_id=f"visitor-{number}", event="Seen"),
        ]
        time.sleep(0.05)
    client.flush()
    client.join()
    assert all(taken for taken, _ in sent)
    return [call for _, call in sent]


def without_empty(call: dict[str, Any]) -> dict[str, Any]:
    ids = ("userId", "anonymousId", "groupId", "previousId")
    return {name: said for name, said in call.items() if name not in ids or said not in (None, "")}


@pytest.mark.parametrize(
    ("make", "serializer", "gzip"),
    [
        pytest.param(SegmentClient, SegmentSerializer, False, id="segment"),
        pytest.param(SegmentClient, SegmentSerializer, True, id="segment-gzip", marks=pytest.mark.all_in_ci),
        pytest.param(RudderClient, RudderSerializer, True, id="rudder"),
        pytest.param(RudderClient, RudderSerializer, False, id="rudder-plain", marks=pytest.mark.all_in_ci),
    ],
)
def test_each_call_of_an_sdk_arrives_unchanged_through_kills(
    tmp_path: Path, make: Callable[..., Any], serializer: type[json.JSONEncoder], gzip: bool
) -> None:
    failed: list[Any] = []
    with restarted(tmp_path) as url:
        client = make(
            KEY,
            host=url,
            gzip=gzip,
            max_retries=20,
            upload_size=10,
            upload_interval=0.1,
            on_error=lambda error, batch: failed.append((error, batch)),
        )
        sent = send_all(client)
    assert failed == []
    found = messages_by_id(tmp_path)
    expected = {call["messageId"]: without_empty(json.loads(json.dumps(call, cls=serializer))) for call in sent}
    assert found.keys() == expected.keys()
    for id_, copies in found.items():
        for copy in copies:  # what was answered by nobody was sent again
            assert as_sent(copy) == {name: said for name, said in expected[id_].items() if name != "sentAt"}


@pytest.mark.parametrize("make", [SegmentClient, RudderClient])
def test_an_sdk_is_told_of_a_bad_key_and_ends(tmp_path: Path, make: Callable[..., Any]) -> None:
    failed: list[Any] = []
    with collect_process(tmp_path) as served:
        client = make(
            "another-key-0123456", host=served.url, max_retries=1, on_error=lambda error, _: failed.append(error)
        )
        client.track("ann", "Seen")
        client.flush()
        client.join()
    [error] = failed
    assert "write key" in str(error)
