"""`todoke metrics --serve` and `--otlp`: a store's metrics for a scraper and for a collector, by real ones."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from collector import collecting, until
from commands import COMMAND, Todoke
from prometheus_client.parser import text_string_to_metric_families

from transforms.segments.values import MINUTE
from transforms.storage.open import open_store
from transforms.users.tally import Tallies

NOW = 1_772_323_200_000_000


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:{tmp_path / 'store.db'}"
    store, tallies = open_store(url), Tallies(MINUTE)
    tallies.count("sends", "hello", "push", "", "handed_off", "first", "a", at=NOW, by=2_000)
    tallies.count("collect_requests", "200", at=NOW, by=3)
    for micros in (900, 1_500, 3_000_000):
        tallies.observe("latency", "hello", "push", "arrival", "handed_off", micros=micros, at=NOW)
    store.add_metrics(tallies.rows(NOW))
    store.close()
    return url


@contextmanager
def running(folder: Path, *words: str, **environment: str) -> Iterator[Path]:
    """A command that runs until the context ends, and ends well then; gives the file of what it prints."""
    out, err = folder / "out.txt", folder / "err.txt"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        command = [str(COMMAND), "metrics", *words]
        process = subprocess.Popen(command, cwd=folder, stdout=stdout, stderr=stderr, env={**os.environ, **environment})
    try:
        yield out
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, err.read_text()
    finally:
        process.kill()
        process.wait()


def test_a_scraper_reads_it(url: str, tmp_path: Path) -> None:
    with running(tmp_path, "--store", url, "--serve", "127.0.0.1:0") as out:
        until(out.read_text, "the address")
        [place] = re.findall(r"^metrics: (\S+)$", out.read_text(), re.MULTILINE)
        text = httpx.get(place).text
    found = {each.name: each for each in text_string_to_metric_families(text)}
    assert found.keys() == {"todoke_sends", "todoke_latency_seconds", "todoke_collect_requests"}
    assert [each.value for each in found["todoke_sends"].samples] == [2_000]


@pytest.mark.all_in_ci
def test_a_collector_gets_what_the_job_counts(url: str, tmp_path: Path) -> None:
    with collecting() as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_METRIC_EXPORT_INTERVAL": "100"}
        with running(tmp_path, "--store", url, "--otlp", **variables):
            until(lambda: collector.requests)
        found = collector.newest("todoke-job")
        assert found.keys() == {"todoke_sends", "todoke_latency"}, "services send their own"
        assert [each.count for each in found["todoke_latency"].histogram.data_points] == [3]
        assert len({each["service.instance.id"] for each in collector.resources()}) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--serve", "127.0.0.1:0", "--otlp"), "--serve and --otlp stand alone"),
        (("--otlp", "--json"), "--serve and --otlp stand alone"),
        (("--serve", "here"), "expected HOST:PORT"),
    ],
)
def test_wrong_use(url: str, todoke: Todoke, words: tuple[str, ...], says: str) -> None:
    done = todoke("metrics", "--store", url, *words)
    assert done.returncode == 2
    assert says in done.stderr
    nothing = todoke("metrics", "--store", "sqlite:nothing.db", "--serve", "127.0.0.1:0")
    assert (nothing.returncode, "there is no file" in nothing.stderr) == (2, True), nothing.stderr
