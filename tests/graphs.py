"""What a graph holds: its labels, and all that it carries, unpacked."""

import base64
import binascii
import bz2
import lzma
import re
import zlib
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.portability.api import beam_runner_api_pb2 as RunnerApi

__all__ = ["carried", "do_fns", "labels", "schema"]

SHUFFLES = ("beam:transform:group_by_key:v1", "beam:transform:reshuffle:v1")
PAR_DO = "beam:transform:pardo:v1"


def labels(proto: RunnerApi.Pipeline) -> list[str]:
    """The names of the steps, in order."""
    return sorted(step.unique_name for step in proto.components.transforms.values() if step.unique_name)


def do_fns(proto: RunnerApi.Pipeline) -> dict[str, bytes]:
    """What the steps do, pickled, by label."""
    return {
        step.unique_name: RunnerApi.ParDoPayload.FromString(step.spec.payload).do_fn.payload
        for step in proto.components.transforms.values()
        if step.spec.urn == PAR_DO
    }


def carried(proto: RunnerApi.Pipeline) -> bytes:
    """All that a graph carries, unpacked."""
    parts = [proto.SerializeToString(), *(step.spec.payload for step in proto.components.transforms.values())]
    parts += [coder.spec.payload for coder in proto.components.coders.values()]
    parts += [environment.payload for environment in proto.components.environments.values()]
    return b"\0".join(found for part in parts for found in _inside(part))


def schema(pipeline: beam.Pipeline) -> list[str]:
    """One line for each state, timer and shuffle of a graph: step, kind, id and what its coder or clock is."""
    components = pipeline.to_runner_api().components

    def coder(name: str) -> str:
        found = components.coders[name]
        parts = ", ".join(coder(part) for part in found.component_coder_ids)
        urn = found.spec.urn.removeprefix("beam:coder:").removesuffix(":v1")
        return f"{urn}({parts})" if parts else urn

    def input_of(step: RunnerApi.PTransform) -> str:
        (name,) = step.inputs.values()
        collection = components.pcollections[name]
        windows = components.windowing_strategies[collection.windowing_strategy_id]
        return f"{coder(collection.coder_id)} in {coder(windows.window_coder_id)}"

    lines = []
    for step in components.transforms.values():
        if step.spec.urn in SHUFFLES:
            lines.append(f"{step.unique_name}: shuffle: {input_of(step)}")
        if step.spec.urn != "beam:transform:pardo:v1":
            continue
        done = RunnerApi.ParDoPayload.FromString(step.spec.payload)
        if done.state_specs or done.timer_family_specs:
            lines.append(f"{step.unique_name}: keyed input: {input_of(step)}")
        for name, state in done.state_specs.items():
            kind = state.WhichOneof("spec")
            spec = getattr(state, kind)
            inner = spec.element_coder_id if kind == "bag_spec" else spec.coder_id
            lines.append(f"{step.unique_name}: state {name}: {kind.removesuffix('_spec')} of {coder(inner)}")
        for name, timer in done.timer_family_specs.items():
            clock = RunnerApi.TimeDomain.Enum.Name(timer.time_domain)
            lines.append(f"{step.unique_name}: timer {name}: {clock}, {coder(timer.timer_family_coder_id)}")
    return sorted(lines)


def _inside(content: bytes, depth: int = 4) -> Iterator[bytes]:
    """Bytes, and all that stands in them by base64 or compressed: as pickled steps do."""
    yield content
    if not depth:
        return
    for run in re.findall(rb"[A-Za-z0-9+/=\n]{16,}", content):
        try:
            yield from _inside(base64.b64decode(run + b"=" * (-len(run) % 4)), depth - 1)
        except binascii.Error:
            continue
    for open_it in (bz2.decompress, zlib.decompress, lzma.decompress):
        try:
            yield from _inside(open_it(content), depth - 1)
        except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError):
            continue
