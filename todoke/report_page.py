"""What campaigns did as one HTML page that opens without a network or a script, on a telephone and on paper.

The page is the Liquid template `effects.html`; this module has the figures that it shows.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from liquid import Environment

from todoke.report_charts import interval_chart, looks_chart, looks_reach, reach
from todoke.report_users import shown_by_user
from todoke.report_words import (
    amount,
    comparison_words,
    interval_words,
    mean_words,
    p_words,
    ratio_words,
    verdict_words,
)
from transforms.campaigns.load import Definitions
from transforms.events.times import write_time
from transforms.metrics.effect import ArmEffect, GoalEffect
from transforms.views.campaign_report import EVERYTHING, CampaignReport, StepRow, arm_label

__all__ = ["report_page"]

_STATES = ("confirmed", "failed", "expired", "unknown")
#: So many days of entry are shown; the rest is in the JSON.
_DAYS = 60


def report_page(found: Collection[CampaignReport], definitions: Definitions | None = None) -> str:
    """The page.

    Args:
      found: one report a campaign, in their order.
      definitions: where given, campaigns have their names and owners.
    """
    page = Environment(autoescape=True).from_string(Path(__file__).with_name("effects.html").read_text("utf-8"))
    as_of = max((each.as_of for each in found), default=None)
    return page.render(
        as_of="" if as_of is None else write_time(as_of)[:16].replace("T", " "),
        campaigns=[_campaign(each, definitions) for each in found],
    )


def _campaign(found: CampaignReport, definitions: Definitions | None) -> dict[str, Any]:
    campaign = None if definitions is None else definitions.campaigns.get(found.campaign)
    return {
        "id": "all campaigns together" if found.campaign == EVERYTHING else found.campaign,
        "name": "" if campaign is None or campaign.name == found.campaign else campaign.name,
        "owner": "" if campaign is None else campaign.owner,
        "arms": [
            {"name": arm_label(arm), "entries": f"{count:,}", "units": f"{found.units.get(arm, 0):,}"}
            for arm, count in found.entries.items()
        ],
        "mismatch": found.balance.mismatch,
        "balance": p_words(found.balance.p) if found.balance.arms else "",
        "drawn": [
            {"name": arm_label(arm), "percent": percent, "units": f"{units:,}", "expected": f"{expected:,.0f}"}
            for arm, percent, units, expected in found.balance.arms
        ],
        "goals": [_goal(each) for each in found.effects],
        "steps": [_step(row) for row in found.steps],
        "refusals": _bars(found),
        "timing": [
            {
                "channel": row.channel,
                "what": f"{row.since} → {row.to.replace('_', ' ')}",
                "count": f"{row.count:,}",
                "bounds": [_seconds(each) for each in (row.half, row.most, row.nearly_all)],
            }
            for row in found.timing
        ],
        "by_user": shown_by_user(found) if found.by_user else [],
        "cohorts": _cohorts(found),
        "more_days": max(0, len({each.day for each in found.cohorts}) - _DAYS),
    }


def _goal(goal: GoalEffect) -> dict[str, Any]:
    compared = [each.found.between for each in goal.effects if each.found is not None]
    most = reach(compared)
    return {
        "name": goal.goal,
        "what": "users who reach it" if goal.measure == "rate" else "value a user",
        "maturing": f"{goal.maturing:,}" if goal.maturing else "",
        "next_complete": goal.next_complete,
        "arms": [
            {
                "name": arm_label(arm.arm),
                "units": f"{arm.units:,}",
                "reached": f"{arm.reached:,}",
                "mean": mean_words(goal.measure, arm),
                "between": "" if arm.between == (None, None) else interval_words(goal.measure, arm.between),
            }
            for arm in goal.arms
        ],
        "effects": [_effect(goal.measure, each, most) for each in goal.effects],
    }


def _effect(measure: str, effect: ArmEffect, most: float) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "pair": f"{arm_label(effect.arm)} against {arm_label(effect.base)}",
        "verdict": verdict_words(measure, effect),
        "way": {"more": "good", "less": "bad", "mismatch": "bad"}.get(effect.verdict, ""),
    }
    if (found := effect.found) is None:
        return shown
    shown |= {
        "difference": comparison_words(measure, found),
        "ratio": ratio_words(found),
        "p": p_words(found.p),
        "corrected": found.of if found.of > 1 else 0,
        "chart": interval_chart(found.difference, found.between, most),
        "looks": looks_chart(effect.looks),
        "reach": amount(measure, looks_reach(effect.looks)).replace("%", " pp"),
        "first": effect.looks[0].day if effect.looks else "",
        "last": effect.looks[-1].day if effect.looks else "",
        "open": effect.verdict == "open",  # which says it already
        "smallest": amount(measure, effect.smallest).replace("%", " pp"),
    }
    if (once := effect.once) is not None:
        shown["once"] = f"{comparison_words(measure, once)}, {p_words(once.p)}"
    return shown


def _step(row: StepRow) -> dict[str, Any]:
    counts = {name: f"{row.sends.get(name, 0):,}" for name in _STATES} | {"handed_off": f"{row.handed_off:,}"}
    people = {name: f"{getattr(row, name):,}" for name in ("opened", "clicked", "unsubscribed", "complained")}
    machines = {name: f"{getattr(row, name):,}" for name in ("machine_opened", "machine_clicked")}
    place = {"step": row.step, "arm": arm_label(row.arm), "channel": row.channel, "decided": f"{row.decided:,}"}
    return {**place, **counts, **people, **machines}


def _bars(found: CampaignReport) -> list[dict[str, Any]]:
    most = max(found.by_reason.values(), default=1)
    return [
        {"reason": reason, "count": f"{count:,}", "width": round(100 * count / most, 1)}
        for reason, count in found.by_reason.items()
    ]


def _cohorts(found: CampaignReport) -> Sequence[dict[str, Any]]:
    """The newest days of entry, by goal and arm."""
    days = sorted({each.day for each in found.cohorts})[-_DAYS:]
    return [
        {
            "day": each.day,
            "goal": each.goal,
            "arm": arm_label(each.arm),
            "units": f"{each.units:,}",
            "reached": f"{each.reached:,}",
            "share": f"{each.reached / each.units:.1%}" if each.units else "",
            "value": f"{each.total / 1_000_000:,.2f}" if each.total else "",
            "complete": each.complete,
            "maturing": each.complete > write_time(found.as_of)[:10],
        }
        for each in sorted(found.cohorts, key=lambda each: (each.day, each.goal, each.arm), reverse=True)
        if each.day in days
    ]


def _seconds(edge: str) -> str:
    return "more than a day" if edge == "+Inf" else f"{edge} s"
