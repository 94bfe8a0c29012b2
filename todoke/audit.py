"""`todoke backfill --write audit`: a store's memberships against those of its archive; a report, and a metric.

Nothing is written but the metric.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from beam_pipelines import audit as job
from beam_pipelines.backfill_options import Backfill
from todoke.in_beam import is_in_beam, report_of
from todoke.preflight import check_store_release
from transforms.campaigns.load import compiled
from transforms.errors import RunFailed
from transforms.events.plain import counted
from transforms.storage.open import open_store
from transforms.storage.scratch.records import NoRoom
from transforms.users.audit import OUTCOMES, audit

__all__ = ["audit_store", "audit_text"]

#: Differences that are printed; the report has more.
_SHOWN = 20


def audit_store(asked: Backfill, beam_flags: Sequence[str] = ()) -> dict[str, Any]:
    """Compare, count, and return the report; by the runner that the flags name, else in this process.

    Raises:
      WrongUse, NoStore, OlderDefinitions: nothing was compared.
      StoreError: the store cannot be read, or the metric not be written.
      RunFailed: the pipeline failed, or the temporary folder is full.
    """
    assert asked.store is not None
    in_beam = is_in_beam(beam_flags)
    definitions = compiled(asked.release or asked.config.definitions)
    store = open_store(asked.store, create=False)
    check_store_release(store, definitions)
    if in_beam:
        store.close()
        return report_of(job.build, asked, beam_flags, "the audit failed")
    try:
        done = audit(store, definitions, asked.as_of)
    except NoRoom as error:
        raise RunFailed(str(error)) from error
    store.close()
    return job.finish(asked, done)


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
