"""`todoke diff`: what changes between two definitions."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from todoke.terminal import json_text, print_plain
from transforms.campaigns.differences import (
    UNTIL_SEEDED,
    CampaignChange,
    Differences,
    SegmentChange,
    counted_text,
    differences,
)
from transforms.campaigns.load import compiled
from transforms.campaigns.transforms import read_definitions

__all__ = ["diff"]

_SIGNS = {"added": "+", "removed": "-", "kept": " ", "unchanged": " ", "changed": "~", "renamed": "="}


def diff(old: str, new: str, *, json: bool) -> None:
    """Print what changes from the definitions `old` to `new`.

    Raises:
      DefinitionsError: one of them cannot be read, or has mistakes.
    """
    found = differences(compiled(read_definitions(old)), compiled(read_definitions(new)))
    if json:
        print(json_text(_as_json(found)))
    else:
        _print(found)


def _as_json(found: Differences) -> dict[str, object]:
    leaves = [{**msgspec.to_builtins(leaf), "key": f"{leaf.key:016x}"} for leaf in found.leaves]
    changes = {"segments": found.segments, "campaigns": found.campaigns, "policies": found.policies}
    return {"leaves": leaves, **changes, "slos": found.slos}


def _print(found: Differences) -> None:
    print(counted_text(*found.counted))
    for leaf in found.leaves:
        print_plain(f"  {_SIGNS[leaf.kind]} {leaf.text}{'   (waits for a seed)' if leaf.backfill else ''}")
    for title, changes in (("segments", found.segments), ("campaigns", found.campaigns)):
        _title(title, [change.kind for change in changes])
        for change in changes:
            if change.kind != "unchanged" or change.warming is not None:
                print_plain(f"  {_SIGNS[change.kind]} {change.id}: {_change_text(change)}")
    if found.slos:
        _title("service levels", [change.kind for change in found.slos])
        for level in found.slos:
            print_plain(f"  {_SIGNS[level.kind]} {level.id}: {level.kind}")
    if found.policies:
        print(f"policies: {', '.join(found.policies)} changed")


def _title(title: str, kinds: Iterable[str]) -> None:
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(kinds).items()))
    print(f"{title}: {counts or 'none'}")


def _change_text(change: SegmentChange | CampaignChange) -> str:
    said = change.kind
    if isinstance(change, SegmentChange):
        if change.kind == "changed":
            said = "its members change"
        elif change.kind == "renamed":
            said = f"renamed, was {change.was}" if change.was is not None else "the same members"
    fields = f"{', '.join(change.fields)} changed" if change.fields else ""
    warming = "" if change.warming is None else UNTIL_SEEDED[change.warming]
    return "; ".join(part for part in (said, fields, warming) if part)
