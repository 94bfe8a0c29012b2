"""What a graph holds: its labels, and all that it carries, unpacked."""

import base64
import binascii
import bz2
import lzma
import re
import zlib
from collections.abc import Iterator

from apache_beam.portability.api import beam_runner_api_pb2 as RunnerApi

__all__ = ["carried", "do_fns", "labels"]

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
