"""The demo's real orders: every segment has the same members by columns as by rows."""

import json
from pathlib import Path

from columns import columnar
from core import decode_all, known, run_bounded

from todoke.demo.command import DEFINITIONS
from todoke.demo.orders import write_events
from transforms.campaigns.load import load

#: Out of 23,570, spread evenly over the data.
CUSTOMERS = 1_500


def test_the_demos_segments_have_the_same_members_by_columns(tmp_path: Path) -> None:
    write_events(tmp_path / "events.jsonl", customers=CUSTOMERS)
    messages = [json.loads(line) for line in (tmp_path / "events.jsonl").read_bytes().splitlines()]
    events, definitions = decode_all(messages), load(DEFINITIONS)
    newest = max(event.arrival for event in events)
    with_members: set[str] = set()
    for as_of in (newest, newest - 200 * 86_400_000_000, newest - 480 * 86_400_000_000):
        users, _ = run_bounded(events, definitions, as_of)
        found = columnar(messages, definitions, as_of)
        assert found == known(users)
        with_members |= {name for segments in found.values() for name in segments}
    assert with_members == set(definitions.segments)
