"""The newest definitions that a process knows: those it was launched with, and what their pointer has named since.

One thread for each pointer looks at it, compiles what is new beside the work, and swaps it in whole. If anything is
wrong with the pointer, the definitions stay as they were.
"""

import logging
import threading
from collections.abc import Callable

import msgspec

from transforms.campaigns.load import Definitions, DefinitionsError, compiled
from transforms.campaigns.release import OlderDefinitions, PointerError, Release, Texts, decode_pointer, read_release

__all__ = ["DefinitionsWatcher"]

_log = logging.getLogger(__name__)


class DefinitionsWatcher:
    """The definitions as this process knows them; of a release with a pointer, kept up to date once `start` was called.

    Args:
      source: what the job was launched with.
      read: reads a file; needed where there is a pointer.

    Raises:
      DefinitionsError: `source` has mistakes.
    """

    def __init__(self, source: Texts | Release, read: Callable[[str], bytes] | None = None) -> None:
        self._release = source if isinstance(source, Release) and source.pointer is not None else None
        self._read = read
        self._definitions = compiled(source)
        self._data = b""
        self._complaint = ""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look at the pointer from time to time, until `stop` or the end of the process."""
        if self._release is not None and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._run, name="definitions", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Look at it no longer."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def now(self) -> Definitions:
        """The newest definitions. A thread that died of an unforeseen error (Python printed it) is started again."""
        if self._thread is not None and not self._stopped.is_set():
            self.start()
        return self._definitions

    def at_least(self, release: int) -> Definitions:
        """The newest definitions, from a release that is no older than `release`.

        The pointer is read for it, since the release was read from there before.

        Raises:
          OlderDefinitions: it is not there (yet); whoever asked may try again.
        """
        if self._definitions.release < release:
            self.poll()
        if self._definitions.release < release:
            raise OlderDefinitions(release, self._definitions.release)
        return self._definitions

    def poll(self) -> None:
        """Look at the pointer once. What is wrong with it is logged, once until it changes."""
        with self._lock:
            try:
                newer = self._newer()
            except (PointerError, DefinitionsError) as error:
                self._complain(f"the definitions stay those of release {self._definitions.release}: {error}")
                return
            self._complain("")
            if newer is not None:
                self._definitions = newer
                _log.info("definitions are those of release %s, revision %s", newer.release, newer.definitions_hash)

    def _newer(self) -> Definitions | None:
        """What the pointer names, if it is newer than what is known."""
        known = self._release
        if known is None or known.pointer is None or self._read is None:
            return None
        data = self._read(known.pointer)
        if data == self._data:
            return None
        named, _ = decode_pointer(data)
        if named.number < known.number:
            raise PointerError(f"{known.pointer} went back to release {named.number}: publish again")
        if named.number > known.number:
            release, data = read_release(known.pointer, self._read, known)
            release = msgspec.structs.replace(release, every=known.every, whole=known.whole)
            definitions = compiled(release)
            self._release, self._data = release, data
            return definitions
        if named.revisions[0].definitions_hash != known.revisions[0].definitions_hash:
            raise PointerError(f"{known.pointer} names another revision as release {named.number}: publish again")
        self._data = data
        return None

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            self._complaint = complaint
            if complaint:
                _log.warning("%s", complaint)

    def _run(self) -> None:
        assert self._release is not None
        while not self._stopped.wait(self._release.every):
            self.poll()
