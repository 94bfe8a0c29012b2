"""An announcement is told to each user once, by whatever part of the users a worker has."""

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from core import START

from transforms.events.event import Event
from transforms.storage.open import open_store
from transforms.users.control import decode_control
from transforms.users.rows import user_row
from transforms.users.user import Announcement, User, encode_user
from transforms.users.way_back.transforms import Announce, AnnounceByRange

SALES = [
    Event(f"s{number}", "track", "Sale Began", START, START + number, properties={"n": number}) for number in (0, 1)
]


def write(payload: tuple[bytes, str], path: str) -> None:
    with Path(path).open("ab") as file:
        file.write(payload[0] + b"\n")


def told(announce: beam.PTransform, path: Path) -> list[tuple[str, str]]:
    """Who was told of which announcement; both transforms put out the same messages."""
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        payloads = (pipeline | beam.Create(SALES) | "Announce" >> announce).payloads
        _ = payloads | beam.Map(write, str(path))
    messages = [decode_control(line, START) for line in path.read_bytes().splitlines()] if path.exists() else []
    assert all(isinstance(item, Announcement) for _, inputs in messages for item in inputs)
    return sorted((key, item.event.id) for key, inputs in messages for item in inputs if isinstance(item, Announcement))


@pytest.mark.parametrize("users", [0, 300])
def test_each_user_is_told_once_whatever_the_ranges(url: str, tmp_path: Path, users: int) -> None:
    names = [f"u{number}" for number in range(users)] + ["~visitor"] * bool(users)
    store = open_store(url)
    store.write_users([user_row(each, encode_user(each)) for each in map(User, names)])
    store.close()
    by_range = told(AnnounceByRange(url), tmp_path / "by_range")
    assert by_range == sorted((name, sale.id) for name in names for sale in SALES)
    assert by_range == told(Announce(url), tmp_path / "at_once")
