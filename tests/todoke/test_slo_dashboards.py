"""`todoke slo export --grafana` and `--google-dashboard`: dashboards that Grafana's and Google's own schemas take."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Todoke
from discovery import check
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from test_slo_export import HEAD, LEVELS, line

GOLDEN = Path(__file__).parents[1] / "golden"
#: Two levels: with all alerts, and with those of seven days.
SHOWN = ("pushed", "audited")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    lines = [*map(line, LEVELS), line("sent", "trial").replace("sent", "tried")]
    (tmp_path / "levels.yaml").write_text(HEAD + "".join(lines))
    return tmp_path


def exported(todoke: Todoke, form: str, definitions: str = "levels.yaml") -> Any:
    done = todoke("slo", "export", f"--{form}", "--definitions", definitions)
    assert (done.returncode, done.stderr if form != "google" else "") == (0, ""), done.stderr
    return json.loads(done.stdout)


def lost(said: Any, kept: Any, place: str = "") -> Iterator[str]:
    """What is not the same in another value, which may have more fields."""
    if isinstance(said, dict) and isinstance(kept, dict):
        for name, inner in said.items():
            yield from lost(inner, kept.get(name), f"{place}.{name}")
    elif isinstance(said, list) and isinstance(kept, list) and len(said) == len(kept):
        for number, pair in enumerate(zip(said, kept, strict=True)):
            yield from lost(*pair, f"{place}[{number}]")
    elif said != kept:
        yield place


def test_grafana_has_a_row_for_each_level_of_fields_that_it_knows(written: Path, todoke: Todoke) -> None:
    """By the types of Grafana's own SDK: they keep each field, and add nothing but defaults."""
    register_default_plugins()
    dashboard = exported(todoke, "grafana")
    kept = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    assert not list(lost(dashboard, kept))
    panels = dashboard["panels"]
    rows = [each["title"] for each in panels if each["type"] == "row"]
    assert len(rows) == len(LEVELS) + 1
    assert "pushed: 99.5 % in 28d, Growth team (growth@example.com)" in rows
    assert "tried: 90 % in 30d, on trial, Growth team (growth@example.com)" in rows
    assert [each["id"] for each in panels] == list(range(1, 4 * len(rows) + 1))
    places = {(each["gridPos"]["x"], each["gridPos"]["y"]) for each in panels}
    assert len(places) == len(panels), "none covers another"


def test_what_grafana_asks_is_promql_over_series_that_are_recorded(
    written: Path, todoke: Todoke, promtool: str
) -> None:
    queries = {target["expr"] for panel in exported(todoke, "grafana")["panels"] for target in panel.get("targets", ())}
    rules = yaml.safe_load(todoke("slo", "export", "--prometheus", "--definitions", "levels.yaml").stdout)
    recorded = {
        f'{rule["record"]}{{slo="{rule["labels"]["slo"]}"}}'
        for group in rules["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    named = [query for query in queries if "todoke_slo:" in query]
    assert named
    for query in named:
        assert any(series in query for series in recorded), query
    asked = [{"record": f"asked_{number}", "expr": query} for number, query in enumerate(sorted(queries))]
    (written / "asked.yaml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": asked}]}))
    command = [promtool, "check", "rules", "--lint-fatal", "asked.yaml"]
    done = subprocess.run(command, cwd=written, capture_output=True, text=True, check=False)
    assert (done.returncode, f"{len(asked)} rules found" in done.stdout) == (0, True), done.stdout + done.stderr


def test_google_takes_its_dashboard_and_the_bodies_that_it_shows(written: Path, todoke: Todoke) -> None:
    """By the discovery documents of Cloud Monitoring; nobody has sent them to the real one."""
    dashboard = exported(todoke, "google-dashboard")
    check("monitoring_v1", "Dashboard", dashboard)
    text = json.dumps(dashboard)
    for level in exported(todoke, "google"):
        assert f"/serviceLevelObjectives/{level['serviceLevelObjectiveId']}" in text
        check("monitoring_v3", "ServiceLevelObjective", level["serviceLevelObjective"])
        for policy in level["alertPolicies"]:
            check("monitoring_v3", "AlertPolicy", policy)
    tiles = dashboard["mosaicLayout"]["tiles"]
    squares = [
        (x, y)
        for tile in tiles
        for x in range(tile["xPos"], tile["xPos"] + tile["width"])
        for y in range(tile["yPos"], tile["yPos"] + tile["height"])
    ]
    assert len(squares) == len(set(squares)), "none covers another"
    assert max(x for x, _ in squares) < 48


@pytest.mark.parametrize("form", ["grafana", "google-dashboard"])
def test_dashboards_are_as_they_were(form: str, tmp_path: Path, todoke: Todoke) -> None:
    (tmp_path / "levels.yaml").write_text(HEAD + "".join(map(line, SHOWN)))
    golden = GOLDEN / f"slo_{form.replace('-', '_')}.json"
    assert exported(todoke, form) == json.loads(golden.read_text("utf-8"))
