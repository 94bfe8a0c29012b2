"""The job that holds a store's memberships against its archive: a report and a metric out. It sends nothing."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import msgspec

from beam_pipelines.backfill_options import Backfill
from beam_pipelines.written import write_json
from transforms.campaigns.load import compiled
from transforms.events.times import write_time
from transforms.storage.open import open_store
from transforms.storage.rows import MetricRow
from transforms.users.audit import OUTCOMES, Audit, Difference, columnar_segments
from transforms.users.audits.transforms import AuditStore
from transforms.users.tally import series_for

__all__ = ["build", "finish"]

_log = logging.getLogger(__name__)
_MINUTE = 60_000_000


def build(pipeline: beam.Pipeline, asked: Backfill, report: str | None) -> None:
    """Add the job's steps to a pipeline; `report` is a file that gets the report."""
    assert asked.store is not None
    audits = AuditStore(asked.store, asked.release or asked.config.definitions, asked.as_of)
    _ = pipeline | "Audit" >> audits | "Finish" >> beam.Map(_finish, asked, report)


def _finish(done: Audit, asked: Backfill, report: str | None) -> None:
    found = finish(asked, done)
    _log.info("report: %s", msgspec.json.encode(found).decode())
    if report is not None:
        write_json(report, found)


def finish(asked: Backfill, done: Audit) -> dict[str, Any]:
    """Write the metric: how many users ended how, in the minute in which the audit began, and when that was; returns
    the report. Doing it again changes nothing.

    Raises:
      StoreError: the metric cannot be written.
    """
    assert asked.store is not None
    definitions = compiled(asked.release or asked.config.definitions)
    store = open_store(asked.store, create=False)
    store.write_metrics(list(_metrics(done, asked.config.launched)))
    store.close()
    return {
        "write": "audit",
        "engine": "columns",
        "definitions": definitions.definitions_hash,
        "release": definitions.release,
        "as_of": write_time(asked.as_of),
        "users": done.outcomes.total(),
        **{outcome: done.outcomes[outcome] for outcome in OUTCOMES},
        "reasons": dict(sorted(done.reasons.items())),
        "not_asked": sorted(definitions.segments.keys() - columnar_segments(definitions).keys()),
        "differences": [_as_json(each) for each in done.differences],
        "elapsed_s": round(time.time() - asked.config.launched / 1_000_000, 3),
    }


def _metrics(done: Audit, began: int) -> Iterator[MetricRow]:
    """How users ended, also nobody: an audit again in the same minute takes the place of the one before."""
    for outcome in OUTCOMES:
        yield MetricRow(series_for("audited", (outcome,)), began - began % _MINUTE, done.outcomes[outcome])
    yield MetricRow(series_for("audited_at", ()), 0, began)


def _as_json(found: Difference) -> dict[str, Any]:
    said = {"user": found.user, "segment": found.segment, "live": found.live, "at": write_time(found.at)}
    return said | {"reason": found.reason, "conditions": list(found.conditions)}
