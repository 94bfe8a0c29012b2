"""The calls of a smoke test in BigQuery: loaded as a table, and read from it and by a query as from their file."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import polars as pl

from tools.smoke_calls import DEFINITIONS

__all__ = ["Warehouse"]

_SCHEMA = (
    "type:STRING,messageId:STRING,userId:STRING,timestamp:TIMESTAMP,sentAt:TIMESTAMP,event:STRING,"
    "properties:JSON,traits:JSON"
)


class Warehouse(msgspec.Struct, frozen=True):
    """A data set of its own in a project, and a folder with the calls, `calls.jsonl`."""

    project: str
    region: str
    run: str
    folder: Path

    @property
    def dataset(self) -> str:
        """Its name, which may have no dashes."""
        return self.run.replace("-", "_")

    def commands(self) -> list[list[str]]:
        """What makes the data set and loads the calls that can be read."""
        bq = ["bq", f"--project_id={self.project}", f"--location={self.region}", "--quiet"]
        load = ["load", "--source_format=NEWLINE_DELIMITED_JSON", f"--schema={_SCHEMA}", f"{self.dataset}.calls"]
        return [[*bq, "mk", "--dataset", self.dataset], [*bq, *load, str(self.folder / "rows.jsonl")]]

    def removal(self) -> list[str]:
        """What removes it, also where it was never made."""
        return ["bq", f"--project_id={self.project}", "rm", "--recursive", "--force", "--dataset", self.dataset]

    def write_rows(self) -> None:
        """Write the calls that can be read, and the query."""
        with (self.folder / "rows.jsonl").open("wb") as file:
            file.writelines(_readable((self.folder / "calls.jsonl").read_bytes().splitlines()))
        query = f"SELECT * FROM `{self.project}.{self.dataset}.calls` WHERE type IS NOT NULL"
        (self.folder / "calls.sql").write_text(query, encoding="utf-8")

    def differences(self) -> list[str]:
        """How the members by the table and by the query differ from those by the file."""
        expected = self._members("file", str(self.folder / "rows.jsonl"))
        sources = {
            "table": f"bigquery:{self.project}.{self.dataset}.calls",
            "query": f"bigquery:{self.folder / 'calls.sql'}",
        }
        found = []
        for name, source in sources.items():
            if members := expected ^ self._members(name, source):
                found.append(f"by the {name}: {len(members)} members are others, such as {min(members)}")
        return found

    def _members(self, name: str, events: str) -> set[tuple[str, str]]:
        out = self.folder / f"members-{name}"
        words = ["backfill", "--definitions", str(DEFINITIONS), "--events", events, "--as-of", "now"]
        words += ["--write", "memberships", "--out", str(out), "--query-limit", "1"]
        subprocess.run([sys.executable, "-m", "todoke", *words], check=True)
        return set(pl.read_parquet(out / "*.parquet").select("segment", "user").iter_rows())


def _readable(lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        try:
            json.loads(line)
        except ValueError:
            continue
        yield line + b"\n"
