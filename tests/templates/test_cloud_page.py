"""docs/cloud.md: its commands are there, and its sums are right by the prices that it names."""

import re
from pathlib import Path
from typing import Any

import pytest
from apache_beam.testing.load_tests import dataflow_cost_consts as prices
from typer.main import get_command

from todoke.cli import app
from tools.cloud_smoke import Smoke, steps

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "cloud.md").read_text("utf-8")
INFRA = ROOT / "templates" / "infra"
HOURS = 730


def test_its_commands_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^    |`|&& )make ([a-z-]+)", PAGE, re.MULTILINE)) <= targets
    group: Any = get_command(app)
    assert set(re.findall(r"(?:^    |`)todoke ([a-z-]+)", PAGE, re.MULTILINE)) <= set(group.commands)
    outputs = set(re.findall(r'^output "(\w+)"', (INFRA / "outputs.tf").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"terraform\S*(?: -chdir=\S+)? output (?:-raw )?(\w+)", PAGE)) <= outputs
    variables = set(re.findall(r'^variable "(\w+)"', (INFRA / "variables.tf").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:`|-var ')(\w+) ?= ?[{\"]", PAGE)) <= variables


def test_the_steps_that_it_names_are_those_of_the_smoke_test(tmp_path: Path) -> None:
    found = [step.title for step in steps(Smoke("p", "r", "s", tmp_path, image="", count=1_000))]
    numbered = {int(number) for row in re.findall(r"steps ([\d, and]+)", PAGE) for number in re.findall(r"\d+", row)}
    assert {found[number - 1] for number in numbered} == {
        "Make all but the job",
        "Build the image and push it",
        "Launch the job, and wait until it runs",
        "See that another apply would change nothing",
    }


#: Of the small and the large site: workers, their cores and gigabytes, gigabytes through Streaming Engine and Pub/Sub.
SITES = ((1, 2, 8, 40, 20), (8, 4, 16, 12_000, 6_000))
PUBSUB_PER_TIB, FREE_GIB = 40, 10


@pytest.mark.parametrize(("column", "site"), [*enumerate(SITES)])
def test_the_sums_are_right(column: int, site: tuple[int, ...]) -> None:
    workers, cores, gigabytes, through, published = site
    expected = {
        "vCPU": workers * cores * HOURS * prices.VCPU_PER_HR_STREAMING,
        "memory": workers * gigabytes * HOURS * prices.MEM_PER_GB_HR_STREAMING,
        "disks": workers * 30 * HOURS * prices.PD_PER_GB_HR,
        "Streaming Engine": through * prices.SHUFFLE_PER_GB_STREAMING,
        "Pub/Sub": (published * 1e9 / 2**30 - FREE_GIB) / 1024 * PUBSUB_PER_TIB,
    }
    table = PAGE.partition("## What it costs")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    cells = {row[0].partition(",")[0]: row[1:] for row in rows}
    rounded = {name: round(cost) for name, cost in expected.items()}
    assert {name: bold(cells[name][column]) for name in expected} == rounded
    assert bold(cells["sum of these"][column]) == round(sum(expected.values()))


def test_the_rate_is_that_of_the_months_of_the_table() -> None:
    assert f"are {round(3e9 / (HOURS * 3_600)):,} a second on average" in PAGE


def bold(cell: str) -> int:
    found = re.search(r"\*\*([\d,]+)\*\*", cell)
    assert found is not None, cell
    return int(found[1].replace(",", ""))
