"""The report of a run as one HTML file that opens without a network: accounts, key figures, plots and tables.

The page is the Liquid template `report.html`; this module has the numbers that it shows. Its content security policy
forbids every request, so what the file needs is in it: plotly.js too, which draws the plots.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from liquid import Environment
from plotly.offline import get_plotlyjs

from todoke.report_plots import plots_of
from transforms.campaigns.load import Definitions
from transforms.events.plain import counted
from transforms.metrics.report import Summary, accounts_add_up

__all__ = ["write_html"]


def write_html(
    path: Path, summary: Summary, report: Mapping[str, Any], definitions: Definitions, *, title: str
) -> None:
    """Write the report of a bounded run.

    Args:
      path: the file, which is overwritten.
      summary: the run's tallies.
      report: of the same run, see `report_json`.
      definitions: what it ran with; their order is the page's.
      title: the heading.
    """
    page = Environment(autoescape=True).from_string(Path(__file__).with_name("report.html").read_text("utf-8"))
    plots = plots_of(summary, definitions)
    html = page.render(
        title=title,
        read=f"{report['read']:,}",
        report={**report, "as_of": report["as_of"][:16].replace("T", " ")},
        definitions=definitions.definitions_hash,
        accounts=_accounts(report),
        adds_up=accounts_add_up(report),
        tiles=_tiles(summary, report),
        plots=[msgspec.to_builtins(plot) for plot in plots],
        segments=_segment_rows(summary, report, definitions),
        campaigns=_campaign_rows(summary, report, definitions),
        deliveries=_delivery_rows(summary),
        figures=_json_in_script({plot.id: plot.figure for plot in plots if plot.figure["data"]}),
        plotly=get_plotlyjs(),
    )
    path.write_text(html, encoding="utf-8")


def _json_in_script(value: object) -> str:
    """JSON that is safe in a script element, whatever texts it holds: no `<` begins a tag or ends the script."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")


def _accounts(report: Mapping[str, Any]) -> list[dict[str, str]]:
    names = ("applied", "duplicates", "deleted", "dead_letters", "later")
    return [{"name": name.replace("_", " "), "count": f"{report[name]:,}"} for name in names]


def _tiles(summary: Summary, report: Mapping[str, Any]) -> list[dict[str, str]]:
    """The key figures, each with its name and a note."""
    handed_off = {channel: states.get("handed_off", 0) for channel, states in report["sends"].items()}
    seconds = report["elapsed_s"]
    per_second = f"{report['read'] / seconds:,.0f} a second" if seconds else ""
    return [
        _tile("messages read", report["read"], per_second),
        _tile("users", report["users"], f"{counted(summary.total('anonymous'), 'visitor')} stayed anonymous"),
        _tile("segment entries", summary.total("entered"), f"and {counted(summary.total('left'), 'exit')}"),
        _tile("campaign entries", report["entries"], f"{counted(report['waiting'], 'journey')} still waiting"),
        _tile("sends decided", summary.total("decided"), _listed(summary.by_label("decided", "channel"))),
        _tile("handed off", sum(handed_off.values()), _listed(handed_off)),
        _tile("refusals", sum(report["suppressed"].values()), "each with its reason"),
    ]


def _tile(name: str, count: int, note: str) -> dict[str, str]:
    return {"name": name, "count": f"{count:,}", "note": note}


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _segment_rows(summary: Summary, report: Mapping[str, Any], definitions: Definitions) -> list[dict[str, str]]:
    entered, left = summary.by_label("entered", "segment"), summary.by_label("left", "segment")
    return [
        {
            "id": name,
            "name": segment.name,
            "owner": segment.owner,
            "entered": f"{entered.get(name, 0):,}",
            "left": f"{left.get(name, 0):,}",
            "members": f"{report['segments'].get(name, 0):,}",
        }
        for name, segment in definitions.segments.items()
    ]


def _campaign_rows(summary: Summary, report: Mapping[str, Any], definitions: Definitions) -> list[dict[str, Any]]:
    """From the users who qualified down to the sends that were decided, and why others were not."""
    entries, decided, reasons = (
        summary.by_label("entries", "campaign"),
        summary.by_labels("decided", "campaign", "channel"),
        summary.by_labels("suppressed", "reason", "campaign"),
    )
    rows = []
    for name, campaign in definitions.campaigns.items():
        refused = {reason: campaigns[name] for reason, campaigns in reasons.items() if name in campaigns}
        by_size = sorted(refused.items(), key=lambda item: (-item[1], item[0]))
        rows.append(
            {
                "id": name,
                "name": campaign.name,
                "owner": campaign.owner,
                "entries": f"{entries.get(name, 0):,}",
                "goals": [_goal_line(goal) for goal in report["goals"] if goal["campaign"] == name],
                "decided": _listed(decided.get(name, {})) or "0",
                "refused": f"{sum(refused.values()):,}",
                "reasons": [{"name": reason, "count": f"{count:,}"} for reason, count in by_size],
            }
        )
    return rows


def _goal_line(goal: Mapping[str, Any]) -> str:
    """How many users of an arm reached a goal, and its value."""
    share = goal["conversions"] / goal["entries"]
    worth = f", worth {goal['value']:,.2f}" if goal["value"] else ""
    return f"{goal['goal']}, {goal['arm']}: {goal['conversions']:,} of {goal['entries']:,} ({share:.1%}){worth}"


def _delivery_rows(summary: Summary) -> list[dict[str, Any]]:
    decided = summary.by_label("decided", "channel")
    return [
        {
            "channel": channel,
            "decided": f"{decided.get(channel, 0):,}",
            "states": [{"name": state.replace("_", " "), "count": f"{count:,}"} for state, count in states.items()],
        }
        for channel, states in summary.by_labels("sends", "channel", "state").items()
    ]
