"""A live job whose provider goes away and that is killed meanwhile: its report is that of the calls, and owners can see
from its store what happened.
"""

from pathlib import Path

import pytest

from bench.incident import DEFINITIONS, IncidentPlan, ask, run_incident


@pytest.mark.all_in_ci
@pytest.mark.timeout(1200)  # a kill in a hand-off would leave a claim, whose lease lasts five minutes
@pytest.mark.usefixtures("prism")
def test_kills_and_an_outage_change_no_count_and_are_seen(tmp_path: Path) -> None:
    """The outage is short here, and so is what the level promises."""
    promised = "campaign: thank_you, below: "
    shop = DEFINITIONS.read_text(encoding="utf-8").replace(f"{promised}60s", f"{promised}5s")
    definitions = tmp_path / "shop.yaml"
    definitions.write_text(shop, encoding="utf-8")
    plan = IncidentPlan(seconds=30.0, down_at=8.0, down=10.0, kills=(10.0, 15.0))
    checks, times = run_incident(tmp_path, plan, rate=5.0, seed=11, definitions=definitions)
    assert {check.name: check.wrong for check in checks if check.wrong} == {}
    figures = {check.name: check.figure for check in checks}
    assert figures["users who entered, by the report"] == 150
    ask(tmp_path, definitions, times)
    said = {name: (tmp_path / name).read_text(encoding="utf-8") for name in ("review.md", "postmortem.md")}
    assert "went out later than promised.\n\n| campaign | step | channel |" in said["postmortem.md"]
    assert "| thank_you | thanks | push | 5 s (thanked_soon) |" in said["postmortem.md"]
    assert "for thanked_soon: acts: exhausted since " in said["review.md"]
    assert "thanked_soon: CRM team is alerted by the page of 1 h" in said["postmortem.md"]
