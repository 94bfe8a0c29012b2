"""The process of the live job, which also takes up changes of the definitions."""

from collections.abc import Sequence
from functools import partial

from beam_pipelines.options import parse as parse_run
from todoke.live import Beside, run_live
from todoke.serve.options import ServeOptions
from todoke.serve.publishing import keep_published
from transforms.errors import RunFailed, WrongUse
from transforms.events.queue.file import NoQueue
from transforms.job import Job
from transforms.storage.store import NoStore

__all__ = ["run_job"]

#: How long a job that is to stop waits for what is in flight, in seconds; the rest comes again.
DRAIN_SECONDS = 2.0


def run_job(options: ServeOptions) -> None:
    """Run the live job until SIGTERM or SIGINT; see `run_live`.

    Raises:
      RunFailed, StoreError, LeaseLost: it failed, and may be started again.
    """

    def more(job: Job) -> Sequence[Beside]:
        if not options.watch:
            return ()
        return (partial(keep_published, options.definitions, config.definitions, job),)

    try:
        config, _, beam_flags = parse_run(options.job_words(options.pointer))
        run_live(config, beam_flags, more=more, drain=DRAIN_SECONDS)
    except (NoQueue, NoStore, WrongUse) as error:  # they were there when the supervisor looked, so they may come back
        raise RunFailed(str(error)) from error
