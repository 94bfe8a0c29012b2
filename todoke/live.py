"""A live job on this machine: Beam's Prism, a supervisor that restarts it, and a line a minute about its progress."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, nullcontext, suppress
from functools import partial
from pathlib import Path
from types import FrameType

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.live_flags import RESTARTS
from beam_pipelines.one_process import OneProcess
from beam_pipelines.options import Config
from beam_pipelines.realtime import build_live
from todoke.control import open_control
from todoke.guarded import Guarded
from todoke.heartbeat import DRAIN_SECONDS, Heartbeat
from todoke.prism import find_prism
from todoke.self_seeding import SOON, Looks, keep_seeded, keep_warming
from todoke.stalled import keep_moving
from todoke.terminal import last_line
from todoke.wake import wake_all
from transforms.errors import NotStarted, RunFailed
from transforms.events.kept.pruning import keep_pruned
from transforms.events.live.feed import Feeds
from transforms.events.live.inflight import InFlight
from transforms.events.live.queued import QueuePlace, reading_queue
from transforms.events.plain import counted
from transforms.events.sources import EventQueue
from transforms.job import Job
from transforms.logs import fields
from transforms.metrics.live.behind import keep_behind
from transforms.metrics.running import StoredSums
from transforms.metrics.sending import instance_of, sending
from transforms.segments.values import MINUTE
from transforms.storage.open import open_store
from transforms.storage.store import Store
from transforms.users.lease import LIVE_JOB, JobLease

__all__ = ["Beside", "Patience", "run_graph", "run_live", "supervise"]

_log = logging.getLogger(__name__)

#: How many users with a deadline or an open send are woken a second at the start of a run.
WAKES_A_SECOND = 10_000.0
#: The pause before the first restart and the longest one, in seconds; each is twice the one before.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: After a run of this many seconds, earlier failures no longer count.
LIVED_WELL = 600.0
#: How long the supervisor waits for a run that is to stop.
STOP_SECONDS = 45.0
#: How long a process may take to end after its run is over: a hanging thread of a step must not keep it alive.
EXIT_SECONDS = 20.0
#: Between two lines about the progress of the run.
HEARTBEAT_SECONDS = 60.0
#: Beam gives up listening to a job server after five minutes, and then ends the job: this is ten years, in seconds. And
#: Prism splits bundles that seem slow, which loses state: it lets a key into a second bundle while the first has it
#: (https://github.com/apache/beam/issues/35771). Sources end their bundles themselves.
_PRISM_FLAGS = ("--job_server_timeout=315360000", "--experiments=prism_disable_sdf_split")

#: Runs beside a job in a thread, until the function that it is given says so.
Beside = Callable[[Callable[[], bool]], None]


def run_live(
    config: Config,
    beam_flags: Sequence[str] = (),
    *,
    more: Callable[[Job], Sequence[Beside]] = lambda _: (),
    drain: float = DRAIN_SECONDS,
) -> None:
    """Run the realtime job over a subscription or a queue on this machine until it fails or is told to stop.

    See `run_graph`. It is for a process of its own under `supervise`, and ends it where it is told to stop.

    Users with a deadline or an open send are woken beside it: with millions of them a start would take minutes. It
    holds the lease on the store: one that a job left that does not renew it any more is waited for. And it writes how
    far the job is behind, deletes dead letters that are too old, seeds what a publication asks anew of the past, and
    counts the minutes in which users wait for that.

    Args:
      config: of the job.
      beam_flags: more flags for Beam.
      more: what else runs beside the job.
      drain: seconds for what is in flight when it is told to stop.

    Raises:
      LeaseHeld, QueueHeld: another job works on the store, or reads the queue.
      NoQueue: the queue cannot be read.
      RunFailed: the job failed.
      LeaseLost: it stood still for so long that somebody else took the store.
      StoreError, ControlFailed: the users could not be woken, or the counts not written.
      RunStalled: nothing ended for minutes with messages in flight.
    """

    assert config.store is not None
    url = config.store

    def wake(stopped: Callable[[], bool]) -> None:
        store = open_store(url)
        topic = None if config.control_topic is None else f"pubsub:{config.control_topic}"
        with open_control(store, topic) as publish:
            wake_all(store, publish, WAKES_A_SECOND, stopped=stopped)
        store.close()

    held = open_store(url)
    lease = JobLease(held, LIVE_JOB)
    lease.await_and_take()
    holding = ExitStack()  # until this process ends
    if isinstance(config.source, EventQueue):
        holding.enter_context(reading_queue(QueuePlace(Path(config.source.path), url)))
    job = Job()
    heart, runtime = Heartbeat(job), OneProcess(config, job)
    look = _with_store(url, lambda store, stop: keep_behind(job.part(InFlight), job.part(Feeds), store, stop))
    prune = _with_store(url, lambda store, stop: keep_pruned(store, config.letters_kept_for, stop))
    watch = partial(keep_moving, moved=heart.moved, waiting=heart.waiting)
    looks = Looks(time.time_ns() // 1000, SOON if config.seed else MINUTE)
    seed = [partial(keep, config, job, looks) for keep in (keep_seeded, keep_warming)]
    beside: list[Beside] = [wake, lease.keep, look, prune, watch, *seed, *more(job)]
    with sending(StoredSums(url).of_job, "todoke-job", instance_of(url)) if config.otlp else nullcontext():
        run_graph(lambda pipeline: build_live(pipeline, config, runtime), job, beam_flags, beside=beside, drain=drain)
    lease.release()
    held.close()
    # Beam's own end takes five seconds to stop Prism. The supervisor ends it with all else that this process started.
    sys.stderr.flush()
    os._exit(0)


def _with_store(url: str, keep: Callable[[Store, Callable[[], bool]], None]) -> Beside:
    """What keeps something in a store, over a connection of its own: where one waits for a file that is busy, what else
    is done over it waits too, and the lease must not.
    """

    def run(stopped: Callable[[], bool]) -> None:
        store = open_store(url)
        keep(store, stopped)
        store.close()

    return run


def run_graph(
    build: Callable[[beam.Pipeline], None],
    job: Job,
    beam_flags: Sequence[str] = (),
    *,
    beside: Sequence[Beside] = (),
    drain: float = DRAIN_SECONDS,
    heartbeat: float = HEARTBEAT_SECONDS,
) -> None:
    """Run a live graph on Prism, every step of it in this process, until it fails or SIGTERM or SIGINT stops it.

    When stopped it reads nothing more, waits a while for what is in flight, and gives back the rest. Call it in the
    main thread of a process that does nothing else afterwards.

    Args:
      build: adds the steps to a pipeline.
      job: whose steps they are; it is closed when it stops. One that fails leaves its messages as a killed one does.
      beam_flags: more flags for Beam.
      beside: each runs in a thread once the job does, and ends soon after the function that it is given says so; what
        it raises ends the job and is raised.
      drain: seconds for what is in flight when it is stopped.
      heartbeat: seconds between two lines on standard error about how the run does.

    Raises:
      RunFailed: the job failed; the message is its cause.
    """
    stopped = threading.Event()
    heart = Heartbeat(job)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        pipeline = beam.Pipeline(options=PipelineOptions(_flags(beam_flags), save_main_session=False))
        build(pipeline)
        with ThreadPoolExecutor(1 + len(beside)) as waiting, heart.beating(heartbeat):
            result = pipeline.run()
            ended = waiting.submit(result.wait_until_finish)
            ended.add_done_callback(lambda _: stopped.set())
            aside = [waiting.submit(each, stopped.is_set) for each in beside]
            try:
                wait((ended, *aside), return_when=FIRST_EXCEPTION)
                if failed := [each for each in aside if each.done() and each.exception()]:
                    result.cancel()
                    failed[0].result()
                state = ended.result()
            except KeyboardInterrupt:
                stopped.set()
                heart.drain(drain)
                _expect_cut_connections()
                result.cancel()
                job.close()
                return
            finally:
                stopped.set()
        raise RunFailed(f"a live job does not end, but this one is {state}")
    except KeyboardInterrupt:
        return
    except (OSError, RuntimeError, grpc.RpcError) as error:
        raise RunFailed(_cause(error)) from error
    finally:
        signal.signal(signal.SIGTERM, before)
        _end_within(EXIT_SECONDS)


def _expect_cut_connections() -> None:
    """Tell nothing of threads of Beam whose connection the end of Prism cuts: this process is about to end, too."""
    tell = threading.excepthook

    def hook(died: threading.ExceptHookArgs) -> None:
        if not isinstance(died.exc_value, grpc.RpcError):
            tell(died)

    threading.excepthook = hook


def _flags(beam_flags: Sequence[str]) -> list[str]:
    named = PipelineOptions(list(beam_flags)).get_all_options().get("prism_location")
    prism = find_prism(named)
    _log.info("%s", f"Prism from {prism.how}: {prism.path}" if prism.path else f"Prism: {prism.how}")
    location = () if named or prism.path is None else (f"--prism_location={prism.path}",)
    return [*_PRISM_FLAGS, *beam_flags, *location, "--runner=PrismRunner", "--environment_type=LOOPBACK", "--streaming"]


def _end_within(seconds: float) -> None:
    """End this process after a while if it has not ended by then, as failed: a run that stopped well ends in time."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _cause(error: BaseException) -> str:
    text = error.details() if isinstance(error, grpc.Call) else str(error)
    return last_line(text or "") or type(error).__name__


