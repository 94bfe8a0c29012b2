"""Service levels in the form of OpenSLO v1 (https://github.com/OpenSLO/OpenSLO): a document for each object."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

from transforms.metrics.slos.promql import bad_ratio, counted_by, range_text
from transforms.slos.alerts import Alert, alerts_of
from transforms.slos.definitions import LevelOwner, ServiceLevel

__all__ = ["openslo"]

_VERSION = "openslo/v1"
#: The longest DNS label.
_LONGEST = 63


def openslo(levels: Iterable[ServiceLevel]) -> Iterator[dict[str, Any]]:
    """The service, its levels with their alert policies, and whom alerts go to. Levels on trial have no policies."""
    levels = list(levels)
    yield _object("Service", "todoke", "Todoke", {"description": "Customer engagement"})
    for owner in {level.owner.id: level.owner for level in levels}.values():
        yield _target(owner)
    for level in levels:
        yield _level(level)


def _object(kind: str, name: str, title: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": _VERSION,
        "kind": kind,
        "metadata": {"name": _label(name), "displayName": title},
        "spec": spec,
    }


def _label(name: str) -> str:
    """A name as a DNS label, which has no `_` and does not end with `-`. Names that are shortened stay distinct."""
    label = name.replace("_", "-")
    if len(label) <= _LONGEST and not label.endswith("-"):
        return label
    digest = blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{label[: _LONGEST - len(digest) - 1].rstrip('-')}-{digest}"


def _target(owner: LevelOwner) -> dict[str, Any]:
    said = f"{owner.name}, {owner.contact}{f'; then {owner.escalation}' if owner.escalation else ''}"
    return _object(
        "AlertNotificationTarget", owner.id, owner.name, {"description": said, "target": owner.page or "email"}
    )


def _level(level: ServiceLevel) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "description": f"{level.owner.name} ({level.owner.contact}) answers for it",
        "service": "todoke",
        "indicator": {"metadata": {"name": _label(level.id)}, "spec": _indicator(level)},
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
    """An alert by its long window alone: `conditions` is "an array (max of one condition)"."""
    name = f"{level.id}-{alert.kind}-{range_text(alert.long)}"
    condition = {
        "kind": "AlertCondition",
        "metadata": {"name": _label(f"{name}-{range_text(alert.long)}")},
        "spec": {
            "severity": alert.kind,
            "condition": {
                "kind": "burnrate",
                "op": "gt",
                "threshold": float(alert.factor),
                "lookbackWindow": range_text(alert.long),
                "alertAfter": "0m",
            },
        },
    }
    return {
        "kind": "AlertPolicy",
        "metadata": {"name": _label(name)},
        "spec": {
            "alertWhenBreaching": True,
            "conditions": [condition],
            "notificationTargets": [{"targetRef": _label(level.owner.id)}],
        },
    }
