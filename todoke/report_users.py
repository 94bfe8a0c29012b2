"""What `todoke report --quantiles` and `--cuped` add: read of each user and of the archive."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from todoke.report_words import amount, comparison_words, interval_words, p_words, verdict_words
from todoke.store import open_asked
from transforms.campaigns.load import Definitions
from transforms.errors import WrongUse
from transforms.metrics.by_user import AdjustedEffect, ArmValues, GoalByUser
from transforms.metrics.effect import ArmEffect
from transforms.storage.scratch.folder import scratch_folder
from transforms.views.campaign_report import CampaignReport, arm_label

__all__ = ["goal_by_user_lines", "shown_by_user", "with_users"]


def with_users(
    found: Mapping[str, CampaignReport], url: str, known: Definitions | None, at: int, *, quantiles: bool, cuped: bool
) -> dict[str, CampaignReport]:
    """The reports with what only each user says; those whose arms do not fit their percentages stay as they are.

    Raises:
      WrongUse: there are no definitions, which say what goals are.
      StoreError: the store cannot be read.
      NoRoom: the temporary folder is full.
    """
    from transforms.metrics.unit_columns import values_by_user
    from transforms.users.export import archive_messages

    if known is None:
        raise WrongUse("--quantiles, --cuped: name --definitions, which say what the goals are")
    asked = {
        name: (known.campaigns[name], each.cohorts)
        for name, each in found.items()
        if name in known.campaigns and not each.balance.mismatch
    }
    store = open_asked(url)
    try:
        with scratch_folder() as folder:
            said = values_by_user(store, archive_messages(store), asked, at, folder)
    finally:
        store.close()
    kept = {name: tuple(_kept(goal, quantiles, cuped) for goal in goals) for name, goals in said.items()}
    return {name: msgspec.structs.replace(each, by_user=kept.get(name, ())) for name, each in found.items()}


def _kept(goal: GoalByUser, quantiles: bool, cuped: bool) -> GoalByUser:
    values, effects = goal.values if quantiles else (), goal.effects if cuped else ()
    return msgspec.structs.replace(goal, values=values, effects=effects)


def goal_by_user_lines(goal: GoalByUser) -> Iterator[str]:
    """A goal as lines."""
    if goal.values:
        yield f"{goal.goal}, quantiles of value a user, each with its interval at this look alone:"
        for arm in goal.values:
            yield f"  {arm_label(arm.arm)}, {arm.units:,}: {_quantiles(arm)}"
    if goal.effects:
        what = "reached by" if goal.measure == "rate" else "value a user"
        yield f"{goal.goal}, {what}, less what the time before entry explains:"
        for each in goal.effects:
            yield f"  {arm_label(each.arm)} against {arm_label(each.base)}: {_adjusted(goal.measure, each)}"


def _quantiles(arm: ArmValues) -> str:
    if not arm.quantiles:
        return "not enough data: fewer than 100 users reached it"
    return "; ".join(
        f"{100 * each.level:g}% {amount('value', each.value)} ({interval_words('value', each.between)})"
        for each in arm.quantiles
    )


def _adjusted(measure: str, effect: AdjustedEffect) -> str:
    said = verdict_words(measure, ArmEffect(effect.arm, effect.base, effect.verdict))
    if effect.adjusted is None:
        return said
    found, less = effect.adjusted.found, effect.adjusted.reduction
    return f"{said}; {comparison_words(measure, found)}, {p_words(found.p)}, variance {100 * less:.1f}% less"


def shown_by_user(found: CampaignReport) -> list[dict[str, Any]]:
    """What the page shows: a heading with lines."""
    said = [[*goal_by_user_lines(goal)] for goal in found.by_user]
    groups: list[dict[str, Any]] = []
    for line in (line for lines in said for line in lines):
        if line.startswith(" "):
            groups[-1]["lines"].append(line.strip())
        else:
            groups.append({"head": line, "lines": []})
    return groups
