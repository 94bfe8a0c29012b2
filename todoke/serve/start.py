"""The supervisor of `todoke serve`: checks all that it needs, starts its parts, and says where to send."""

import json
import logging
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

import msgspec

from beam_pipelines.options import Config
from beam_pipelines.options import parse as parse_run
from services.collect.keys import keys_of_text, read_keys
from services.collect.serving import CollectSettings, checked
from services.engage.access import engage_access
from services.engage.tracking.machines import machines_of
from services.server import Listen, check_listen, parse_listen
from todoke.preflight import check_job
from todoke.serve.banner import Shown, started_lines
from todoke.serve.feed import RecordedFeed
from todoke.serve.folder import held_folder, keys_place, made_key, made_secret
from todoke.serve.options import PARTS, ServeOptions
from todoke.serve.publishing import publish_first
from todoke.serve.supervisor import ServedPart, keep, stop_signals
from transforms.campaigns.load import compiled, read_texts
from transforms.campaigns.release import PointerError
from transforms.channels.settings import LINKS_URL, signing_keys_of
from transforms.channels.tokens import SIGNING_KEYS
from transforms.errors import WrongUse
from transforms.logs import fields
from transforms.storage.open import open_store
from transforms.users.lease import LIVE_JOB, JobLease

__all__ = ["supervise_serve"]

#: How often it is asked whether all is ready, until it is and afterwards; and how long an answer may take, in seconds.
_ASK_SECONDS, _ASK_LATER_SECONDS, _ANSWER_SECONDS = 0.2, 2.0, 5.0
#: After how long it is told that something is not ready.
FAULT_SECONDS = 20.0

_log = logging.getLogger(__name__)


def supervise_serve(options: ServeOptions, argv: Sequence[str], started: float) -> None:
    """Run everything until SIGTERM or SIGINT.

    Args:
      options: what was asked for.
      argv: in these words.
      started: when this process was, by `time.monotonic`.

    Raises:
      NotStarted: nothing was started; the text says why.
      RunFailed: a part failed too often.
    """
    listen = parse_listen(options.listen)
    compiled(read_texts(options.definitions))  # a mistake leaves no folder behind
    with held_folder(options.data):
        listen = check_listen(listen)
        shown = _shown(options, listen)
        os.environ.setdefault(LINKS_URL, listen.url)
        _check_access()
        config, _, _ = parse_run(options.job_words(options.definitions))
        try:
            release = publish_first(options.definitions, options.pointer)
        except PointerError as error:
            raise WrongUse(f"--data: {error}") from error
        _check_job(options, msgspec.structs.replace(config, definitions=release))
        definitions = compiled(release)
        print("\n".join(started_lines(options, definitions, shown)), flush=True)
        beside: list[Callable[[Callable[[], bool]], None]] = [partial(_tell_ready, shown.url, started)]
        if options.feed is not None:
            beside.append(RecordedFeed(shown.url, _some_key(options), options.feed, options.data / "feed.json").run)
        _run(options, [*argv, f"--listen={listen.host}:{listen.port}"], beside)
    # Beam and gRPC, which this process only asked for flags, take a second to end.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _shown(options: ServeOptions, listen: Listen) -> Shown:
    """Where to send and the key to show.

    Raises:
      WrongUse: others can come, and keys or the secret were not set.
      BadKeys: the keys cannot be read.
    """
    file, keys = keys_place(options, os.environ)
    own = file == options.data / "keys.json" and options.keys is None
    if not listen.is_loopback:
        if own:
            raise WrongUse(f"--listen: others can send to {options.listen}: set --keys FILE or TODOKE_WRITE_KEYS")
        for name in (SIGNING_KEYS, LINKS_URL):
            if not os.environ.get(name):
                raise WrongUse(f"--listen: others can come to {options.listen}: set {name}, for links in messages")
    key = made_key(options.data / "keys.json") if own else None
    if not os.environ.get(SIGNING_KEYS):
        os.environ[SIGNING_KEYS] = f"file:{made_secret(options.data / 'signing_keys')}"
    if file is not None:
        read_keys(file)
    file_name = str(file or "")
    checked(CollectSettings(f"queue:{options.queue}", options.store, keys=keys, key_file=file_name, otlp=options.otlp))
    return Shown(listen.url, key)


def _check_access() -> None:
    """See that what seals links, what proves who asks and a list of machines can be: no restart of a part mends that.

    Raises:
      WrongUse: it cannot; the text names the variable, and shows no secret.
    """
    try:
        signing_keys_of(os.environ)
        engage_access(os.environ)
        machines_of(os.environ)
    except ValueError as error:
        raise WrongUse(str(error)) from error


def _some_key(options: ServeOptions) -> str:
    file, keys = keys_place(options, os.environ)
    sources = read_keys(file) if file is not None else keys_of_text(keys)
    return sources[0].keys[0]


def _check_job(options: ServeOptions, config: Config) -> None:
    check_job(config)
    with closing(open_store(options.store)) as store:
        JobLease(store, LIVE_JOB).check()


def _run(options: ServeOptions, argv: Sequence[str], beside: Sequence[Callable[[Callable[[], bool]], None]]) -> None:
    debug = ["--debug"] if "--debug" in sys.argv else []  # which the command line has taken out of `argv`
    command = [sys.executable, "-m", "todoke", "serve", *argv, *debug, "--part"]
    parts = [ServedPart(name, [*command, name], options.restarts) for name in PARTS]
    stopped = threading.Event()
    with stop_signals(stopped):
        for run in beside:
            threading.Thread(target=run, args=(stopped.is_set,), daemon=True).start()
        keep(parts, options.parts, stopped)


def _tell_ready(url: str, started: float, stopped: Callable[[], bool]) -> None:
    """Say once that everything answers; and, as long as it runs, when something has not for a while, and when it does
    again. What ends is told by who starts it again.
    """
    ready = told = False
    since = time.monotonic()
    while not stopped():
        fault = _fault(url)
        if not fault:
            if not ready:
                print(f"ready after {time.monotonic() - started:.1f} s; Ctrl-C ends it", flush=True)
            elif told:
                _log.warning("ready again", extra=fields(fault=""))
            ready, told, since = True, False, time.monotonic()
        elif not told and time.monotonic() >= since + FAULT_SECONDS:
            told = True
            _log.warning("not ready for %.0f s: %s", time.monotonic() - since, fault, extra=fields(fault=fault))
        _nap(_ASK_SECONDS if not ready else _ASK_LATER_SECONDS, stopped)


def _fault(url: str) -> str:
    """What `/ready` says is wrong; empty where nothing is."""
    try:
        with urllib.request.urlopen(f"{url}/ready", timeout=_ANSWER_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            try:
                return str(json.loads(error.read())["detail"])
            except (OSError, ValueError, KeyError, TypeError):
                return f"{url}/ready answers {error.code}"
    except OSError as error:
        return f"nothing answers at {url}: {error}"


def _nap(seconds: float, stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not stopped() and time.monotonic() < until:
        time.sleep(min(seconds, _ASK_SECONDS))
