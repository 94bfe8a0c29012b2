"""A dashboard of Grafana from service levels, over a data source of Prometheus that has the rules of `rules`.

The form is that of https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/. It
is for a folder of Grafana's provisioning, or to be imported; the data source is chosen in the dashboard.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from transforms.metrics.slos.promql import bad_ratio, events_in, number_text, range_text
from transforms.metrics.slos.rules import alert_name, recorded
from transforms.segments.values import HOUR
from transforms.slos.alerts import alerts_of
from transforms.slos.definitions import ServiceLevel

__all__ = ["grafana"]

#: Of Grafana 10.1; newer ones bring a dashboard up to date when they load it.
_SCHEMA = 38
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
#: Heights of a row's head and of its panels, and widths of the three panels, of the 24 columns that Grafana has.
_HEAD, _HEIGHT, _WIDTHS = 1, 7, (4, 10, 10)
_OPTIONS = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
    "tooltip": {"mode": "multi", "sort": "none"},
}


def grafana(levels: Iterable[ServiceLevel]) -> dict[str, Any]:
    """The dashboard: for each level what is left of its budget, the burn in each alert's windows, and its events."""
    panels = [panel for place, level in enumerate(levels) for panel in _row(level, place)]
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    source = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "skipUrlSync": False,
        "multi": False,
    }
    return {
        "uid": "todoke-slo",
        "title": "Todoke: service levels",
        "tags": ["todoke", "slo"],
        "style": "dark",
        "timezone": "",
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-7d", "to": "now"},
        "fiscalYearStartMonth": 0,
        "refresh": "1m",
        "schemaVersion": _SCHEMA,
        "templating": {"list": [source]},
        "panels": panels,
    }


def _row(level: ServiceLevel, place: int) -> Iterator[dict[str, Any]]:
    top = place * (_HEAD + _HEIGHT)
    trial = ", on trial" if level.status == "trial" else ""
    objective = f"{float(level.objective * 100):g} % in {level.window}{trial}"
    title = f"{level.name or level.id}: {objective}, {level.owner.name} ({level.owner.contact})"
    yield {
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": {"h": _HEAD, "w": 24, "x": 0, "y": top},
        "panels": [],
    }
    for column, panel in enumerate((_left(level), _burn(level), _events(level))):
        where = {"h": _HEIGHT, "w": _WIDTHS[column], "x": sum(_WIDTHS[:column]), "y": top + _HEAD}
        yield {**panel, "datasource": _SOURCE, "gridPos": where}


def _left(level: ServiceLevel) -> dict[str, Any]:
    """What is left of the budget: red where nothing is, orange below half, where the owner acts."""
    steps = [{"color": "red", "value": None}, {"color": "orange", "value": 1e-9}, {"color": "green", "value": 0.5}]
    defaults = {"unit": "percentunit", "max": 1, "thresholds": {"mode": "absolute", "steps": steps}}
    ratio = f'{recorded(level.length)}{{slo="{level.id}"}}'
    return {
        "type": "stat",
        "title": "Budget left",
        "description": f"Of {level.window}. No data: nothing was counted, which is no success.",
        "targets": [_target("A", f"1 - {ratio} / {_budget(level)}", "left")],
        "fieldConfig": {"defaults": {**defaults, "noValue": "no data"}, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "graphMode": "area"},
    }


def _burn(level: ServiceLevel) -> dict[str, Any]:
    """How many times too fast the budget is used, by the windows of the alerts, with the factor of each."""
    alerts = alerts_of(level.objective, level.length)[0]
    windows = sorted({length for alert in alerts for length in (alert.long, alert.short)} or {level.length})
    said = ", ".join(f"{alert_name(level, alert)} above {float(alert.factor):.4g}" for alert in alerts)
    targets = [
        _target(letter, f'{recorded(length)}{{slo="{level.id}"}} / {_budget(level)}', f"burn in {range_text(length)}")
        for letter, length in zip("ABCDEFGH", windows, strict=False)
    ]
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    steps += [{"color": "red", "value": float(factor)} for factor in sorted({alert.factor for alert in alerts})]
    drawn = {"lineWidth": 1, "fillOpacity": 0, "thresholdsStyle": {"mode": "dashed"}}
    return {
        "type": "timeseries",
        "title": "Burn",
        "description": f"1 uses exactly the budget. Alerts fire where two windows are above: {said or 'none can'}.",
        "targets": targets,
        "fieldConfig": {
            "defaults": {
                "unit": "none",
                "min": 0,
                "custom": drawn,
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
        "options": _OPTIONS,
    }


def _events(level: ServiceLevel) -> dict[str, Any]:
    """Good and all events of the last hour."""
    total = events_in(level.indicator, HOUR)
    good = f"({total}) * (1 - ({bad_ratio(level.indicator, HOUR)}))"
    targets = [_target("A", total, "all"), _target("B", good, "good")]
    unit = "minutes" if level.indicator.kind == "freshness" else "events"
    return {
        "type": "timeseries",
        "title": f"Good and all {unit} of an hour",
        "targets": targets,
        "fieldConfig": {
            "defaults": {"unit": "short", "min": 0, "custom": {"lineWidth": 1, "fillOpacity": 10}},
            "overrides": [],
        },
        "options": _OPTIONS,
    }


def _budget(level: ServiceLevel) -> str:
    return number_text(1 - level.objective)


def _target(ref: str, query: str, legend: str) -> dict[str, Any]:
    return {
        "refId": ref,
        "datasource": _SOURCE,
        "expr": query,
        "legendFormat": legend,
        "editorMode": "code",
        "range": True,
        "interval": "60s",
    }
