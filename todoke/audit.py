"""`todoke backfill --write audit`: a store's memberships against those of its archive; a report, and a metric.

Nothing is written but the metric: how many users ended how, in the minute in which the audit began, and when that was.
"""

import time
from collections.abc import Iterator
from typing import Any

from beam_pipelines.backfill_options import Backfill
from todoke.preflight import check_store_release
from transforms.campaigns.load import compiled
from transforms.events.plain import counted
from transforms.events.times import write_time
from transforms.storage.open import open_store
from transforms.storage.rows import MetricRow
from transforms.users.audit import OUTCOMES, Audit, Difference, audit, columnar_segments
from transforms.users.tally import series_for

__all__ = ["audit_store", "audit_text"]

_MINUTE = 60_000_000
#: Differences that are printed; the report has more.
_SHOWN = 20


def audit_store(asked: Backfill) -> dict[str, Any]:
    """Compare, count, and return the report.

    Raises:
      NoStore, OlderDefinitions: nothing was compared.
      StoreError: the store cannot be read, or the metric not be written.
    """
    started = time.monotonic()
    assert asked.store is not None
    definitions = compiled(asked.release or asked.config.definitions)
    store = open_store(asked.store, create=False)
    check_store_release(store, definitions)
    done = audit(store, definitions, asked.as_of)
    store.write_metrics(list(_metrics(done, asked.config.launched)))
    store.close()
    asks = columnar_segments(definitions)
    return {
        "write": "audit",
        "engine": "columns",
        "definitions": definitions.definitions_hash,
        "release": definitions.release,
        "as_of": write_time(asked.as_of),
        "users": done.outcomes.total(),
        **{outcome: done.outcomes[outcome] for outcome in OUTCOMES},
        "reasons": dict(sorted(done.reasons.items())),
        "not_asked": sorted(definitions.segments.keys() - asks.keys()),
        "differences": [_as_json(each) for each in done.differences],
        "elapsed_s": round(time.monotonic() - started, 3),
    }


def _metrics(done: Audit, began: int) -> Iterator[MetricRow]:
    """How users ended, also nobody: an audit again in the same minute takes the place of the one before."""
    for outcome in OUTCOMES:
        yield MetricRow(series_for("audited", (outcome,)), began - began % _MINUTE, done.outcomes[outcome])
    yield MetricRow(series_for("audited_at", ()), 0, began)


def _as_json(found: Difference) -> dict[str, Any]:
    said = {"user": found.user, "segment": found.segment, "live": found.live, "at": write_time(found.at)}
    return said | {"reason": found.reason, "conditions": list(found.conditions)}


def audit_text(report: dict[str, Any]) -> Iterator[str]:
    """The report as lines."""
    yield f"{counted(report['users'], 'user')} as of {report['as_of']}, in {report['elapsed_s']:.1f} s"
    for outcome in OUTCOMES:
        if report[outcome] or outcome in ("agree", "differ"):
            yield f"  {outcome.replace('_', ' ')}: {report[outcome]:,}"
    if report["not_asked"]:
        yield f"not asked, without a columnar form: {', '.join(report['not_asked'])}"
    listed = report["differences"]
    for each in listed[:_SHOWN]:
        because = f" ({'; '.join(each['conditions'])})" if each["conditions"] else ""
        said = "is a member, and not by the archive" if each["live"] else "is no member, and is one by the archive"
        yield f"{each['user']} in {each['segment']}: {said}; {each['reason'].replace('_', ' ')}{because}"
    total = sum(report["reasons"].values())
    if total > min(_SHOWN, len(listed)):
        yield f"… {total - min(_SHOWN, len(listed)):,} more"
