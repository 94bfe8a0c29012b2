"""Metrics by OTLP, as a collector takes them, and what happens where there is none."""

import socket
import time
from typing import Any

import pytest
from collector import collecting, labels, until

from transforms.errors import NotStarted, WrongUse
from transforms.metrics.sending import check_otlp, sending
from transforms.slos.bounds import BOUNDS
from transforms.storage.store import StoreError

SINCE = 1_770_000_000_000_000
SUMS = {
    ("sends", (("campaign", "é"), ("state", "handed_off"), ("step", ""))): 7,
    ("value", (("arm", "a"),)): 2_500_000,
    ("queued", ()): -1,
    ("goal_totals", (("day", "2026-01-01"), ("digit", "0"))): 2**70,
    ("behind", (("le", "0.002"),)): 3,
    ("behind", (("le", "+Inf"),)): 1,
    ("behind_sum", ()): 4_500_000,
}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")


def counted() -> tuple[dict[Any, int], int]:
    return dict(SUMS), SINCE


def test_a_collector_gets_all_that_was_counted_since_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=prod,service.version=9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with sending(counted, "todoke-job", "i1"):
            until(lambda: collector.requests)
        found, [resource, *_] = collector.newest("todoke-job"), collector.resources()
    assert resource == {
        "service.name": "todoke-job",
        "service.instance.id": "i1",
        "service.version": "9",
        "deployment.environment": "prod",
    }
    assert {name.lower(): said for name, said in collector.headers[0].items()}["authorization"] == "Bearer t"
    assert found.keys() == {f"todoke_{name}" for name in ("sends", "value", "queued", "goal_totals", "behind")}
    sends = found["todoke_sends"].sum
    assert (sends.is_monotonic, sends.aggregation_temporality) == (True, 2)
    [point] = sends.data_points
    assert (labels(point), point.as_int) == ({"campaign": "é", "state": "handed_off"}, 7)
    assert point.start_time_unix_nano == SINCE * 1_000
    assert abs(point.time_unix_nano / 1e9 - time.time()) < 600
    assert [point.as_double for point in found["todoke_value"].gauge.data_points] == [2.5]
    assert [point.as_int for point in found["todoke_queued"].gauge.data_points] == [-1]
    assert [point.as_double for point in found["todoke_goal_totals"].gauge.data_points] == [2.0**70]
    assert (found["todoke_behind"].unit, found["todoke_behind"].histogram.aggregation_temporality) == ("s", 2)
    [point] = found["todoke_behind"].histogram.data_points
    assert (point.count, point.sum, len(point.explicit_bounds)) == (4, 4.5, len(BOUNDS))
    assert [each for each in enumerate(point.bucket_counts) if each[1]] == [(1, 3), (len(BOUNDS), 1)]
    assert point.explicit_bounds[1] == 0.002
    assert not point.HasField("min")


def test_what_was_counted_last_is_sent_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "86400000")
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with sending(counted, "todoke-collect", "i1"):
            assert not collector.requests
        assert "todoke_sends" in collector.newest("todoke-collect")


def test_a_collector_that_is_away_is_told_once_and_gets_all_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="transforms")
    asked: list[int] = []

    def counted() -> tuple[dict[Any, int], int]:
        asked.append(1)
        if len(asked) == 4:
            raise StoreError("the store is away")
        return {("merged", ()): len(asked)}, SINCE

    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        collector.status = 400
        with sending(counted, "todoke-job", "i1"):
            until(lambda: len(asked) > 6)
            collector.status = 200
            until(lambda: collector.requests)
            until(lambda: "again" in caplog.text)
        [point] = collector.newest("todoke-job")["todoke_merged"].sum.data_points
        assert point.as_int > 6
    away, back = (each.getMessage() for each in caplog.records if each.name.startswith("transforms"))
    assert away.startswith("metrics of todoke-job could not be sent; all are sent when that works again: ")
    assert "400" in away
    assert back == "metrics of todoke-job are sent again"


@pytest.mark.parametrize("listens", [True, False])
def test_a_dead_collector_keeps_nobody(listens: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and never answers
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        if not listens:
            silent.close()
        asked: list[int] = []

        def counted() -> tuple[dict[Any, int], int]:
            asked.append(1)
            return dict(SUMS), SINCE

        with sending(counted, "todoke-job", "i1"):
            until(lambda: asked)  # it is being sent
            began = time.monotonic()
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("OTEL_METRIC_EXPORT_INTERVAL", "soon", "expected milliseconds"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "expected http/protobuf"),
    ],
)
def test_variables_that_cannot_be_are_refused_at_the_start(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(WrongUse, match=says):
        check_otlp()


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    name = "opentelemetry.exporter.otlp.proto.http.metric_exporter"
    monkeypatch.setitem(sys.modules, name, None)  # to import it is an error
    with pytest.raises(NotStarted, match=r"pip install 'todoke\[otel\]'"):
        check_otlp()
