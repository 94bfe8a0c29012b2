"""The job that makes recommendations: messages in, lists of products into the store. It sends nothing.

Lists are written beside those that couriers follow, who follow these once all are whole. Doing it again changes
nothing.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import apache_beam as beam
import msgspec

from beam_pipelines.backfill_options import Backfill
from beam_pipelines.memberships import accounts_of, parts_of
from beam_pipelines.written import write_json
from transforms.campaigns.load import compiled
from transforms.events.times import write_time
from transforms.events.transforms import ReadEvents
from transforms.storage.open import open_store
from transforms.storage.rows import RecommendationRun
from transforms.users.cooccurrence.transforms import WriteRecommendations
from transforms.users.prepare.transforms import ReadArchive

__all__ = ["build", "finish"]

_log = logging.getLogger(__name__)


def build(pipeline: beam.Pipeline, asked: Backfill, report: str | None) -> None:
    """Add the job's steps to a pipeline; `report` is a file that gets the report."""
    assert asked.store is not None
    read = ReadArchive(asked.store) if asked.of_archive else ReadEvents(asked.config.source)
    said = (asked.config.definitions, asked.as_of, asked.config.launched, parts_of(asked), asked.store)
    counts = pipeline | "Read" >> read | "Recommendations" >> WriteRecommendations(*said)
    _ = counts | "Together" >> beam.combiners.ToList() | "Finish" >> beam.Map(_finish, asked, report)


def _finish(counts: Iterable[tuple[str, int]], asked: Backfill, report: str | None) -> None:
    found = finish(asked, dict(counts))
    _log.info("report: %s", msgspec.json.encode(found).decode())
    if report is not None:
        write_json(report, found)


def finish(asked: Backfill, sums: Mapping[str, int]) -> dict[str, Any]:
    """Have couriers follow the lists, and return the report.

    Raises:
      StoreError: the store cannot be written.
    """
    assert asked.store is not None
    store = open_store(asked.store, create=False)
    made = asked.config.launched
    followed = store.publish_recommendations(RecommendationRun(made, asked.as_of))
    store.close()
    return {
        "write": "recommendations",
        "engine": "columns",
        "definitions": compiled(asked.config.definitions).definitions_hash,
        "as_of": write_time(asked.as_of),
        "made": write_time(made),
        "followed": followed,
        "lists": sums.get("lists", 0),
        **accounts_of(sums),
        "elapsed_s": round(time.time() - made / 1_000_000, 3),
    }
