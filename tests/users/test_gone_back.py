"""An engine that goes back to before it knew of a user: the row has what comes again, and its open sends go out."""

from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from core import MINUTE, texts_of
from shells import outcome, track, wire

from transforms.job import Job
from transforms.users.accounted.transforms import AdvanceAccounted
from transforms.users.inputs.transforms import KeyInputs

TEXTS = texts_of(
    {
        "campaigns": {
            "hello": {
                "trigger": {"event": "Ordered"},
                "steps": [{"send": "push"}],
                "reenter": "always",
                "consent": "offers",
                "max_delay": "365d",
            }
        },
        "messages": {"push": {"channel": "push", "title": "Hello"}},
    }
)
TOPIC = "projects/proj-x/topics/control"


def run(folder: Path, url: str, events: list[Any]) -> Any:
    """A job that knows nothing but the store."""
    folder.mkdir()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        keyed = pipeline | beam.Create(events, reshuffle=False) | "KeyInputs" >> KeyInputs()
        wire(lambda: AdvanceAccounted(TEXTS, url, TOPIC, Job()), keyed, folder)
    return outcome(folder, url)


def test_a_send_of_a_forgotten_time_goes_out_when_its_message_comes_again(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 's.db'}"
    registered = track("Viewed", 0)
    ordered = track("Ordered", MINUTE)
    first = run(tmp_path / "1", url, [registered, ordered])
    assert len(first.sends) == 1
    again = run(tmp_path / "2", url, [ordered])
    assert [send.id for send in again.sends] == [send.id for send in first.sends]


def test_a_later_row_stands_over_one_of_a_forgotten_time(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 's.db'}"
    first = run(tmp_path / "1", url, [track("Viewed", 0, "m1")])
    later = run(tmp_path / "2", url, [track("Viewed", MINUTE, "m2")])
    assert later.users["u1"].version > first.users["u1"].version + 1
