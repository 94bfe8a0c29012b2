"""Tables and queries of BigQuery as messages: the streams of a read session, whose rows are Arrow's.

A session reads a table as it was when the session began, as often as somebody asks within the six hours in which it
lives (cloud.google.com/bigquery/docs/reference/storage, "Sessions"). Credentials are those of the environment, and the
project of these pays. `BIGQUERY_EMULATOR_HOST` (Google's own word) and `BIGQUERY_STORAGE_EMULATOR_HOST` name servers
that stand in, which are asked without credentials.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import google.auth
import grpc
import pyarrow as pa
from google.api_core.exceptions import GoogleAPIError, ServiceUnavailable
from google.api_core.retry import Retry, if_exception_type
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigquery import Client, QueryJobConfig
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from transforms.account import auth_fault
from transforms.events.arrow import payloads
from transforms.events.files import UnreadableFile
from transforms.events.sources import BigQuery, TableStreams

__all__ = ["EMULATORS", "QueryRefused", "columns_of_table", "open_query", "open_table", "rows_of_stream"]

#: Where servers are that stand in for BigQuery, and for its Storage API.
EMULATORS = ("BIGQUERY_EMULATOR_HOST", "BIGQUERY_STORAGE_EMULATOR_HOST")
#: How long a stream may give nothing, in seconds, before the read fails; and how long a session lives.
_PATIENCE, _SESSION_SECONDS = 600.0, 6 * 3_600.0
_AWAY = Retry(if_exception_type(ServiceUnavailable), initial=0.5, maximum=60.0, timeout=_PATIENCE)
_LABELS = {"app": "todoke"}
_GIGABYTE = 1_000_000_000
_new: Callable[..., Any] = BigQueryReadClient


class QueryRefused(Exception):
    """A query that is not run; the text says why."""


def open_table(source: BigQuery) -> TableStreams:
    """Begin to read a table.

    Raises:
      GoogleAPIError, GoogleAuthError: it is not there, or may not be read, or BigQuery does not answer.
    """
    project, dataset, table = source.parts
    return _session(source, f"projects/{project}/datasets/{dataset}/tables/{table}", _project() or project)


def open_query(source: BigQuery, sql: str) -> TableStreams:
    """Run a query to its end, and begin to read what it found.

    Raises:
      QueryRefused: it is no single SELECT, or reads more than it may.
      GoogleAPIError, GoogleAuthError: it has a mistake, may not be run, or BigQuery does not answer.
    """
    project = _project()
    if not project:
        raise QueryRefused("no project pays for the query: name one in GOOGLE_CLOUD_PROJECT")
    credentials = AnonymousCredentials() if EMULATORS[0] in os.environ else None  # type: ignore[no-untyped-call]
    client: Any = Client(project=project, credentials=credentials)
    try:
        tried = client.query(sql, job_config=QueryJobConfig(dry_run=True, use_legacy_sql=False))
        most = source.most_gb * _GIGABYTE
        if tried.statement_type != "SELECT":
            raise QueryRefused(f"expected one SELECT; found {tried.statement_type or 'something else'}")
        if (reads := tried.total_bytes_processed or 0) > most:
            raise QueryRefused(
                f"it would read {reads / _GIGABYTE:,.1f} GB, and may read {source.most_gb:,} GB: see --query-limit"
            )
        asked = QueryJobConfig(use_legacy_sql=False, maximum_bytes_billed=most, labels=_LABELS)
        job = client.query(sql, job_config=asked)
        job.result(max_results=0)
        found = job.destination
        if found is None:
            raise QueryRefused("it has no result")
        path = f"projects/{found.project}/datasets/{found.dataset_id}/tables/{found.table_id}"
        return _session(source, path, project)
    finally:
        client.close()


def columns_of_table(opened: TableStreams) -> list[str]:
    """The names of the columns."""
    names: list[str] = pa.ipc.read_schema(pa.py_buffer(opened.schema)).names
    return names


def rows_of_stream(opened: TableStreams, stream: str) -> Iterator[bytes]:
    """The rows of a stream, each as a JSON object; see `arrow.payloads` for what becomes of their values.

    Raises:
      UnreadableFile: it cannot be read to its end.
    """
    client = _reader()
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(opened.schema))
        for answer in client.read_rows(stream, retry=_AWAY, timeout=_SESSION_SECONDS):
            batch = pa.py_buffer(answer.arrow_record_batch.serialized_record_batch)
            yield from payloads(pa.ipc.read_record_batch(batch, schema))
    except (GoogleAPIError, GoogleAuthError, grpc.RpcError, pa.ArrowException, OSError) as error:
        said = next(iter(str(error).splitlines()), "") if not isinstance(error, GoogleAuthError) else auth_fault(error)
        said = said or type(error).__name__
        raise UnreadableFile(f"{opened.name}: cannot be read to its end: {said}") from error
    finally:
        client.transport.close()


def _session(source: BigQuery, table: str, project: str) -> TableStreams:
    """The streams of a table: as many as BigQuery thinks right, since each is read by one worker."""
    options = types.ArrowSerializationOptions(
        buffer_compression=types.ArrowSerializationOptions.CompressionCodec.LZ4_FRAME
    )
    asked = types.ReadSession(
        table=table,
        data_format=types.DataFormat.ARROW,
        read_options=types.ReadSession.TableReadOptions(arrow_serialization_options=options),
    )
    client = _reader()
    try:
        session = client.create_read_session(parent=f"projects/{project}", read_session=asked)
    finally:
        client.transport.close()
    return TableStreams(
        source.name,
        session.arrow_schema.serialized_schema,
        tuple(stream.name for stream in session.streams),
        session.estimated_total_bytes_scanned,
    )


def _project() -> str | None:
    """The project that pays: that of the environment, else of the credentials."""
    if any(name in os.environ for name in EMULATORS):
        return os.environ.get("GOOGLE_CLOUD_PROJECT")
    found: str | None = google.auth.default()[1]
    return found


def _reader() -> Any:  # Google's own client has no types
    if host := os.environ.get(EMULATORS[1]):
        channel = grpc.insecure_channel(host, [("grpc.max_receive_message_length", -1)])
        return _new(transport=BigQueryReadGrpcTransport(channel=channel))
    return _new()
