"""A dashboard of Google Cloud Monitoring over the objectives that `google` makes.

The form is that of https://cloud.google.com/monitoring/api/ref_v3/rest/v1/projects.dashboards; what stands in filters
is said at https://cloud.google.com/stackdriver/docs/solutions/slo-monitoring/api/timeseries-selectors.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from transforms.metrics.slos.google import place_of
from transforms.metrics.slos.promql import range_text
from transforms.segments.values import SECOND
from transforms.slos.alerts import alerts_of
from transforms.slos.definitions import ServiceLevel

__all__ = ["google_dashboard"]

#: Of the 48 columns: where each of the three widgets begins and how wide it is. Heights are those of the squares.
_WIDGETS, _HEAD, _HEIGHT = ((0, 8), (8, 20), (28, 20)), 4, 16


def google_dashboard(levels: Iterable[ServiceLevel]) -> dict[str, Any]:
    """The dashboard: for each level what is left of its budget, the burn in each alert's windows, and its events."""
    tiles = [tile for place, level in enumerate(levels) for tile in _tiles(level, place * (_HEAD + _HEIGHT))]
    return {"displayName": "Todoke: service levels", "mosaicLayout": {"columns": 48, "tiles": tiles}}


def _tiles(level: ServiceLevel, top: int) -> Iterator[dict[str, Any]]:
    trial = ", on trial" if level.status == "trial" else ""
    said = f"{float(level.objective * 100):g} % in {level.window}{trial}; {level.owner.name} ({level.owner.contact})"
    head = {"title": level.name or level.id, "sectionHeader": {"subtitle": said, "dividerBelow": False}}
    yield {"xPos": 0, "yPos": top, "width": 48, "height": _HEAD, "widget": head}
    widgets = _left(level), _burn(level), _events(level)
    for (left, width), widget in zip(_WIDGETS, widgets, strict=True):
        yield {"xPos": left, "yPos": top + _HEAD, "width": width, "height": _HEIGHT, "widget": widget}


def _left(level: ServiceLevel) -> dict[str, Any]:
    """What is left of the budget: red where nothing is, yellow below half, where the owner acts."""
    return {
        "title": "Budget left",
        "scorecard": {
            "timeSeriesQuery": _query(f'select_slo_budget_fraction("{place_of(level)}")'),
            "sparkChartView": {"sparkChartType": "SPARK_LINE"},
            "thresholds": [
                {"value": 0.5, "direction": "BELOW", "color": "YELLOW"},
                {"value": 0, "direction": "BELOW", "color": "RED"},
            ],
        },
    }


def _burn(level: ServiceLevel) -> dict[str, Any]:
    """How many times too fast the budget is used, by the windows of the alerts, with the factor of each."""
    alerts = alerts_of(level.objective, level.length)[0]
    windows = sorted({length for alert in alerts for length in (alert.long, alert.short)} or {level.length})
    lines = [
        _line(f'select_slo_burn_rate("{place_of(level)}", "{length // SECOND}s")', f"burn in {range_text(length)}")
        for length in windows
    ]
    factors = sorted({alert.factor for alert in alerts})
    thresholds = [{"value": float(factor), "label": f"{float(factor):.4g}"} for factor in factors]
    return {"title": "Burn", "xyChart": {"dataSets": lines, "thresholds": thresholds}}


def _events(level: ServiceLevel) -> dict[str, Any]:
    """Good and bad events, as the objective counts them: of freshness minutes."""
    unit = "minutes" if level.indicator.kind == "freshness" else "events"
    line = _line(f'select_slo_counts("{place_of(level)}")', "${metric.labels.event_type}")
    return {"title": f"Good and bad {unit}", "xyChart": {"dataSets": [line | {"plotType": "STACKED_BAR"}]}}


def _line(selected: str, legend: str) -> dict[str, Any]:
    query = _query(selected)
    return {"timeSeriesQuery": query, "plotType": "LINE", "legendTemplate": legend, "targetAxis": "Y1"}


def _query(selected: str) -> dict[str, Any]:
    counts = selected.startswith("select_slo_counts")
    aligned = {"alignmentPeriod": "300s", "perSeriesAligner": "ALIGN_DELTA" if counts else "ALIGN_NEXT_OLDER"}
    return {"timeSeriesFilter": {"filter": selected, "aggregation": aligned}}
