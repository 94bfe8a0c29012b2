"""`todoke backfill --write recommendations`: what goes together, and what segments have most, into the store."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from beam_pipelines import recommendations as job
from beam_pipelines.backfill_options import Backfill
from beam_pipelines.memberships import parts_of
from todoke.in_beam import is_in_beam, report_of, without_step
from todoke.memberships import messages_of
from todoke.sources import opened
from transforms.campaigns.load import compiled
from transforms.errors import RunFailed
from transforms.events.files import UnreadableFile
from transforms.events.plain import counted
from transforms.storage.open import open_store
from transforms.storage.scratch.folder import scratch_folder
from transforms.storage.scratch.records import NoRoom
from transforms.users.cooccurrence.transforms import asked_by
from transforms.users.cooccurrence.writing import recommend

__all__ = ["make_recommendations", "recommendations_text"]


def make_recommendations(asked: Backfill, beam_flags: Sequence[str] = ()) -> dict[str, Any]:
    """Make them, and return the report; by the runner that the flags name, else in this process.

    Raises:
      NoStore, WrongUse: nothing was made.
      StoreError: the store cannot be read or written.
      RunFailed: events cannot be read, the pipeline failed, or the temporary folder is full.
    """
    assert asked.store is not None
    in_beam = is_in_beam(beam_flags)
    store = open_store(asked.store, create=False)
    if not asked.of_archive:
        config = msgspec.structs.replace(asked.config, source=opened(asked.config.source))
        asked = msgspec.structs.replace(asked, config=config)
    try:
        if in_beam:
            return report_of(job.build, asked, beam_flags, "the recommendations cannot be made")
        with scratch_folder() as place:
            question = asked_by(asked.config.definitions, asked.as_of)
            announced = compiled(asked.config.definitions).routes.is_announcement
            what = (messages_of(asked), question, store, asked.config.launched, place)
            sums = recommend(*what, parts=parts_of(asked), announced=announced)
        return job.finish(asked, sums)
    except UnreadableFile as error:
        raise RunFailed(f"the events cannot be read: {without_step(error)}") from error
    except NoRoom as error:
        raise RunFailed(str(error)) from error
    finally:
        store.close()


def recommendations_text(report: dict[str, Any]) -> Iterator[str]:
    """The report as lines."""
    yield f"{counted(report['lists'], 'list')} as of {report['as_of']}, in {report['elapsed_s']:.1f} s"
    yield f"{counted(report['read'], 'message')} read: {report['applied']:,} applied"
    if not report["lists"]:
        yield "too few users had a product `within` that time: messages show their fallback. Of older events: --as-of"
    if not report["followed"]:
        yield "not followed: lists that were made later are there"
