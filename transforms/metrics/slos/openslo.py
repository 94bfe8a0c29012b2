"""Service levels in the form of OpenSLO v1 (https://github.com/OpenSLO/OpenSLO): a document for each object."""

from collections.abc import Iterable, Iterator
from typing import Any

from transforms.metrics.slos.promql import bad_ratio, counted_by, range_text
from transforms.slos.alerts import Alert, alerts_of
from transforms.slos.definitions import LevelOwner, ServiceLevel

__all__ = ["openslo"]

_VERSION = "openslo/v1"


def openslo(levels: Iterable[ServiceLevel]) -> Iterator[dict[str, Any]]:
    """The service, its levels with their alert policies, and whom alerts go to. Levels on trial have no policies."""
    levels = list(levels)
    yield _object("Service", "todoke", "Todoke", {"description": "Customer engagement"})
    for owner in {level.owner.id: level.owner for level in levels}.values():
        yield _target(owner)
    for level in levels:
        yield _level(level)


def _object(kind: str, name: str, title: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Names are DNS labels, which have no `_`."""
    metadata = {"name": name.replace("_", "-")[:63], "displayName": title}
    return {"apiVersion": _VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _target(owner: LevelOwner) -> dict[str, Any]:
    said = f"{owner.name}, {owner.contact}{f'; then {owner.escalation}' if owner.escalation else ''}"
    return _object(
        "AlertNotificationTarget", owner.id, owner.name, {"description": said, "target": owner.page or "email"}
    )


def _level(level: ServiceLevel) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "description": f"{level.owner.name} ({level.owner.contact}) answers for it",
        "service": "todoke",
        "indicator": {"metadata": {"name": level.id.replace("_", "-")}, "spec": _indicator(level)},
        "timeWindow": [{"duration": level.window, "isRolling": True}],
        "budgetingMethod": "Occurrences",
        "objectives": [{"displayName": level.name or level.id, "target": float(level.objective)}],
    }
    if level.status == "live":
        spec["alertPolicies"] = [_policy(level, alert) for alert in alerts_of(level.objective, level.length)[0]]
    return _object("SLO", level.id, level.name or level.id, spec)


def _indicator(level: ServiceLevel) -> dict[str, Any]:
    """A ratio of counters; freshness, which counts minutes, is a ratio as it is reckoned."""
    if level.indicator.kind == "freshness":
        return {"ratioMetric": {"rawType": "failure", "raw": _source(bad_ratio(level.indicator, level.length))}}
    counted = counted_by(level.indicator)
    part = {"good": _source(counted.good)} if counted.good else {"bad": _source(counted.bad)}
    return {"ratioMetric": {"counter": True, **part, "total": _source(counted.total)}}


def _source(query: str) -> dict[str, Any]:
    return {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}


def _policy(level: ServiceLevel, alert: Alert) -> dict[str, Any]:
    name = f"{level.id}-{alert.kind}-{range_text(alert.long)}"
    conditions = [
        {
            "kind": "AlertCondition",
            "metadata": {"name": f"{name}-{range_text(length)}".replace("_", "-")[:63]},
            "spec": {
                "severity": alert.kind,
                "condition": {
                    "kind": "burnrate",
                    "op": "gt",
                    "threshold": float(alert.factor),
                    "lookbackWindow": range_text(length),
                    "alertAfter": "0m",
                },
            },
        }
        for length in (alert.long, alert.short)
    ]
    return {
        "kind": "AlertPolicy",
        "metadata": {"name": name.replace("_", "-")[:63]},
        "spec": {
            "alertWhenBreaching": True,
            "conditions": conditions,
            "notificationTargets": [{"targetRef": level.owner.id.replace("_", "-")}],
        },
    }
