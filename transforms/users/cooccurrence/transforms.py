"""Recommendations of all users, from messages into a store, on any runner."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

import apache_beam as beam
import polars as pl
from apache_beam.typehints import with_input_types, with_output_types

from transforms.campaigns.load import Texts, compiled
from transforms.campaigns.recommend import Recommend
from transforms.campaigns.release import Release
from transforms.campaigns.transforms import Announced
from transforms.events.sources import ReceivedMessage
from transforms.segments.columns.layout import Prepared
from transforms.storage.transforms import StoreDoFn
from transforms.users.cooccurrence.counting import (
    Question,
    lists_of_pairs,
    lists_of_tops,
    question_of,
    summed_tops,
)
from transforms.users.cooccurrence.writing import write_lists
from transforms.users.prepare.spill import divided
from transforms.users.prepare.transforms import AskParts

__all__ = ["WriteRecommendations", "asked_by"]

#: The part of what is counted of segments; others are parts of products.
_TOPS = -1


def asked_by(definitions: Texts | Release, as_of: int) -> Question:
    """What definitions ask, which have a section `recommend`."""
    found = compiled(definitions)
    assert found.recommend is not None
    return question_of(found, found.recommend, as_of)


class WriteRecommendations(beam.PTransform):
    """Count which products the same users have, and write lists to a store, which nobody follows yet.

    The result is counts by name: how messages ended (`OUTCOMES` of `users.user`, without duplicates), and `lists`.

    Args:
      definitions: what is asked.
      as_of: what arrived later does not count; microseconds UTC.
      made: the name of the run, microseconds UTC.
      parts: by how many users and products are divided; a worker's memory follows the size of one.
      store: URL of the store.
    """

    def __init__(self, definitions: Texts | Release, as_of: int, made: int, parts: int, store: str) -> None:
        super().__init__()
        self.definitions, self.as_of, self.made, self.parts, self.store = definitions, as_of, made, parts, store

    def expand(self, messages: beam.PCollection[ReceivedMessage]) -> Any:
        """Count by parts of the users, add up by parts of the products, and write."""
        question = asked_by(self.definitions, self.as_of)
        count = _Count(self.definitions, self.as_of, self.parts)
        announced = Announced(self.definitions)
        ask = AskParts(question.needs, self.as_of, self.parts, count, tuple[int, bytes], announced=announced)
        asked = messages | "AskParts" >> ask
        counts = asked["answers"]
        tops = (
            counts
            | "OfSegments" >> beam.Filter(_is_of_segments)
            | "TogetherOfSegments" >> beam.GroupByKey()
            | "SumOfSegments" >> beam.MapTuple(_sum_tops)
        )
        write = (self.store, question.asked, self.made)
        of_segments = tops | "WriteOfSegments" >> beam.ParDo(_WriteTops(*write))
        of_products = (
            counts
            | "OfProducts" >> beam.Filter(_is_of_products)
            | "TogetherOfProducts" >> beam.GroupByKey()
            | "WriteOfProducts" >> beam.ParDo(_WritePairs(*write), beam.pvalue.AsIter(tops))
        )
        ended = (asked["counts"], of_segments, of_products) | "Counts" >> beam.Flatten()
        return ended | "Sum" >> beam.CombinePerKey(sum)


class _Count:
    """Counts of the users of a part, as Parquet by parts of products."""

    def __init__(self, definitions: Texts | Release, as_of: int, parts: int) -> None:
        self.definitions, self.as_of, self.parts = definitions, as_of, parts

    def __call__(self, _part: int, prepared: Prepared) -> Iterator[tuple[int, bytes]]:
        question = asked_by(self.definitions, self.as_of)
        for partition in prepared.partitions:
            tops, pairs = question.count(prepared, partition)
            yield _TOPS, _blob(tops)
            for frame in pairs:
                for product_part, some in divided(frame, self.parts):
                    yield product_part, _blob(some)


def _is_of_segments(counted: tuple[int, bytes]) -> bool:
    return counted[0] == _TOPS


def _is_of_products(counted: tuple[int, bytes]) -> bool:
    return counted[0] != _TOPS


def _sum_tops(_part: int, blobs: Iterable[bytes]) -> bytes:
    return _blob(summed_tops(map(_frame, blobs)))


@with_input_types(bytes)
@with_output_types(tuple[str, int])
class _WriteTops(StoreDoFn):
    def __init__(self, store: str, asked: Recommend, made: int) -> None:
        super().__init__(store)
        self._asked, self._made = asked, made

    def process(self, tops: bytes) -> Iterator[tuple[str, int]]:
        yield "lists", write_lists(self._store, lists_of_tops(_frame(tops), self._asked, self._made))


@with_output_types(tuple[str, int])
class _WritePairs(StoreDoFn):
    def __init__(self, store: str, asked: Recommend, made: int) -> None:
        super().__init__(store)
        self._asked, self._made = asked, made

    def process(self, element: tuple[int, Iterable[bytes]], tops: Iterable[bytes]) -> Iterator[tuple[str, int]]:
        pairs = pl.concat([_frame(blob) for blob in element[1]]).lazy()
        found = lists_of_pairs(pairs, summed_tops(map(_frame, tops)), self._asked, self._made)
        yield "lists", write_lists(self._store, found)


def _blob(rows: pl.DataFrame) -> bytes:
    held = BytesIO()
    rows.write_parquet(held, compression="lz4")
    return held.getvalue()


def _frame(blob: bytes) -> pl.DataFrame:
    return pl.read_parquet(BytesIO(blob))
