"""Commands that read BigQuery, by servers that stand in: the same as by files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from bigquery_api import BigQueryApi, serve_bigquery
from commands import Todoke

PATH, TABLE = "projects/proj-x/datasets/crm/tables/events", "bigquery:proj-x.crm.events"
AS_OF = "2026-03-25T00:00:00Z"
DEFINITIONS = """\
segments:
  buyers: {owner: crm, members: {event: Order Completed, count: {at_least: 2}}}
  pros: {owner: crm, members: {attribute: plan, is: pro}}
"""
CALLS: list[dict[str, Any]] = [
    {"type": "track", "messageId": f"m{n}", "userId": f"u{n % 7}", "event": "Order Completed"}
    | {"timestamp": f"2026-03-{n + 1:02}T12:00:00Z", "properties": {"total": n}}
    for n in range(12)
] + [
    {
        "type": "identify",
        "messageId": "i",
        "userId": "u1",
        "timestamp": "2026-03-02T00:00:00Z",
        "traits": {"plan": "pro"},
    }
]
MAPPING = """\
user: who
time: at
event: Order Completed
properties: {total: {column: total, type: number}}
"""


def table(rows: list[dict[str, Any]], streams: int = 3) -> pa.Table:
    """Rows as BigQuery has them, in some streams: objects are JSON."""
    texts = [
        {key: json.dumps(value) if isinstance(value, dict) else value for key, value in row.items()} for row in rows
    ]
    names = dict.fromkeys(name for row in texts for name in row)
    whole = pa.table({name: [row.get(name) for row in texts] for name in names})
    return pa.Table.from_batches(whole.to_batches(max_chunksize=-(-len(rows) // streams)))


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryApi]:
    (tmp_path / "d.yaml").write_text(DEFINITIONS)
    (tmp_path / "m.yaml").write_text(MAPPING)
    (tmp_path / "q.sql").write_text("SELECT * FROM crm.events")
    (tmp_path / "calls.jsonl").write_text("".join(f"{json.dumps(call)}\n" for call in CALLS))
    with serve_bigquery() as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        served.tables[PATH] = served.found = table(CALLS)
        yield served


def report(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_bytes())
    return {key: value for key, value in found.items() if key != "elapsed_s"}


@pytest.mark.parametrize("source", [TABLE, "bigquery:q.sql"])
@pytest.mark.parametrize("engine", ["columns", "rows"])
def test_memberships_are_those_of_files(
    api: BigQueryApi, todoke: Todoke, tmp_path: Path, source: str, engine: str
) -> None:
    flags = ("--definitions", "d.yaml", "--as-of", AS_OF, "--write", "memberships", "--engine", engine)
    for events, out in (("calls.jsonl", "files"), (source, "table")):
        done = todoke("backfill", *flags, "--events", events, "--out", out, "--report", f"{out}.json")
        assert done.returncode == 0, done.stderr
    assert report(tmp_path, "files.json") | {"files": 0} == report(tmp_path, "table.json") | {"files": 0}
    files, rows = (pl.read_parquet(tmp_path / out / "*.parquet").sort("segment", "user") for out in ("files", "table"))
    assert files.equals(rows)
    assert rows["segment"].to_list() == ["buyers"] * 5 + ["pros"]
    assert len(api.sessions) == 1  # one reading, however often it is read
    assert sum(not query.get("dryRun") for query in api.queries) == (source != TABLE)


@pytest.mark.all_in_ci
def test_whole_users_and_runs_and_previews_are_those_of_files(api: BigQueryApi, todoke: Todoke, tmp_path: Path) -> None:
    for command in (("backfill", "--as-of", AS_OF), ("run", "--as-of", AS_OF)):
        said = []
        for events in ("calls.jsonl", TABLE):
            store = f"sqlite:{command[0]}-{len(events)}.db"
            flags = ("--definitions", "d.yaml", "--store", store, "--events", events, "--report", "r.json")
            done = todoke(*command, *flags)
            assert done.returncode == 0, done.stderr
            said.append(report(tmp_path, "r.json"))
        assert said[0] == said[1]
        assert said[0]["applied"] == len(CALLS)
    shown = [
        todoke("preview", "buyers", "--definitions", "d.yaml", "--events", events).stdout
        for events in ("calls.jsonl", TABLE)
    ]
    assert shown[0] == shown[1]
    assert "5" in shown[0]


def test_a_query_that_reads_too_much_is_refused_before_it_is_run(
    api: BigQueryApi, todoke: Todoke, tmp_path: Path
) -> None:
    api.reads = 7_500_000_000
    flags = ("--definitions", "d.yaml", "--as-of", AS_OF, "--store", "sqlite:s.db", "--events", "bigquery:q.sql")
    done = todoke("backfill", *flags, "--query-limit", "7")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "todoke: --events: bigquery:q.sql: it would read 7.5 GB, and may read 7 GB: see --query-limit\n"
    )
    assert not (tmp_path / "s.db").exists()
    assert todoke("backfill", *flags, "--query-limit", "8").returncode == 0


@pytest.mark.parametrize(
    ("events", "flags", "cause"),
    [
        ("bigquery:proj-x.crm.none", (), "--events: bigquery:proj-x.crm.none: BigQuery refuses it: Not found"),
        ("bigquery:none.sql", (), "--events: there is no file none.sql with a query"),
        ("bigquery:crm.events", (), "--events: expected bigquery:PROJECT.DATASET.TABLE"),
        (TABLE, ("--query-limit", "0"), "--query-limit: expected 1 or more gigabytes"),
    ],
)
def test_wrong_use(api: BigQueryApi, todoke: Todoke, events: str, flags: tuple[str, ...], cause: str) -> None:
    common = ("--definitions", "d.yaml", "--as-of", AS_OF, "--store", "sqlite:s.db")
    done = todoke("backfill", *common, "--events", events, *flags)
    assert done.returncode == 2, done.stderr
    assert cause in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_query_with_a_mistake_is_one_line(api: BigQueryApi, todoke: Todoke) -> None:
    api.mistake = "Unrecognized name: tota at [1:8]"
    done = todoke("run", "--definitions", "d.yaml", "--store", "none", "--events", "bigquery:q.sql")
    said = "--events: bigquery:q.sql: BigQuery refuses it: Unrecognized name: tota at [1:8]"
    assert done.returncode == 2
    assert done.stderr.startswith(f"todoke: {said}")
    assert done.stderr.count("\n") == 1


def test_without_credentials_it_says_so(todoke: Todoke, api: BigQueryApi, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in api.environment:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "none.json")
    done = todoke("run", "--definitions", "d.yaml", "--store", "none", "--events", TABLE)
    assert done.returncode == 2
    assert "no credentials for BigQuery" in done.stderr
    assert done.stderr.count("\n") == 1


ORDERS: list[dict[str, Any]] = [
    {"who": "ann", "at": "2026-03-01T10:00:00Z", "total": "1"},
    {"who": "ann", "at": "2026-03-02T10:00:00Z", "total": "2"},
    {"who": "bob", "at": "2026-03-03T10:00:00Z", "total": "much"},
    {"who": None, "at": "2026-03-03T10:00:00Z", "total": "3"},
]


def test_rows_are_imported_and_rejects_have_their_number(api: BigQueryApi, todoke: Todoke, tmp_path: Path) -> None:
    api.tables[PATH] = table(ORDERS, 1)
    tried = todoke("import", TABLE, "--mapping", "m.yaml", "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert "2 rows of 4 would be imported" in tried.stdout
    assert f"{TABLE}:3: invalid: `properties.total`: expected a number" in tried.stdout
    assert not list(tmp_path.glob("import_rejects*"))
    done = todoke("import", TABLE, "--mapping", "m.yaml", "--store", "sqlite:s.db", "--definitions", "d.yaml")
    assert done.returncode == 0, done.stderr
    rejects = [json.loads(line) for line in (tmp_path / "import_rejects.jsonl").read_text().splitlines()]
    assert [(each["source"], each["cause"]) for each in rejects] == [(f"{TABLE}:3", "invalid"), (f"{TABLE}:4", "no_id")]
    assert json.loads(rejects[0]["payload"])["who"] == "bob"
    assert todoke("members", "buyers", "--store", "sqlite:s.db").stdout.split() == ["ann"]


def test_a_query_is_imported_and_its_columns_are_looked_at_first(
    api: BigQueryApi, todoke: Todoke, tmp_path: Path
) -> None:
    api.found = table(ORDERS, 1)
    done = todoke("import", "bigquery:q.sql", "--mapping", "m.yaml", "--to", "out.jsonl", "--json")
    assert json.loads(done.stdout)["imported"] == 2, done.stderr
    assert sum(not query.get("dryRun") for query in api.queries) == 1
    api.found = table([{"who": "ann", "at": AS_OF}], 1)
    lacking = todoke("import", "bigquery:q.sql", "--mapping", "m.yaml", "--dry-run")
    assert lacking.returncode == 2
    assert "there is no column `total`; there are who, at" in lacking.stderr
    api.reads = 10**13
    refused = todoke("import", "bigquery:q.sql", "--mapping", "m.yaml", "--dry-run")
    assert refused.returncode == 2
    assert "it would read 10,000.0 GB, and may read 1,000 GB" in refused.stderr