class Patience:
    """How long to wait after each failure of a run, in seconds, and when to give up.

    Args:
      restarts: failures in a row that are forgiven.
    """

    def __init__(self, restarts: int = RESTARTS) -> None:
        self._restarts = restarts
        self.failures = 0

    def after(self, lived: float) -> float | None:
        """The pause after a run that failed having lived for so many seconds; None to give up."""
        self.failures = 1 if lived >= LIVED_WELL else self.failures + 1
        if self.failures > self._restarts:
            return None
        # Bounded before the power, which is beyond floats after a thousand failures.
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self.failures - 1, 10))


def supervise(command: Sequence[str], restarts: int = RESTARTS) -> None:
    """Keep a command running: start it again when it fails, with growing pauses, until SIGINT or SIGTERM.

    The command and what it starts share a process group, which ends when this process does, however that happens. It is
    told to stop with SIGTERM and has `STOP_SECONDS` for it. Call this in the main thread.

    Args:
      restarts: failures in a row that are forgiven.

    Raises:
      RunFailed: it failed once more than that, or ended by itself.
      SystemExit: it ended with 2, wrong use, which no restart mends.
    """
    patience, stop = Patience(restarts), _StopSignal()
    before = signal.signal(signal.SIGTERM, stop)
    # Set anew: what libraries do with it when they are imported restarts the wait that Ctrl-C should end.
    signal.signal(signal.SIGINT, stop)
    try:
        while True:
            started = time.monotonic()
            code = _run(command, stop)
            if code == NotStarted.exit_code:
                raise SystemExit(code)
            if code == 0:
                raise RunFailed("the run ended by itself, which a live run does not")
            pause = patience.after(time.monotonic() - started)
            if pause is None:
                raise RunFailed(
                    f"gave up after {counted(patience.failures, 'failure')} in a row; the cause of the last is above"
                )
            died = f"was killed by {signal.Signals(-code).name}" if code < 0 else "failed"
            _log.warning(
                "the run %s; restart %d of %d in %.0f s",
                died,
                patience.failures,
                restarts,
                pause,
                extra=fields(restart=patience.failures, pause_s=pause),
            )
            time.sleep(pause)
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _StopSignal:
    """A handler of signals that raises KeyboardInterrupt, but not while a command is being started.

    A command that runs already, and of which this process does not know yet, could not be told to stop.
    """

    def __init__(self) -> None:
        self._held = self._came = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if not self._held:
            raise KeyboardInterrupt
        self._came = True

    def hold(self) -> None:
        """From now on only note that a signal came."""
        self._held = True

    def release(self) -> None:
        """Raise KeyboardInterrupt for a signal that came meanwhile, and for each from now on."""
        self._held = False
        if self._came:
            raise KeyboardInterrupt


def _run(command: Sequence[str], stop: _StopSignal) -> int:
    """Run the command in a process group with a guard; returns its exit code when all of the group is gone."""
    stop.hold()
    with Guarded(command) as child:
        try:
            stop.release()
            return child.wait()
        except KeyboardInterrupt:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(STOP_SECONDS)
            raise
