"""Columnar evaluation as tests drive it: from plain messages to who is in what."""

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from transforms.campaigns.load import Definitions
from transforms.segments.columns.layout import needs_of
from transforms.segments.columns.memberships import USER, memberships
from transforms.segments.columns.seeds import seeds
from transforms.segments.conditions import Condition
from transforms.segments.evidence import Evidence
from transforms.segments.warming import atoms
from transforms.users.prepare.prepare import Preparation, prepare

__all__ = ["columnar", "evidence_of", "leaves_of", "prepared"]


def conditions_of(definitions: Definitions) -> dict[str, Condition]:
    """The segments' conditions."""
    return {name: segment.members for name, segment in definitions.segments.items()}


def leaves_of(definitions: Definitions) -> list[Condition]:
    """The atomic conditions in them."""
    return [atom for condition in conditions_of(definitions).values() for atom in atoms(condition)]


def prepared(history: Iterable[dict[str, Any]], definitions: Definitions, folder: Path, as_of: int) -> Preparation:
    lines = [json.dumps(message).encode() for message in history]
    return prepare(lines, needs_of(leaves_of(definitions)), folder, until=as_of, parts=2)


def columnar(
    history: Iterable[dict[str, Any]],
    definitions: Definitions,
    as_of: int | Mapping[str, int],
    until: int | None = None,
) -> dict[str, set[str]]:
    """The segments of each user, by columns; what arrived after `until` (default: `as_of`) does not count."""
    if until is None:
        assert isinstance(as_of, int)
        until = as_of
    conditions, policies = conditions_of(definitions), definitions.policies
    with tempfile.TemporaryDirectory() as folder:
        ready = prepared(history, definitions, Path(folder), until).prepared
        found = {}
        for frame in memberships(conditions, ready, as_of, policies.default_zone, policies.default_region):
            for row in frame.iter_rows(named=True):
                found[row[USER]] = {name for name in conditions if row[name]}
        return found


def evidence_of(
    history: Iterable[dict[str, Any]], definitions: Definitions, as_of: int
) -> dict[str, dict[int, Evidence]]:
    """The evidence of each user's leaves, by columns, through the bytes that go to a job."""
    decoder = msgspec.msgpack.Decoder(dict[int, Evidence])
    with tempfile.TemporaryDirectory() as folder:
        ready = prepared(history, definitions, Path(folder), as_of).prepared
        parts = seeds(leaves_of(definitions), ready)
        return {user: decoder.decode(data) for part in parts for user, data in part.encoded()}
