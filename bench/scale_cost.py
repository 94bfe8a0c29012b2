"""What a load costs by line, a month of 730 hours, in US dollars: formulas with what was measured and what has a price.

Prices are the constants of Apache Beam for us-central1. For Pub/Sub it is its price list of 20 September 2026. Of a
node of Bigtable none was found with a source: nodes are counted.
"""

from typing import NamedTuple

from apache_beam.testing.load_tests.dataflow_cost_consts import (
    MEM_PER_GB_HR_STREAMING,
    PD_PER_GB_HR,
    SHUFFLE_PER_GB_STREAMING,
    VCPU_PER_HR_STREAMING,
)

from bench.scale_sizes import Sizes

__all__ = ["Costs", "costs"]

HOURS, SECONDS = 730, 730 * 3600
#: https://cloud.google.com/pubsub/pricing, 2026-09-20: dollars a TiB in or out; the first 10 GiB are free.
PUBSUB_A_TIB, PUBSUB_FREE = 40.0, 10 * 2**30
#: https://cloud.google.com/bigtable/docs/performance: rows of 1 kB a second of an SSD node, and what it may be kept at.
WRITES_A_NODE, READS_A_NODE, FULL = 14_000, 17_000, 0.6
#: What Beam itself takes of a processor for an input of a stateful step, in microseconds: `bench.state_cache`, one
#: event an element, less the core (`bench.run`).
BEAM_MICROS = 150.0
#: How full workers are on average, and the gigabytes and disk of one with four processors (n2-standard-4).
BUSY, WORKER_GB, WORKER_DISK = 0.5, 16, 30
#: Days for which events are kept. A node of Bigtable holds 5 TB on SSD.
KEPT_DAYS, NODE_BYTES = 90, 5e12


class Costs(NamedTuple):
    """What so many events a second take. Dollars a month, but for what says otherwise."""

    rate: float
    cores: float
    workers: int
    vcpu: float
    memory: float
    disks: float
    streaming_engine: float
    pubsub: float
    nodes: float
    stored_bytes: float

    @property
    def priced(self) -> float:
        """All that has a price."""
        return self.vcpu + self.memory + self.disks + self.streaming_engine + self.pubsub


def costs(rate: float, sizes: Sizes, users: int, *, reread: float = 1.0) -> Costs:
    """By line.

    Args:
      rate: events a second, on average.
      sizes: what an event costs.
      users: who have rows.
      reread: the share of events whose user's row is read again.
    """
    inputs = sum(sizes.steps[kind] for kind in ("event", "forwarded", "wake", "control"))
    ours = sum(sizes.steps[kind] * sizes.micros[kind] for kind in ("event", "forwarded", "wake", "control"))
    micros = ours + inputs * BEAM_MICROS + sizes.sends * sizes.micros.get("send", 0.0)
    cores = rate * micros / 1e6 / BUSY
    workers = max(1, -int(-cores // 4))
    # State is read and written; a row that was read again travels with its input.
    moved = sizes.shuffle + 2 * sizes.state_written + reread * sizes.state + sizes.sends * 2 * sizes.send
    published = rate * SECONDS * (sizes.wire + sizes.control * sizes.control_bytes)
    writes, reads = rate * sizes.writes, rate * (sizes.reads + reread)
    load = (writes * _weight(sizes) / WRITES_A_NODE + reads * sizes.state / 1000 / READS_A_NODE) / FULL
    stored = users * sizes.calls["users write"][1] + rate * 86_400 * KEPT_DAYS * sizes.calls["events write"][1]
    return Costs(
        rate,
        cores,
        workers,
        workers * 4 * HOURS * VCPU_PER_HR_STREAMING,
        workers * WORKER_GB * HOURS * MEM_PER_GB_HR_STREAMING,
        workers * WORKER_DISK * HOURS * PD_PER_GB_HR,
        rate * SECONDS * moved / 1e9 * SHUFFLE_PER_GB_STREAMING,
        max(0.0, 2 * published - PUBSUB_FREE) / 2**40 * PUBSUB_A_TIB,
        max(1.0, load, stored / NODE_BYTES / FULL),
        stored,
    )


def _weight(sizes: Sizes) -> float:
    """A row that is written, in rows of 1 kB: none counts for less than one."""
    written = [call for name, call in sizes.calls.items() if not name.endswith(" read")]
    return sum(rows * max(1.0, size / 1000) for rows, size in written) / sum(rows for rows, _ in written)
