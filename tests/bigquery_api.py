"""Servers that speak as much of BigQuery as a read asks of it: its Storage API over gRPC, and queries over HTTP.

Rows are Arrow's, as the service sends them (cloud.google.com/bigquery/docs/reference/storage, "Arrow schema details").
Nobody has held them against the service itself.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types

__all__ = ["BigQueryApi", "serve_bigquery"]

_SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"
_FOUND = {"projectId": "payer", "datasetId": "_found", "tableId": "anon1"}


class BigQueryApi:
    """Tables by their path; each batch of one is a stream.

    A query finds the rows of `found`, is of `kind` and reads `reads` bytes; `mistake` is what is wrong with it. The
    first read of a stream breaks off `breaks` times behind its first message. `queries` and `sessions` are what was
    asked.
    """

    def __init__(self) -> None:
        self.tables: dict[str, pa.Table] = {}
        self.found: pa.Table | None = None
        self.kind, self.reads, self.mistake = "SELECT", 1_000, ""
        self.breaks = 0
        self.refuses: grpc.StatusCode | None = None
        self.queries: list[dict[str, Any]] = []
        self.sessions: list[types.CreateReadSessionRequest] = []
        self.environment: dict[str, str] = {}

    def _batches(self, path: str) -> tuple[pa.Schema, list[pa.RecordBatch]] | None:
        table = self.found if path.endswith("/tables/anon1") else self.tables.get(path)
        return None if table is None else (table.schema, table.to_batches())

    def create_read_session(self, asked: Any, context: grpc.ServicerContext) -> types.ReadSession:
        self.sessions.append(asked)
        if self.refuses is not None:
            context.abort(self.refuses, "the service says no")
        path = asked.read_session.table
        if (known := self._batches(path)) is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Not found: Table {path}")
        schema, batches = known
        streams = [types.ReadStream(name=f"{path}/streams/{number}") for number in range(len(batches))]
        return types.ReadSession(
            name=f"{path}/sessions/1",
            arrow_schema=types.ArrowSchema(serialized_schema=schema.serialize().to_pybytes()),
            streams=streams,
            estimated_total_bytes_scanned=sum(batch.nbytes for batch in batches),
        )

    def read_rows(self, asked: Any, context: grpc.ServicerContext) -> Iterator[types.ReadRowsResponse]:
        path, _, number = asked.read_stream.partition("/streams/")
        known = self._batches(path)
        assert known is not None
        batch = known[1][int(number)]
        for start in range(asked.offset, batch.num_rows, 100):
            if self.breaks and start:
                self.breaks -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
            piece = batch.slice(start, 100)
            yield types.ReadRowsResponse(
                arrow_record_batch=types.ArrowRecordBatch(serialized_record_batch=_packed(piece)),
                row_count=piece.num_rows,
            )

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """The status and the JSON of an answer to what is asked of queries."""
        known = {"projectId": "payer", "jobId": "job1", "location": "EU"}
        if method == "POST" and path == "/bigquery/v2/projects/payer/jobs":
            asked = json.loads(body)
            self.queries.append(asked["configuration"])
            if self.mistake:
                return 400, {"error": {"code": 400, "message": self.mistake, "errors": [{"reason": "invalidQuery"}]}}
            return 200, self._job(known | asked["jobReference"], asked["configuration"])
        if method == "GET" and path.startswith("/bigquery/v2/projects/payer/jobs/"):
            return 200, self._job(known, self.queries[-1])
        if method == "GET" and path.startswith("/bigquery/v2/projects/payer/queries/"):
            return 200, {"jobComplete": True, "jobReference": known, "schema": {"fields": []}, "totalRows": "0"}
        return 404, {"error": {"code": 404, "message": f"not found: {path}"}}

    def _job(self, known: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
        query = configuration["query"] | {"destinationTable": _FOUND}
        statistics = {"query": {"statementType": self.kind, "totalBytesProcessed": str(self.reads)}}
        return {
            "kind": "bigquery#job",
            "id": "payer:EU.job1",
            "jobReference": known,
            "configuration": configuration | {"query": query},
            "status": {"state": "DONE"},
            "statistics": statistics | {"totalBytesProcessed": str(self.reads)},
        }


def _packed(batch: pa.RecordBatch) -> bytes:
    """A message of IPC, with buffers in LZ4."""
    written = pa.BufferOutputStream()
    with pa.ipc.new_stream(written, batch.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_batch(batch)
    messages = pa.ipc.MessageReader.open_stream(written.getvalue())
    messages.read_next_message()  # the schema
    data: bytes = messages.read_next_message().serialize().to_pybytes()
    return data


@contextmanager
def serve_bigquery() -> Iterator[BigQueryApi]:
    """Serve until the end of the block; `environment` is what leads there."""
    api = BigQueryApi()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            status, found = api.answer(self.command, urlsplit(self.path).path, body)
            said = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = answer

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
    storage = grpc.server(ThreadPoolExecutor(4))
    asked = types.CreateReadSessionRequest, types.ReadRowsRequest
    given = types.ReadSession, types.ReadRowsResponse
    methods = {
        "CreateReadSession": grpc.unary_unary_rpc_method_handler(
            api.create_read_session, asked[0].deserialize, given[0].serialize
        ),
        "ReadRows": grpc.unary_stream_rpc_method_handler(api.read_rows, asked[1].deserialize, given[1].serialize),
    }
    storage.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, methods),))
    port = storage.add_insecure_port("127.0.0.1:0")
    storage.start()
    api.environment = {
        "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{http.server_port}",
        "BIGQUERY_STORAGE_EMULATOR_HOST": f"127.0.0.1:{port}",
        "GOOGLE_CLOUD_PROJECT": "payer",
    }
    try:
        yield api
    finally:
        storage.stop(None).wait()
        http.shutdown()
        http.server_close()
