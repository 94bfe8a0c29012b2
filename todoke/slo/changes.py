"""What changed in some time: publications of definitions, and starts of the live job."""

from transforms.campaigns.differences import differences
from transforms.campaigns.load import DefinitionsError, compiled
from transforms.campaigns.release import Release
from transforms.campaigns.transforms import read_definitions
from transforms.events.times import write_time
from transforms.segments.values import SECOND
from transforms.storage.reader import Reader

__all__ = ["changes_between", "second_text"]


def changes_between(reader: Reader, place: str, start: int, end: int) -> list[str]:
    """In sentences, the oldest first. Definitions that are files have no history here.

    Raises:
      StoreError: the store cannot be read.
    """
    found: list[tuple[int, str]] = []
    source = read_definitions(place)
    if isinstance(source, Release):
        found += [each for each in _publications(source) if start <= each[0] < end]
    lease = reader.read_lease()
    if lease is not None and start <= lease.since < end:
        found.append((lease.since, f"{lease.job} began on {lease.host.partition('/')[0]}"))
    said = [f"{second_text(at)}: {text}" for at, text in sorted(found)]
    if isinstance(source, Release):
        said.append("of older publications the pointer keeps those that asked something else: version control has all")
    else:
        said.append("definitions are files, not a pointer: their version control says what changed")
    return said


def second_text(at: int) -> str:
    """A time to the second, as people write it."""
    return write_time(at - at % SECOND)


def _publications(release: Release) -> list[tuple[int, str]]:
    """Each revision that the pointer keeps, with what it changed of the one before."""
    found = []
    revisions = release.revisions
    for place, revision in enumerate(revisions):
        text = f"revision {revision.definitions_hash} was published"
        if place + 1 < len(revisions):
            text += _changed(revisions[place + 1].texts, revision.texts)
        found.append((revision.published, text))
    return found


def _changed(old: tuple[tuple[str, str], ...], new: tuple[tuple[str, str], ...]) -> str:
    try:
        changed = differences(compiled(old), compiled(new))
    except DefinitionsError:
        return ", after one that this version cannot read"
    named = [
        *(f"segment {each.id} {each.kind}" for each in changed.segments if each.kind != "unchanged"),
        *(f"campaign {each.id} {each.kind}" for each in changed.campaigns if each.kind != "unchanged"),
        *(f"service level {each.id} {each.kind}" for each in changed.slos),
        *(f"policy {name} changed" for name in changed.policies),
    ]
    return f": {', '.join(named)}" if named else ""
