"""Bigtable's tables as bytes: every call is a batch, is tried within bounds, and fails as a `StoreError`."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

from google.api_core.exceptions import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    GoogleAPICallError,
    GoogleAPIError,
    InternalServerError,
    NotFound,
    ResourceExhausted,
    ServiceUnavailable,
    from_grpc_status,
)
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigtable import Client
from google.cloud.bigtable.data import (
    BigtableDataClient,
    Mutation,
    ReadRowsQuery,
    Row,
    RowRange,
)
from google.cloud.bigtable.data.row_filters import (
    CellsColumnLimitFilter,
    CellsRowLimitFilter,
    ColumnQualifierRegexFilter,
    RowFilter,
    RowFilterChain,
    StripValueTransformerFilter,
    ValueRangeFilter,
)
from google.cloud.bigtable_admin_v2.types import ColumnFamily, GcRule
from google.cloud.bigtable_admin_v2.types import Table as NewTable
from google.cloud.bigtable_v2.types import MutateRowsRequest, MutateRowsResponse
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay, wait_exponential_jitter

from transforms.account import UNREADABLE, auth_fault, google_fault
from transforms.storage.store import StoreError

__all__ = [
    "FAMILY",
    "KEYS_ONLY",
    "NEWEST",
    "TIMEOUT",
    "TRIES",
    "VERSIONS",
    "RowMutations",
    "Tables",
    "delete_row",
    "delete_until",
    "set_cell",
    "set_only_cell",
]

#: An operation on a batch is given up after this many seconds, and a single try sooner.
TIMEOUT, _TRY_SECONDS = 60.0, 20.0
#: Tries of an operation, with pauses of 0.1 s doubled each time, about 13 s in all.
TRIES, _FIRST_PAUSE, _LONGEST_PAUSE = 8, 0.1, 10.0
#: Tries to open: nothing is at stake yet, and a mistyped address should fail soon.
_OPENING_TRIES = 4
#: How many rows a request writes or reads. More was not faster on the emulator.
_ROWS_AT_ONCE = 500

#: Every table has this one column family, with a garbage collection rule of so many versions.
FAMILY, VERSIONS = "r", 1
#: The newest cell of each column: garbage collection may come days later.
NEWEST = CellsColumnLimitFilter(1)
KEYS_ONLY = RowFilterChain([CellsRowLimitFilter(1), StripValueTransformerFilter(True)])

#: Failures that may pass. Every mutation here is safe to repeat.
_TRANSIENT = (Aborted, DeadlineExceeded, InternalServerError, ResourceExhausted, ServiceUnavailable)

#: The mutations of one row, as the protocol's own message.
RowMutations = Any
_new_entry: Callable[..., RowMutations] = MutateRowsRequest.Entry.pb()

_Answer = TypeVar("_Answer")


def set_cell(key: bytes, column: bytes, value: bytes, timestamp: int) -> RowMutations:
    """Set one cell of a row; the timestamp is in microseconds."""
    entry = _new_entry(row_key=key)
    cell = entry.mutations.add().set_cell
    cell.family_name, cell.column_qualifier, cell.value, cell.timestamp_micros = FAMILY, column, value, timestamp
    return entry


def set_only_cell(key: bytes, column: bytes, value: bytes, timestamp: int) -> RowMutations:
    """Set one cell of a row, whatever the timestamps of the column's others, which are deleted; atomically."""
    entry = _new_entry(row_key=key)
    entry.mutations.add().delete_from_column.family_name = FAMILY
    entry.mutations[0].delete_from_column.column_qualifier = column
    cell = entry.mutations.add().set_cell
    cell.family_name, cell.column_qualifier, cell.value, cell.timestamp_micros = FAMILY, column, value, timestamp
    return entry


def delete_row(key: bytes) -> RowMutations:
    """Delete all cells of a row."""
    entry = _new_entry(row_key=key)
    entry.mutations.add().delete_from_row.SetInParent()
    return entry


def delete_until(key: bytes, column: bytes, timestamp: int) -> RowMutations:
    """Delete those cells of a column that are older than `timestamp`, in microseconds."""
    entry = _new_entry(row_key=key)
    cells = entry.mutations.add().delete_from_column
    cells.family_name, cells.column_qualifier, cells.time_range.end_timestamp_micros = FAMILY, column, timestamp
    return entry


