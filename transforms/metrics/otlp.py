"""Metrics as OpenTelemetry has them, and one exporter of them over HTTP. It needs the extra `otel`.

Names and units are those that Prometheus' own receiver makes the names of `todoke metrics --prometheus` of:
`todoke_latency` in `s` is `todoke_latency_seconds` there, a counter gets `_total`. Counts are sums since a time
(cumulative).
"""

import logging
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from transforms.metrics.counts import Histogram
from transforms.metrics.families import PREFIX, Family, Labels, families
from transforms.segments.values import SECOND
from transforms.slos.bounds import BOUNDS
from transforms.users.measures import COUNTER, METRICS, seconds_text

__all__ = ["OtlpExporter", "metrics_data"]

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_BOUNDS = tuple(each / SECOND for each in BOUNDS)
_EDGES = (*map(seconds_text, BOUNDS), "+Inf")
#: A number in OTLP has 64 bits, with a sign.
_MOST = 2**63
_NANOSECONDS = 1_000


class OtlpExporter:
    """Sends sums to the collector that the variables of OpenTelemetry name (`OTEL_EXPORTER_OTLP_ENDPOINT` and others).

    Args:
      service: the `service.name`, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` say another.
      instance: tells it from others of the name.

    Raises:
      ModuleNotFoundError: the extra is not installed.
    """

    def __init__(self, service: str, instance: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415 - no worker needs it
            OTLPMetricExporter,
        )

        own = {"service.name": service, "service.instance.id": instance, "service.version": version("todoke")}
        self._resource = Resource(own).merge(OTELResourceDetector().detect())
        self._exporter = OTLPMetricExporter()
        self._said = _LastSaid(logging.WARNING)
        logger = logging.getLogger(OTLPMetricExporter.__module__)
        logger.propagate = False  # it would say each time anew that a collector is away
        logger.addHandler(self._said)

    @property
    def fault(self) -> str:
        """What the exporter said last of what went wrong."""
        return self._said.text

    def send(self, sums: Mapping[tuple[str, Labels], int], since: int, at: int) -> bool:
        """Send sums that were counted `since` a time until `at` (microseconds UTC); returns whether they were taken.

        It takes as long as `OTEL_EXPORTER_OTLP_TIMEOUT` says at most, 10 s where it says nothing.
        """
        result = self._exporter.export(metrics_data(sums, self._resource, since, at))
        return result is MetricExportResult.SUCCESS

    def close(self) -> None:
        """Send nothing more; what is being sent ends."""
        logging.getLogger(type(self._exporter).__module__).removeHandler(self._said)
        self._exporter.shutdown()


class _LastSaid(logging.Handler):
    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def metrics_data(sums: Mapping[tuple[str, Labels], int], resource: Resource, since: int, at: int) -> MetricsData:
    """Sums as OpenTelemetry has them."""
    times = since * _NANOSECONDS, at * _NANOSECONDS
    metrics = [_metric(family, times) for family in families(sums)]
    scope = ScopeMetrics(InstrumentationScope("todoke", version("todoke")), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metric(family: Family, times: tuple[int, int]) -> Metric:
    metric = METRICS[family.name]
    said = f"{metric.says[0].upper()}{metric.says[1:]}."
    if family.histograms:
        points = [_histogram(labels, each, times) for labels, each in family.histograms.items()]
        return Metric(f"{PREFIX}{family.name}", said, "s", HistogramData(points, _CUMULATIVE))
    numbers = [_number(labels, count, metric.unit, times) for labels, count in family.numbers.items()]
    data: Any = Sum(numbers, _CUMULATIVE, is_monotonic=True) if metric.kind == COUNTER else Gauge(numbers)
    return Metric(f"{PREFIX}{family.name}", said, "", data)


def _number(labels: Labels, count: int, unit: int, times: tuple[int, int]) -> NumberDataPoint:
    """A count in its unit; what is no whole number, or too large for one, is a float."""
    whole = unit == 1 and abs(count) < _MOST
    return NumberDataPoint(dict(labels), *times, value=count if whole else count / unit)


def _histogram(labels: Labels, histogram: Histogram, times: tuple[int, int]) -> HistogramDataPoint:
    counts: Sequence[int] = [max(0, histogram.buckets.get(edge, 0)) for edge in _EDGES]
    unknown: Any = None  # neither the least nor the greatest is known
    total = histogram.sum / SECOND
    assert math.isfinite(total)
    return HistogramDataPoint(
        dict(labels),
        *times,
        count=sum(counts),
        sum=total,
        bucket_counts=counts,
        explicit_bounds=_BOUNDS,
        min=unknown,
        max=unknown,
    )
