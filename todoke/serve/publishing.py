"""Definitions that are taken up as they are edited.

The job's own process publishes them. For a moment nothing is handed on to its steps; new conditions count what arrived
after all that was, and by then all steps have the new definitions. So an edit counts at once, and nothing falls between
two releases. What arrived before comes to known users by seeds, some seconds later.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from todoke.publish import named_from, write_release
from transforms.campaigns.load import Definitions, DefinitionsError, compiled, read_texts
from transforms.campaigns.publish import Changes, next_release
from transforms.campaigns.release import PointerError, Release, Texts, read_release
from transforms.campaigns.transforms import file_exists, read_file, watcher_of
from transforms.events.live.feed import Feeds, now
from transforms.events.plain import counted
from transforms.job import Job
from transforms.logs import fields

__all__ = ["Edited", "keep_published", "publish_first"]

_log = logging.getLogger(__name__)

#: How often files are looked at, in seconds. They are read when they have not changed from one look to the next.
LOOK_SECONDS = 0.3
_NAP = 0.1


def publish_first(definitions: str, pointer: str) -> Release:
    """Publish definitions before a job starts, if they are not published already; returns the release.

    What has arrived until now counts for new conditions by seeds.

    Raises:
      DefinitionsError: they have mistakes.
      PointerError: the pointer cannot be read or written.
    """
    _publish(_checked(read_texts(definitions), definitions), pointer, now())
    release, _ = read_release(pointer, read_file)
    return release


def keep_published(definitions: str, known: object, job: Job, stopped: Callable[[], bool]) -> None:
    """Take up changes of definitions until `stopped` says so; what is wrong with them is told, and changes nothing.

    Args:
      definitions: the file or folder.
      known: the release that the job was launched with, which names the pointer.
      job: whose steps judge users.
      stopped: says when to end.
    """
    assert isinstance(known, Release)
    assert known.pointer is not None
    began, edited = now(), Edited(definitions)
    while not stopped():
        texts = edited.look()
        if texts is not None and _are_emptied(texts, watcher_of(known, job).now()):
            _log.error("%s defines nothing any more: the definitions stay as they were", definitions)
        elif texts is not None:
            try:
                with job.part(Feeds).standing_still() as reached:
                    # Nothing that an earlier process was handed arrived after this one began.
                    changes = _publish(texts, known.pointer, max(reached, began) + 1)
                    watcher_of(known, job).poll()
            except PointerError as error:
                _log.warning("the definitions stay as they are: %s", error)
            else:
                _tell(changes)
        until = time.monotonic() + LOOK_SECONDS
        while not stopped() and time.monotonic() < until:
            time.sleep(_NAP)


class Edited:
    """Looks whether definitions were edited.

    Args:
      definitions: a file or folder. What stands there at the first look is taken as edited.
    """

    def __init__(self, definitions: str) -> None:
        self._place = definitions
        self._stamp: object = None
        self._settling: object = None
        self._files: tuple[str, ...] = ()
        self._good: Texts = ()
        self._complaint = ""

    def look(self) -> Texts | None:
        """The texts, checked, if they are other ones than before; what is wrong with them is told once."""
        stamp = _stamp(self._place, self._files)
        if stamp == self._stamp:
            return None
        if stamp != self._settling:  # an editor, or git, may be at work
            self._settling = stamp
            return None
        self._stamp = stamp
        try:
            texts = read_texts(self._place)
            self._files = tuple(name for name, _ in texts)
            named = _checked(texts, self._place) if texts != self._good else None
        except DefinitionsError as error:
            self._complain(str(error))
            return None
        if self._complaint and named is None:  # what counts already: nothing else would be said
            _log.info("that is mended; the definitions are as they were")
        self._complaint, self._good = "", texts
        return named

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            for line in complaint.splitlines():
                _log.error("%s", line)
            _log.error("the definitions stay as they were until that is mended")
        self._complaint = complaint


def _checked(texts: Texts, place: str) -> Texts:
    """Texts without mistakes, by their names in the folder. Mistakes are told with the files as they were named."""
    named = named_from(texts, Path(place))
    try:
        compiled(named)
    except DefinitionsError:
        compiled(texts)
        raise
    return named


def _are_emptied(texts: Texts, before: Definitions) -> bool:
    """Whether nothing is left of what was defined: so a file is that was just cut off to be written anew, or that a
    full disk left so. Nobody means by it that all campaigns end.
    """

    def is_nothing(found: Definitions) -> bool:
        return not (found.segments or found.campaigns or found.messages)

    return is_nothing(compiled(texts)) and not is_nothing(before)


def _stamp(place: str, files: tuple[str, ...]) -> object:
    """What changes when a file does, or when one comes or goes."""
    path = Path(place)
    found = {*files, place}
    if path.is_dir():
        found |= {str(file) for file in path.rglob("*.y*ml")}
    return tuple(sorted((name, *_stat(Path(name))) for name in found))


def _stat(path: Path) -> tuple[int, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0, 0
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _publish(texts: Texts, pointer: str, since: int) -> Changes | None:
    """Let the pointer name the texts; new conditions count from `since` on. None: it names them already."""
    before, found = read_release(pointer, read_file) if file_exists(pointer) else (None, b"")
    changes = next_release(before, texts, now(), swapped=since)
    if changes is not None:
        write_release(pointer, changes.release, found)
    return changes


def _tell(changes: Changes | None) -> None:
    if changes is None:
        return
    waiting = [*changes.changed, *changes.added]
    said = f"the definitions are those of release {changes.release.number} now"
    if waiting:
        names = ", ".join(waiting[:5]) + (f" and {len(waiting) - 5} more" if len(waiting) > 5 else "")
        said += f"; {names}: {counted(len(changes.new), 'new condition')}, to known users in some seconds"
    _log.info("%s", said, extra=fields(release=changes.release.number))
