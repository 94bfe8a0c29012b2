"""Service levels for Google Cloud Monitoring: bodies for its API, over metrics of Managed Service for Prometheus.

https://cloud.google.com/monitoring/api/ref_v3/rest/v3/services.serviceLevelObjectives, and `alertPolicies`. PROJECT and
SERVICE are for whoever sends them.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from transforms.metrics.slos.promql import range_text
from transforms.segments.values import SECOND
from transforms.slos.alerts import Alert, alerts_of
from transforms.slos.definitions import Indicator, ServiceLevel

__all__ = ["GREATEST_GOAL", "google", "place_of"]

#: Cloud Monitoring takes no higher goal.
GREATEST_GOAL = Fraction(9999, 10_000)
_PLACE = "projects/PROJECT/services/SERVICE/serviceLevelObjectives"


def google(levels: Iterable[ServiceLevel]) -> list[dict[str, Any]]:
    """For each level its objective, and the policies of its alerts. Levels on trial have none.

    Raises:
      ValueError: an objective is above what Cloud Monitoring takes.
    """
    return [_level(level) for level in levels]


def place_of(level: ServiceLevel) -> str:
    """The name of a level's objective there."""
    return f"{_PLACE}/{_id(level)}"


def _id(level: ServiceLevel) -> str:
    return level.id.replace("_", "-")


def _level(level: ServiceLevel) -> dict[str, Any]:
    if level.objective > GREATEST_GOAL:
        raise ValueError(f"{level.id}: Cloud Monitoring takes no objective above {float(GREATEST_GOAL):.2%}")
    policies = [_policy(level, alert) for alert in alerts_of(level.objective, level.length)[0]]
    return {
        "serviceLevelObjectiveId": _id(level),
        "serviceLevelObjective": {
            "displayName": level.name or level.id,
            "goal": float(level.objective),
            "rollingPeriod": f"{level.length // SECOND}s",
            "serviceLevelIndicator": _indicator(level.indicator),
            "userLabels": {"owner": level.owner.id, "status": level.status},
        },
        "alertPolicies": policies if level.status == "live" else [],
    }


def _indicator(indicator: Indicator) -> dict[str, Any]:
    if indicator.kind == "freshness":
        cut = _cut("behind", indicator)
        return {
            "windowsBased": {"windowPeriod": "60s", "goodTotalRatioThreshold": {"performance": cut, "threshold": 1}}
        }
    if indicator.kind == "latency":
        labels = () if indicator.service else (("from", indicator.start), ("to", "handed_off"))
        name = f"{indicator.service}_latency" if indicator.service else "latency"
        return {"requestBased": _cut(name, indicator, *labels)}
    total, bad = {
        "success": (
            'state=one_of("handed_off","confirmed","failed","unknown","expired")',
            'state=one_of("failed","unknown","expired")',
        ),
        "accounting": ('outcome=one_of("applied","dead_letter")', 'outcome="dead_letter"'),
        "correctness": ('outcome=one_of("agree","differ")', 'outcome="differ"'),
        "availability": ("", 'status=starts_with("5")'),
    }[indicator.kind]
    counters = {"success": "sends", "accounting": "accounts", "correctness": "audited"}
    counter = f"todoke_{counters.get(indicator.kind, f'{indicator.service}_requests')}_total/counter"
    machines = ("/live", "/ready", "/metrics", "/openapi.json") if indicator.service == "engage" else ()
    without = [f'metric.labels.path!="{path}"' for path in machines]
    without += ['metric.labels.reason!="held"'] if indicator.kind == "success" else []

    def counted(said: str) -> str:
        return _filter(counter, indicator, *([f"metric.labels.{said}"] if said else []), *without)

    return {
        "requestBased": {"goodTotalRatio": {"badServiceFilter": counted(bad), "totalServiceFilter": counted(total)}}
    }


def _cut(name: str, indicator: Indicator, *labels: tuple[str, str]) -> dict[str, Any]:
    said = [f'metric.labels.{label}="{value}"' for label, value in labels]
    filter_ = _filter(f"todoke_{name}_seconds/histogram", indicator, *said)
    return {"distributionCut": {"distributionFilter": filter_, "range": {"max": indicator.below / SECOND}}}


def _filter(metric: str, indicator: Indicator, *labels: str) -> str:
    whose = (("campaign", indicator.campaign), ("channel", indicator.channel))
    said = [f'metric.labels.{label}="{value}"' for label, value in whose if value]
    first = [f'metric.type="prometheus.googleapis.com/{metric}"', 'resource.type="prometheus_target"']
    return " AND ".join([*first, *said, *labels])


def _policy(level: ServiceLevel, alert: Alert) -> dict[str, Any]:
    conditions = [
        {
            "displayName": f"burn in {range_text(length)}",
            "conditionThreshold": {
                "filter": f'select_slo_burn_rate("{place_of(level)}", "{length // SECOND}s")',
                "comparison": "COMPARISON_GT",
                "thresholdValue": float(alert.factor),
                "duration": "0s",
            },
        }
        for length in (alert.long, alert.short)
    ]
    return {
        "displayName": f"{level.id} {alert.kind} {range_text(alert.long)}",
        "combiner": "AND",
        "conditions": conditions,
        "userLabels": {"owner": level.owner.id, "severity": alert.kind},
        "documentation": {
            "content": f"{level.owner.name} ({level.owner.contact}) answers for it",
            "mimeType": "text/markdown",
        },
    }
