"""What all parts have: health, metrics, the document, receipts that are durable."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from engage_service import NOW, Service

from services.engage.desk import HELPS
from services.problems import HttpProblem
from transforms.users.control import Receipt
from transforms.users.measures import METRICS

RECEIPT = Receipt("ann", "clicked", "email", "2026-02-02T02:40:00Z", send="s1")


def test_health_metrics_and_the_document(service: Service) -> None:
    assert service.ask("GET", "/live").json() == {"status": "live"}
    assert service.ask("GET", "/ready").json() == {"status": "ready"}
    assert "/live" in service.ask("GET", "/openapi.json").json()["paths"]
    assert service.ask("GET", "/nothing").status_code == 404
    assert service.ask("POST", "/live").json()["code"] == "http"
    text = service.ask("GET", "/metrics").text
    assert 'todoke_engage_requests_total{path="/live",status="200"} 1' in text


def test_what_is_counted_is_a_metric() -> None:
    assert {f"engage_{name}" for name in HELPS} <= METRICS.keys()


def test_receipts_are_in_the_control_table_when_they_are_taken(service: Service) -> None:
    asyncio.run(service.desk.receive([RECEIPT, RECEIPT]))
    assert [(each["userId"], each["kind"]) for each in service.receipts()] == [("ann", "clicked")] * 2
    assert [row.published for row in service.store.read_control(10)] == [NOW, NOW]
    assert 'receipts_total{kind="clicked",channel="email"} 2' in service.ask("GET", "/metrics").text


def test_a_store_that_refuses_is_503_and_not_ready_until_it_takes_more(service: Service) -> None:
    with closing(sqlite3.connect(service.path, isolation_level=None)) as other:
        other.execute("ALTER TABLE control RENAME TO away")
        with pytest.raises(HttpProblem) as refused:
            asyncio.run(service.desk.receive([RECEIPT]))
        assert refused.value.status == 503
        other.execute("ALTER TABLE away RENAME TO control")
    assert service.ask("GET", "/ready").status_code == 200
    assert service.receipts() == []