class Tables:
    """Some tables of one instance, over connections that any number of threads may share.

    Args:
      project: of Google Cloud.
      instance: which must exist.
      names: of the tables.
      create: make those that are missing (needs the right to); without it a missing one is an error.
      timeout: seconds after which an operation on a batch is given up.
      tries: how often it is tried at most.

    Raises:
      StoreError: no credentials, no answer, no such instance, or a missing table.
    """

    def __init__(
        self, project: str, instance: str, names: Sequence[str], *, create: bool, timeout: float, tries: int
    ) -> None:
        self._instance = f"projects/{project}/instances/{instance}"
        self._timeout = timeout
        self._tries = tries
        try:
            with warnings.catch_warnings():  # the client warns that it uses the emulator
                warnings.simplefilter("ignore", RuntimeWarning)
                admin = Client(project, admin=True)  # type: ignore[no-untyped-call]
                self._client = BigtableDataClient(project=project)
                self._writer = Client(project).table_data_client  # type: ignore[no-untyped-call]
        except UNREADABLE as error:
            raise StoreError(
                f"no credentials for Bigtable: {auth_fault(error)}; run `gcloud auth application-default login`, "
                "or set BIGTABLE_EMULATOR_HOST to use the emulator"
            ) from error
        try:
            self._open(admin, self._instance, names, create)
        except StoreError:
            self.close()
            raise
        finally:
            admin.table_admin_client.transport.close()
        self._tables = {name: self._client.get_table(instance, name) for name in names}

    def mutate(self, table: str, entries: Sequence[RowMutations]) -> None:
        """Apply mutations of different rows. If a batch fails, only its failed mutations are tried again."""
        for start in range(0, len(entries), _ROWS_AT_ONCE):
            pending = list(entries[start : start + _ROWS_AT_ONCE])

            def apply(seconds: float, pending: list[RowMutations] = pending) -> None:
                causes = self._mutate(table, pending, seconds)
                if not causes:
                    return
                pending[:] = [pending[place] for place in causes]
                lasting = (cause for cause in causes.values() if not isinstance(cause, _TRANSIENT))
                raise next(lasting, next(iter(causes.values())))

            try:
                self._tried(f"table `{table}`", apply)
            except StoreError as error:
                left = len(pending) + max(0, len(entries) - start - _ROWS_AT_ONCE)
                raise StoreError(f"{left} of {len(entries)} rows were not written: {error}") from error

    def _mutate(self, table: str, entries: Sequence[RowMutations], seconds: float) -> dict[int, GoogleAPICallError]:
        """Send mutations once; returns the causes of those that failed, by their place."""
        # As plain messages: the data client's own took longer than everything else for a row.
        request = MutateRowsRequest.pb(MutateRowsRequest(table_name=f"{self._instance}/tables/{table}"))
        request.entries.extend(entries)
        lost: GoogleAPICallError = ServiceUnavailable("no answer")  # type: ignore[no-untyped-call]
        causes = dict.fromkeys(range(len(entries)), lost)
        try:
            answers = self._writer.mutate_rows(MutateRowsRequest.wrap(request), retry=None, timeout=seconds)
            for answer in answers:
                for entry in MutateRowsResponse.pb(answer).entries:
                    if entry.status.code:
                        causes[entry.index] = from_grpc_status(entry.status.code, entry.status.message)  # type: ignore[no-untyped-call]
                    else:
                        del causes[entry.index]
        except GoogleAPICallError as error:
            causes = {place: error if cause is lost else cause for place, cause in causes.items()}
        return causes

    def insert(self, table: str, key: bytes, cells: list[Mutation]) -> bool:
        """Write a row if there is none, atomically; returns whether there was none.

        After a lost answer it tries again, and then finds its own row: the caller must recognise that.
        """

        def check(seconds: float) -> bool:
            return not self._tables[table].check_and_mutate_row(
                key, None, false_case_mutations=cells, operation_timeout=seconds
            )

        return self._tried(f"table `{table}`", check)

    def replace(self, table: str, key: bytes, column: bytes, value: bytes, cells: list[Mutation]) -> bool:
        """Write to a row if a column's newest cell has this value, atomically; returns whether it had.

        After a lost answer it tries again, and then finds its own value: the caller must recognise that.
        """
        standing = RowFilterChain([ColumnQualifierRegexFilter(column), NEWEST, ValueRangeFilter(value, value)])

        def check(seconds: float) -> bool:
            return self._tables[table].check_and_mutate_row(
                key, standing, true_case_mutations=cells, operation_timeout=seconds
            )

        return self._tried(f"table `{table}`", check)

    def update(self, table: str, key: bytes, cells: list[Mutation]) -> bool:
        """Write cells to a row if there is one, atomically; returns whether there was."""

        def check(seconds: float) -> bool:
            return self._tables[table].check_and_mutate_row(
                key, None, true_case_mutations=cells, operation_timeout=seconds
            )

        return self._tried(f"table `{table}`", check)

    def read(self, table: str, row_keys: Sequence[bytes], row_filter: RowFilter = NEWEST) -> dict[bytes, Row]:
        """The rows that exist, by key."""
        found: dict[bytes, Row] = {}
        for start in range(0, len(row_keys), _ROWS_AT_ONCE):
            asked: list[str | bytes] = [*row_keys[start : start + _ROWS_AT_ONCE]]
            rows = self._rows(table, ReadRowsQuery(row_keys=asked, row_filter=row_filter))
            found.update({row.row_key: row for row in rows})
        return found

    def scan(
        self,
        table: str,
        start: bytes,
        end: bytes | None,
        limit: int | None = None,
        row_filter: RowFilter = NEWEST,
        *,
        at_once: int = _ROWS_AT_ONCE,
    ) -> Iterator[Row]:
        """Rows from the key `start` on and before `end`, at most `limit`, in key order, `at_once` a page."""
        while limit is None or limit > 0:
            size = at_once if limit is None else min(limit, at_once)
            page_range = RowRange(start or None, end)
            page = self._rows(table, ReadRowsQuery(row_ranges=page_range, limit=size, row_filter=row_filter))
            yield from page
            if len(page) < size:
                return
            start = page[-1].row_key + b"\0"
            limit = None if limit is None else limit - size

    def sections(self, table: str) -> list[tuple[bytes, bytes | None]]:
        """What divides a table into parts of about one size, each from a key on and before the next; all of them
        together. Bigtable says where it would cut.
        """

        def sample(seconds: float) -> list[bytes]:
            found = self._tables[table].sample_row_keys(
                operation_timeout=seconds, attempt_timeout=seconds, retryable_errors=()
            )
            return [key for key, _ in found if key]

        cuts = sorted({b"", *self._tried(f"table `{table}`", sample)})
        return list(zip(cuts, [*cuts[1:], None], strict=True))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._writer.transport.close()

    def _rows(self, table: str, query: ReadRowsQuery) -> list[Row]:
        def read(seconds: float) -> list[Row]:
            return self._tables[table].read_rows(
                query, operation_timeout=seconds, attempt_timeout=seconds, retryable_errors=()
            )

        return self._tried(f"table `{table}`", read)

    def _open(self, admin: Client, parent: str, names: Sequence[str], create: bool) -> None:
        client = admin.table_admin_client
        family = ColumnFamily(gc_rule=GcRule(max_num_versions=VERSIONS))  # type: ignore[no-untyped-call]

        def standing(seconds: float) -> set[str]:
            found = client.list_tables(request={"parent": parent}, timeout=seconds, retry=None)
            return {table.name.rpartition("/")[2] for table in found}

        def make(name: str) -> Callable[[float], None]:
            request = {"parent": parent, "table_id": name, "table": NewTable(column_families={FAMILY: family})}

            def call(seconds: float) -> None:
                with suppress(AlreadyExists):  # another worker was quicker
                    client.create_table(request=request, timeout=seconds, retry=None)

            return call

        tries = min(self._tries, _OPENING_TRIES)
        there = self._tried(f"instance `{parent}`", standing, tries)
        missing = [name for name in names if name not in there]
        if missing and not create:
            raise StoreError(
                f"the Bigtable instance `{parent}` lacks the tables {', '.join(missing)}: "
                "is its name right? `todoke run` makes them"
            )
        for name in missing:
            self._tried(f"table `{name}` of `{parent}`", make(name), tries)

    def _tried(self, what: str, call: Callable[[float], _Answer], tries: int | None = None) -> _Answer:
        """Call with the seconds that a try may take; try again within bounds while the failure may pass."""
        retrying = Retrying(
            stop=stop_after_attempt(tries or self._tries) | stop_before_delay(self._timeout),
            wait=wait_exponential_jitter(_FIRST_PAUSE, _LONGEST_PAUSE, jitter=_FIRST_PAUSE),
            retry=retry_if_exception_type(_TRANSIENT),
            reraise=True,
        )
        deadline = monotonic() + self._timeout
        try:
            return retrying(lambda: call(max(0.01, min(_TRY_SECONDS, deadline - monotonic()))))
        except (GoogleAPIError, GoogleAuthError) as error:
            tried = retrying.statistics["attempt_number"]
            times = "at once" if tried == 1 else f"after {tried} tries"
            raise StoreError(f"Bigtable {what} failed {times}: {google_fault(error)}{_advice(error)}") from error


def _advice(error: Exception) -> str:
    emulator = os.environ.get("BIGTABLE_EMULATOR_HOST")
    if isinstance(error, ServiceUnavailable) and emulator is not None:
        return f"; does the emulator at BIGTABLE_EMULATOR_HOST={emulator} run?"
    return "; it must be made first" if isinstance(error, NotFound) else ""
