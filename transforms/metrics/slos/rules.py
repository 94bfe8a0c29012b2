"""Rules for Prometheus from service levels: the share of bad events by window, and alerts that go to owners.

Levels on trial have no alerts. The form is that of
https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/.
"""

from collections.abc import Iterable
from typing import Any

from transforms.metrics.slos.promql import bad_ratio, events_in, number_text, range_text
from transforms.slos.alerts import Alert, alerts_of
from transforms.slos.definitions import ServiceLevel

__all__ = ["alert_name", "annotations_of", "labels_of", "recorded", "rules"]

_RATIO = "todoke_slo:bad_ratio:"


def rules(levels: Iterable[ServiceLevel]) -> dict[str, Any]:
    """The file of rules."""
    return {"groups": [_group(level) for level in levels]}


def recorded(window: int) -> str:
    """The name under which the share of bad events in a trailing window (microseconds) is recorded."""
    return f"{_RATIO}{range_text(window)}"


def alert_name(level: ServiceLevel, alert: Alert) -> str:
    """The name of an alert, such as `push_latency_page_1h`."""
    return f"{level.id}_{alert.kind}_{range_text(alert.long)}"


def labels_of(level: ServiceLevel, alert: Alert) -> dict[str, str]:
    """The labels by which an alert is routed."""
    return {"severity": alert.kind, "owner": level.owner.id, "slo": level.id}


def annotations_of(level: ServiceLevel, alert: Alert) -> dict[str, str]:
    """What is said to whoever is alerted."""
    owner = level.owner
    windows = f"for {range_text(alert.long)} and still for {range_text(alert.short)}"
    burns = f"the budget of {level.window} burns more than {float(alert.factor):.4g} times too fast"
    said = {
        "summary": f"{level.name or level.id}: {burns}, {windows}",
        "owner": owner.name,
        "contact": owner.contact,
        "page": owner.page,
        "escalation": owner.escalation,
    }
    return {name: text for name, text in said.items() if text}


def _group(level: ServiceLevel) -> dict[str, Any]:
    alerts, _ = alerts_of(level.objective, level.length)
    windows = sorted({length for alert in alerts for length in (alert.long, alert.short)} | {level.length})
    records = [
        {"record": recorded(window), "expr": bad_ratio(level.indicator, window), "labels": {"slo": level.id}}
        for window in windows
    ]
    shown = [_alert(level, alert) for alert in alerts] if level.status == "live" else []
    return {"name": f"todoke_slo_{level.id}", "interval": "1m", "rules": [*records, *shown]}


def _alert(level: ServiceLevel, alert: Alert) -> dict[str, Any]:
    threshold = number_text(alert.factor * (1 - level.objective))
    burns = [f'{recorded(length)}{{slo="{level.id}"}} > {threshold}' for length in (alert.long, alert.short)]
    enough = f"{events_in(level.indicator, alert.long)} >= {level.at_least}"
    return {
        "alert": alert_name(level, alert),
        "expr": f"{burns[0]} and {burns[1]} and on() ({enough})",
        "labels": labels_of(level, alert),
        "annotations": {name: _as_it_is(text) for name, text in annotations_of(level, alert).items()},
    }


def _as_it_is(text: str) -> str:
    """Text that Prometheus, which takes annotations for templates of Go, shows as it is written."""
    return text.replace("{{", '{{"{{"}}')
