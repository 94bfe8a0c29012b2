"""The cost of weighing values in Beam's cache of state: the unbounded shell on FnApiRunner, from a file of events.

    python -m bench.state_cache [--events N] [--users N] [--runs N]

The events come one an element, and four of a user together. Each figure is of whole processes, with a tenth of N and
with N events: what the rest took. `stock` is Beam as it is, `quick` is with `weigh_quickly`, as workers run it.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from bench.events import write_events
from bench.peers import DEFINITIONS
from transforms.campaigns.load import read_texts
from transforms.events.decode import decode
from transforms.storage.state_cache import transforms as state_cache
from transforms.users.inputs.transforms import Keyed
from transforms.users.transforms import AdvanceUnbounded
from transforms.users.user import Input, encode_inputs

#: The goal of the remedy: this many times the stock figure.
LEAST = 2.5


class Key(beam.DoFn):
    """Events of a file by user: four together, as a bundle of a live source may have them, or one by one."""

    def __init__(self, *, together: bool) -> None:
        self.together = together

    def process(self, path: str) -> Iterator[Keyed]:
        """Read the file."""
        inputs: dict[str, list[Input]] = {}
        with Path(path).open("rb") as lines:
            for line in lines:
                event, _ = decode(line)
                if self.together:
                    inputs.setdefault(str(event.user), []).append(event)
                else:
                    yield str(event.user), encode_inputs([event])
        for user, items in inputs.items():
            for start in range(0, len(items), 4):
                yield user, encode_inputs(items[start : start + 4])


def once(path: str, grouping: str, weighing: str) -> None:
    """One run, as a process of its own."""
    if weighing == "stock":
        state_cache.CHECKED = frozenset()
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"], save_main_session=False)) as pipeline:
        keys = beam.ParDo(Key(together=grouping == "grouped")).with_output_types(Keyed)
        keyed = pipeline | "Path" >> beam.Create([path]) | "Key" >> keys
        _: Any = keyed | "Advance" >> AdvanceUnbounded(read_texts(str(DEFINITIONS)), None)


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--events", type=int, default=20_000)
    flags.add_argument("--users", type=int, default=2_000)
    flags.add_argument("--runs", type=int, default=3)
    flags.add_argument("--once", nargs=3, metavar=("PATH", "GROUPING", "WEIGHING"), help=argparse.SUPPRESS)
    given = flags.parse_args()
    if given.once:
        once(*given.once)
        return
    seconds: dict[tuple[str, str, int], list[float]] = {}
    sizes = (given.events // 10, given.events)
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            write_events(Path(folder) / f"{size}.jsonl", size, given.users)
        for _ in range(given.runs):
            for size in sizes:
                for grouping in ("grouped", "single"):
                    for weighing in ("stock", "quick"):
                        arguments = ["--once", f"{folder}/{size}.jsonl", grouping, weighing]
                        started = time.perf_counter()
                        subprocess.run([sys.executable, "-m", "bench.state_cache", *arguments], check=True)
                        seconds.setdefault((grouping, weighing, size), []).append(time.perf_counter() - started)
    show(seconds, *sizes)


def show(seconds: dict[tuple[str, str, int], list[float]], small: int, large: int) -> None:
    """Print the table, of medians."""
    print(f"{small:,} and {large:,} events; 20 segments, 3 campaigns; the unbounded shell on FnApiRunner, no store")
    print(f"{'events/s':12}{'stock':>10}{'quick':>10}{'ratio':>8}   (at least {LEAST} is asked)")
    for grouping in ("grouped", "single"):
        speed = {
            weighing: (large - small)
            / (
                statistics.median(seconds[grouping, weighing, large])
                - statistics.median(seconds[grouping, weighing, small])
            )
            for weighing in ("stock", "quick")
        }
        print(f"{grouping:12}{speed['stock']:10,.0f}{speed['quick']:10,.0f}{speed['quick'] / speed['stock']:8.2f}")


if __name__ == "__main__":
    main()
