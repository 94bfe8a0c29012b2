"""Definitions where Beam's steps and the commands need them: read from files or a pointer, and watched.

Pointers may lie wherever Beam's file systems reach (`gs://…`). Importing Beam takes a second, and files on this machine
do not need it, so it is imported only for others.
"""

import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from transforms.campaigns.load import DefinitionsError, read_texts
from transforms.campaigns.release import PointerError, Release, Texts, read_release
from transforms.campaigns.watcher import DefinitionsWatcher
from transforms.job import Job
from transforms.segments.document import Problem, Problems

__all__ = ["Announced", "file_exists", "is_pointer", "read_definitions", "read_file", "watcher_of", "write_file"]


#: How long a file that is elsewhere may take to be read, in seconds.
PATIENCE_SECONDS = 30.0
_Answer = TypeVar("_Answer")


class _Watchers:
    """What a job watches, by pointer. Safe for threads."""

    def __init__(self) -> None:
        self._known: dict[str, DefinitionsWatcher] = {}
        self._lock = threading.Lock()

    def of(self, source: Release, pointer: str) -> DefinitionsWatcher:
        with self._lock:
            known = self._known.get(pointer)
            if known is None:
                known = self._known[pointer] = DefinitionsWatcher(source, read_file)
            elif known.now().release < source.number:
                known.poll()
            known.start()
            return known

    def close(self) -> None:
        with self._lock:
            for each in self._known.values():
                each.stop()


def is_pointer(place: str) -> bool:
    """Whether definitions are named by a pointer, and not a file or folder of them."""
    return place.endswith(".json")


def read_definitions(place: str) -> Texts | Release:
    """Definitions from a file, a folder, or a pointer.

    Raises:
      DefinitionsError: they cannot be read. Mistakes in them are found by `compiled`.
    """
    if not is_pointer(place):
        return read_texts(place)
    try:
        release, _ = read_release(place, read_file)
    except PointerError as error:
        problems = Problems()
        problems.note(Problem(place, 1, "", str(error)))
        raise DefinitionsError(problems) from error
    return release


def watcher_of(source: Texts | Release, job: Job) -> DefinitionsWatcher:
    """The definitions of a step, the same for all steps of a job in one process; they are watched until it is closed.

    Raises:
      DefinitionsError: `source` has mistakes.
    """
    if not isinstance(source, Release) or source.pointer is None:
        return DefinitionsWatcher(source)
    return job.part(_Watchers).of(source, source.pointer)


class Announced:
    """Whether events of a name may concern no user, by the definitions as they are now."""

    def __init__(self, definitions: Texts | Release, job: Job | None = None) -> None:
        self._definitions = definitions
        self._job = job or Job()
        self._watcher: DefinitionsWatcher | None = None

    def __call__(self, name: str) -> bool:
        """Whether a campaign waits for such events."""
        if self._watcher is None:
            self._watcher = watcher_of(self._definitions, self._job)
        return self._watcher.now().routes.is_announcement(name)

    def __reduce__(self) -> tuple[type["Announced"], tuple[Texts | Release, Job]]:
        """Pickle the definitions; a worker watches them by itself."""
        return Announced, (self._definitions, self._job)


def read_file(place: str) -> bytes:
    """A file's content; `place` is a path or a URL of Beam's file systems.

    Raises:
      PointerError: it cannot be read.
    """
    try:
        if "://" not in place:
            return Path(place).read_bytes()
        return _within_patience(lambda: _read_far(place))
    except _failures(place) as error:
        raise PointerError(f"{place} cannot be read: {_said(error)}") from error


def file_exists(place: str) -> bool:
    """Whether there is such a file.

    Raises:
      PointerError: nobody can say.
    """
    try:
        if "://" not in place:
            return Path(place).exists()
        return _within_patience(lambda: bool(_file_systems().exists(place)))
    except _failures(place) as error:
        raise PointerError(f"{place} cannot be read: {_said(error)}") from error


def write_file(place: str, data: bytes) -> None:
    """Write a file whole: a reader sees the old one or the new one.

    Raises:
      PointerError: it cannot be written.
    """
    try:
        if "://" not in place:
            _replace(Path(place), data)
            return
        # An object appears when it is closed, and not before.
        with _file_systems().create(place, "application/json", "uncompressed") as file:
            file.write(data)
    except _failures(place) as error:
        raise PointerError(f"{place} cannot be written: {_said(error)}") from error


def _read_far(place: str) -> bytes:
    with _file_systems().open(place, compression_type="uncompressed") as file:
        return bytes(file.read())


def _within_patience(call: Callable[[], _Answer]) -> _Answer:
    """What a call says, if it says it in time: the client of Cloud Storage looks for a network for two minutes.

    Raises:
      TimeoutError: it does not.
    """
    done: Future[_Answer] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits for it
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return done.result(PATIENCE_SECONDS)
    except TimeoutError as error:
        if done.done():
            raise
        raise TimeoutError(f"no answer in {PATIENCE_SECONDS:g} s: is there a network?") from error


def _said(error: Exception) -> str:
    from transforms.account import google_fault  # noqa: PLC0415 - only where Google's clients are

    return google_fault(error)


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _file_systems() -> Any:
    from apache_beam.io.filesystems import FileSystems  # noqa: PLC0415 - see the module's docstring

    return FileSystems


def _failures(place: str) -> tuple[type[Exception], ...]:
    """What reading and writing there may raise."""
    if "://" not in place:
        return (OSError,)
    from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415 - only where it may be raised
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    return OSError, ValueError, GoogleAPIError, GoogleAuthError
