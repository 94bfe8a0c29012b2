"""Beam's shuffles of a job whose steps are all in one process: on its disk, and not in its memory.

FnApiRunner holds whatever goes from one stage to the next, until the job has ended. Steps that end in a `Scratch`, and
steps that begin with one, hand over nothing.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import apache_beam as beam
import msgspec

from transforms.job import Job
from transforms.storage.scratch.records import Scratch

__all__ = ["FlattenOnDisk", "GroupOnDisk"]

_encode = msgspec.msgpack.Encoder().encode


class GroupOnDisk(beam.PTransform):
    """What Beam's Flatten and GroupByKey do with collections of (text, bytes), in the order of keys.

    Each key comes once, with its values sorted.

    Args:
      job: whose steps they are, all in this process.
      name: of what is grouped, one a graph.
    """

    def __init__(self, job: Job, name: str) -> None:
        super().__init__()
        self._job = job
        self._name = name

    def expand(self, keyed: Any) -> beam.PCollection[Any]:
        """Write all, and then read."""
        grouped = tuple[str, list[bytes]]
        return _through(keyed, _Put(self._job, self._name), _Groups(self._job, self._name), grouped)


class FlattenOnDisk(beam.PTransform):
    """What Beam's Flatten does, in the order in which elements come.

    Args:
      job, name: as for `GroupOnDisk`.
      type_: of the elements, which msgspec can encode.
    """

    def __init__(self, job: Job, name: str, type_: Any) -> None:
        super().__init__()
        self._job = job
        self._name = name
        self._type = type_

    def expand(self, collections: Any) -> beam.PCollection[Any]:
        """Write all, and then read."""
        read = _Each(self._job, self._name, self._type)
        return _through(collections, _Append(self._job, self._name), read, self._type)


def _through(collections: tuple[beam.PCollection[Any], ...], write: beam.DoFn, read: beam.DoFn, type_: Any) -> Any:
    """Reading begins when everything is written: what writing gives, which is nothing, comes along beside it."""
    written = [each | f"Write{number}" >> beam.ParDo(write) for number, each in enumerate(collections)]
    nothing = written | "Written" >> beam.Flatten()
    reading = beam.ParDo(read, beam.pvalue.AsIter(nothing)).with_output_types(type_)
    return collections[0].pipeline | "Begin" >> beam.Impulse() | "Read" >> reading


class _OnDisk(beam.DoFn):
    def __init__(self, job: Job, name: str) -> None:
        self._job = job
        self._name = name

    def start_bundle(self) -> None:
        """Find what the writing and the reading step share."""
        self._scratch = self._job.part(Scratch, self._name)


class _Put(_OnDisk):
    def process(self, keyed: tuple[str, bytes]) -> None:
        self._scratch.put(*keyed)


class _Append(_OnDisk):
    def process(self, element: Any) -> None:
        self._scratch.append(_encode(element))


class _Groups(_OnDisk):
    def process(self, _begin: bytes, _written: Iterable[None]) -> Iterator[tuple[str, list[bytes]]]:
        for key, records in groupby(self._scratch.take(), itemgetter(0)):
            yield key, [data for _, data in records]


class _Each(_OnDisk):
    def __init__(self, job: Job, name: str, type_: Any) -> None:
        super().__init__(job, name)
        self._type = type_

    def start_bundle(self) -> None:
        super().start_bundle()
        self._decode = msgspec.msgpack.Decoder(self._type).decode

    def process(self, _begin: bytes, _written: Iterable[None]) -> Iterator[Any]:
        for _, data in self._scratch.take():
            yield self._decode(data)
