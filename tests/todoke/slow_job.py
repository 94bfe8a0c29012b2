"""A graph on Prism whose stateful step is slow: counts by key, told by a timer, and how long Beam waits for Prism."""

# ruff: noqa: B008 - Beam reads parameters from argument defaults

import sys
import time
from typing import Any

import apache_beam as beam
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import PortableOptions
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import TimestampedValue

from todoke.live import run_graph
from transforms.errors import RunFailed
from transforms.job import Job

KEYS, EACH = 3, 20
#: Longer than Prism waits for progress; in seconds.
SLOW = 0.15


class Count(beam.DoFn):
    """Counts what comes, slowly."""

    COUNT = ReadModifyWriteStateSpec("count", VarIntCoder())
    END = TimerSpec("end", TimeDomain.WATERMARK)

    def process(
        self,
        element: tuple[str, int],
        count: Any = beam.DoFn.StateParam(COUNT),
        end: Any = beam.DoFn.TimerParam(END),
    ) -> None:
        before = count.read() or 0
        time.sleep(SLOW)
        count.write(before + 1)
        end.set(KEYS * EACH)

    @on_timer(END)
    def over(self, key: str = beam.DoFn.KeyParam, count: Any = beam.DoFn.StateParam(COUNT)) -> None:
        say(f"{key}: {count.read()}")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def timed(pair: tuple[str, int]) -> TimestampedValue:
    return TimestampedValue(pair, pair[1])


def build(pipeline: beam.Pipeline) -> None:
    say(f"timeout: {pipeline.options.view_as(PortableOptions).job_server_timeout}")
    pairs = [(f"k{number % KEYS}", number) for number in range(KEYS * EACH)]
    created = pipeline | "Pairs" >> beam.Create(pairs, reshuffle=False)
    _ = created | "Timed" >> beam.Map(timed).with_output_types(tuple[str, int]) | "Count" >> beam.ParDo(Count())


if __name__ == "__main__":
    try:
        run_graph(build, Job())
    except RunFailed as error:
        say(str(error))
