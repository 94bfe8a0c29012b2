"""An audit by ranges of keys, each on whatever worker is free; see `users.audit`."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.typehints import with_input_types, with_output_types

from transforms.campaigns.load import Texts, compiled
from transforms.campaigns.release import Release
from transforms.storage.transforms import StoreDoFn
from transforms.storage.users import UserRange
from transforms.users.audit import Audit, audit

__all__ = ["AuditStore", "ReadRanges"]

#: Into how many ranges the users of a store are divided; a range that is tried again is read again.
RANGES = 512


class ReadRanges(beam.PTransform):
    """The users of a store as ranges of keys, spread among workers."""

    def __init__(self, store: str, many: int = RANGES) -> None:
        super().__init__()
        self.store, self.many = store, many

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[UserRange]:
        """Ask the store once."""
        asked = begin | "Many" >> beam.Create([self.many]) | "Ranges" >> beam.ParDo(_Ranges(self.store))
        return asked | "Spread" >> beam.Reshuffle()


class AuditStore(beam.PTransform):
    """Compare all users of a store; the result is one `Audit`. Nothing is written.

    Args:
      store: URL of the store.
      definitions: those of its job, as it has them now.
      as_of: when users are judged who have not gone on since; microseconds UTC.
    """

    def __init__(self, store: str, definitions: Texts | Release, as_of: int) -> None:
        super().__init__()
        self.store, self.definitions, self.as_of = store, definitions, as_of

    def expand(self, begin: beam.pvalue.PBegin) -> Any:
        """Compare the users of each range, and add up."""
        compare = _Compare(self.store, self.definitions, self.as_of)
        found = begin | "Users" >> ReadRanges(self.store) | "Compare" >> beam.ParDo(compare)
        return found | "Sum" >> beam.CombineGlobally(_sum)


@with_input_types(int)
@with_output_types(UserRange)
class _Ranges(StoreDoFn):
    makes_store = False

    def process(self, many: int) -> Iterator[UserRange]:
        yield from self._store.user_ranges(many)


@with_input_types(UserRange)
@with_output_types(Audit)
class _Compare(StoreDoFn):
    makes_store = False

    def __init__(self, store: str, definitions: Texts | Release, as_of: int) -> None:
        super().__init__(store)
        self._definitions, self._as_of = definitions, as_of

    def process(self, within: UserRange) -> Iterator[Audit]:
        yield audit(self._store, compiled(self._definitions), self._as_of, within=within)


def _sum(found: Iterable[Audit]) -> Audit:
    total = Audit()
    for each in found:
        total.add(each)
    return total
