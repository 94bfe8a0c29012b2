"""Tables and queries of BigQuery, by servers that stand in: rows are those of a Parquet file of the same columns."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from bigquery_api import BigQueryApi, serve_bigquery
from google.api_core.exceptions import BadRequest, NotFound

from transforms.events.bigquery import QueryRefused
from transforms.events.decode import Refused, decode
from transforms.events.files import UnreadableFile, messages_of_file
from transforms.events.sources import BigQuery, TableStreams
from transforms.events.transforms import ReadEvents, open_bigquery, read_messages

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
PATH = "projects/proj-x/datasets/crm/tables/events"
TABLE = BigQuery("proj-x.crm.events")
#: A column of each type of BigQuery, as its Storage API names them in Arrow.
EVERY_TYPE = pa.table(
    {
        "type": ["track", "track", None],
        "event": ["E", "E", None],
        "userId": pa.array([7, 8, None], pa.int64()),
        "timestamp": pa.array([NOON, NOON, None], pa.timestamp("us", "UTC")),
        "properties": pa.StructArray.from_arrays(
            [
                pa.array([1.5, float("nan"), None]),
                pa.array([Decimal("1.100000000"), None, None], pa.decimal128(38, 9)),
                pa.array([Decimal("0.1"), None, None], pa.decimal256(76, 38)),
                pa.array([True, None, None]),
                pa.array([date(2026, 3, 10), date(1, 1, 1), None]),
                pa.array([time(1, 2, 3, 4), None, None], pa.time64("us")),
                pa.array([datetime(2026, 3, 10), None, None], pa.timestamp("us")),  # noqa: DTZ001 - DATETIME
                pa.array([b"text", b"\xff", None]),
                pa.array([["a", "b"], [], None]),
                pa.array([[{"k": 1}], None, None]),
            ],
            ["f", "n", "big", "b", "day", "time", "local", "bytes", "list", "structs"],
        ),
        "traits": ['{"plan": "pro"}', "{", None],  # JSON
    }
)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryApi]:
    with serve_bigquery() as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        yield served


def numbered(count: int, batches: int = 3) -> pa.Table:
    made = [
        pa.record_batch({"userId": [f"u{batch}-{n}" for n in range(count)], "n": [*range(count)]})
        for batch in range(batches)
    ]
    return pa.Table.from_batches(made)


def users(payloads: Any) -> list[str]:
    return sorted(json.loads(payload)["userId"] for payload in payloads)


def test_rows_are_those_of_a_parquet_file_with_the_same_columns(api: BigQueryApi) -> None:
    api.tables[PATH] = EVERY_TYPE
    written = io.BytesIO()
    pq.write_table(EVERY_TYPE, written)
    found = list(read_messages(open_bigquery(TABLE)))
    assert found == list(messages_of_file(io.BytesIO(written.getvalue()), "e.parquet"))
    first, _ = decode(found[0])
    assert (first.user, first.time) == ("7", int(NOON.timestamp()) * 1_000_000)
    assert first.properties == {
        **{"f": 1.5, "n": 1.1, "big": 0.1, "b": True, "day": "2026-03-10", "time": "01:02:03.000004"},
        **{"local": "2026-03-10T00:00:00", "bytes": "text", "list": ["a", "b"], "structs": [{"k": 1}]},
    }
    assert decode(found[1])[0].properties == {"day": "0001-01-01", "bytes": "/w==", "list": []}
    with pytest.raises(Refused, match="unknown_type"):
        decode(found[2])
    assert json.loads(found[0])["traits"] == {"plan": "pro"}


def test_a_graph_reads_each_stream_once(api: BigQueryApi) -> None:
    api.tables[PATH] = numbered(250)
    opened = open_bigquery(TABLE)
    assert len(opened.streams) == 3
    expected = [(payload, "bigquery:proj-x.crm.events", None, "") for payload in read_messages(opened)]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        assert_that(pipeline | ReadEvents(opened), equal_to(expected))
    assert len(expected) == 750
    [asked] = api.sessions
    assert asked.parent == "projects/payer"
    assert asked.read_session.table == PATH


def test_without_a_project_of_its_own_the_table_has_the_bill(api: BigQueryApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.tables[PATH] = numbered(1)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    open_bigquery(TABLE)
    assert api.sessions[0].parent == "projects/proj-x"


def test_a_table_without_rows_has_no_messages(api: BigQueryApi) -> None:
    api.tables[PATH] = pa.schema([("userId", pa.string())]).empty_table()
    opened = open_bigquery(TABLE)
    assert opened.streams == ()
    assert list(read_messages(opened)) == []
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        assert_that(pipeline | ReadEvents(opened), equal_to([]))


def test_a_stream_that_breaks_off_is_read_on_from_where_it_was(api: BigQueryApi) -> None:
    api.tables[PATH] = numbered(450, 1)
    api.breaks = 2
    assert users(read_messages(open_bigquery(TABLE))) == sorted(f"u0-{n}" for n in range(450))
    assert api.breaks == 0


def test_a_stream_that_cannot_be_read_fails_by_name(api: BigQueryApi) -> None:
    api.tables[PATH] = numbered(10, 1)
    opened = open_bigquery(TABLE)
    lost = TableStreams(opened.name, b"no schema", opened.streams, 0)
    with pytest.raises(UnreadableFile, match=r"^bigquery:proj-x\.crm\.events: cannot be read to its end: "):
        list(read_messages(lost))


def test_a_table_that_is_not_there(api: BigQueryApi) -> None:
    with pytest.raises(NotFound, match="Not found"):
        open_bigquery(TABLE)
    api.refuses = grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(Exception, match="the service says no"):
        open_bigquery(TABLE)


@pytest.fixture
def query(tmp_path: Path) -> BigQuery:
    place = tmp_path / "orders.sql"
    place.write_text("SELECT * FROM crm.events")
    return BigQuery(query=str(place), most_gb=5)


def test_a_query_is_looked_at_before_it_is_run_and_may_read_so_much(api: BigQueryApi, query: BigQuery) -> None:
    api.found = numbered(5)
    assert len(list(read_messages(open_bigquery(query)))) == 15
    tried, run = api.queries
    assert (tried["dryRun"], tried["query"]["query"]) == (True, "SELECT * FROM crm.events")
    assert not run.get("dryRun")
    assert run["query"]["maximumBytesBilled"] == "5000000000"
    assert run["query"]["useLegacySql"] is False
    assert api.sessions[0].read_session.table == "projects/payer/datasets/_found/tables/anon1"


def test_a_query_that_would_read_more_is_not_run(api: BigQueryApi, query: BigQuery) -> None:
    api.reads = 5_100_000_000
    with pytest.raises(QueryRefused, match=r"it would read 5\.1 GB, and may read 5 GB: see --query-limit"):
        open_bigquery(query)
    assert len(api.queries) == 1


@pytest.mark.parametrize("kind", ["DELETE", "SCRIPT", "CREATE_TABLE_AS_SELECT"])
def test_only_a_select_is_run(api: BigQueryApi, query: BigQuery, kind: str) -> None:
    api.kind = kind
    with pytest.raises(QueryRefused, match=f"expected one SELECT; found {kind}"):
        open_bigquery(query)
    assert len(api.queries) == 1


def test_a_query_with_a_mistake_says_which(api: BigQueryApi, query: BigQuery) -> None:
    api.mistake = "Unrecognized name: tota at [1:8]"
    with pytest.raises(BadRequest, match="Unrecognized name: tota"):
        open_bigquery(query)


def test_nobody_pays(api: BigQueryApi, query: BigQuery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    with pytest.raises(QueryRefused, match="no project pays for the query"):
        open_bigquery(query)


def test_a_query_that_is_no_file_or_no_text(api: BigQueryApi, query: BigQuery) -> None:
    with pytest.raises(QueryRefused, match="the query cannot be read"):
        open_bigquery(BigQuery(query=f"{query.query}.sql"))
    Path(query.query).write_bytes(b"SELECT \xff")
    with pytest.raises(QueryRefused, match="the query cannot be read"):
        open_bigquery(query)


def test_a_graph_is_made_of_an_opened_table() -> None:
    with pytest.raises(TypeError, match="open_bigquery"):
        _ = beam.Pipeline(runner=FnApiRunner()) | ReadEvents(TABLE)
