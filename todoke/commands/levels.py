"""Commands about service levels."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from todoke.commands.flags import DefinitionsPath, Json, OneZone, StoreUrl
from todoke.help import CommandGroup

__all__ = ["group"]

group = CommandGroup("Service levels")

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="only this level, by its id in the definitions")]
AsOf = Annotated[str | None, typer.Option(metavar="TIME", help="as of this time; default: now")]
ExpectedJob = Annotated[
    str | None,
    typer.Option(
        metavar="running|stopped",
        help="whether a live job is expected to run: then a minute without a measurement is bad for freshness; "
        "default: as its lease says",
    ),
]


@group.command(
    "todoke slo --store sqlite:users.db --definitions shop.yaml",
    "todoke slo push_latency --store sqlite:users.db --definitions shop.yaml --json",
)
def slo(
    name: Name = None,
    *,
    store: StoreUrl,
    definitions: DefinitionsPath,
    as_of: AsOf = None,
    job: ExpectedJob = None,
    zone: OneZone = "UTC",
    json: Json = False,
) -> None:
    """Show what service levels come to: what is left of their budgets, since when somebody is to act, and alerts."""
    import_module("todoke.slo.show").slo(name, store, definitions, as_of, job, zone=zone, json=json)


@group.command("todoke slo check --store sqlite:users.db --definitions shop.yaml", name="slo check")
def check(
    name: Name = None,
    *,
    store: StoreUrl,
    definitions: DefinitionsPath,
    as_of: AsOf = None,
    job: ExpectedJob = None,
    json: Json = False,
) -> None:
    """Say whether the objectives of levels on trial are sane, by what they would have come to.

    One that is met too easily, or missed from the start, or that could never alert, should not go live: then the exit
    code is 1.
    """
    if code := import_module("todoke.slo.check").check(name, store, definitions, as_of, job, json=json):
        raise typer.Exit(code)


@group.command(
    "todoke slo export --definitions shop.yaml --prometheus > todoke-rules.yaml",
    "todoke slo export --definitions shop.yaml --prometheus --tests \\",
    "  > todoke-rules-test.yaml",
    "promtool test rules todoke-rules-test.yaml",
    "todoke slo export --definitions shop.yaml --grafana > todoke-slo.json",
    name="slo export",
)
def export(
    name: Name = None,
    *,
    definitions: DefinitionsPath,
    openslo: Annotated[bool, typer.Option("--openslo", help="print OpenSLO v1")] = False,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="print rules of Prometheus")] = False,
    google: Annotated[bool, typer.Option("--google", help="print bodies for Google Cloud Monitoring")] = False,
    grafana: Annotated[
        bool, typer.Option("--grafana", help="print a dashboard of Grafana, over the rules of --prometheus")
    ] = False,
    google_dashboard: Annotated[
        bool,
        typer.Option("--google-dashboard", help="print a dashboard of Cloud Monitoring, over the bodies of --google"),
    ] = False,
    tests: Annotated[
        bool,
        typer.Option("--tests", help="with --prometheus: print promtool's tests of todoke-rules.yaml"),
    ] = False,
) -> None:
    """Print service levels, and the alerts that follow from them, in the form of another system.

    Levels on trial have no alerts there.
    """
    asked = {"openslo": openslo, "prometheus": prometheus, "google": google}
    asked |= {"grafana": grafana, "google_dashboard": google_dashboard}
    forms = [form for form, is_asked in asked.items() if is_asked]
    if len(forms) != 1:
        named = ", ".join(f"--{form.replace('_', '-')}" for form in asked)
        raise typer.BadParameter(f"name one of {named}")
    import_module("todoke.slo.export").export(name, definitions, forms[0], tests=tests)


@group.command(
    "todoke slo enforce --store sqlite:users.db --definitions shop.yaml --for 1h",
    name="slo enforce",
)
def enforce(
    *,
    store: StoreUrl,
    definitions: DefinitionsPath,
    lasts: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="how long it holds, unless this is run again; 1m to 7d")
    ] = "1h",
    job: ExpectedJob = None,
    json: Json = False,
) -> None:
    """Hold sends of low priority back while the budget of a live level is used up, as its `on_exhausted` says.

    It writes one row, which ends by itself. Schedule it, say every 15 minutes.
    """
    import_module("todoke.slo.enforce").enforce(store, definitions, lasts, job, json=json)


@group.command(
    "todoke slo review --store sqlite:users.db --definitions shop.yaml \\",
    "  --last reviews/2026-W13.md > reviews/2026-W14.md",
    name="slo review",
)
def review(
    *,
    store: StoreUrl,
    definitions: DefinitionsPath,
    week: Annotated[
        str | None, typer.Option(metavar="WEEK", help="such as 2026-W14; default: the last that is over, UTC")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="write a page instead of printing Markdown")] = None,
    last: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the last review as Markdown; its open tasks are taken over")
    ] = None,
    job: ExpectedJob = None,
    json: Json = False,
) -> None:
    """Write what owners look at every week: each level, who acts, the worst hours, and what changed meanwhile."""
    import_module("todoke.slo.review").review(store, definitions, week, html=html, last=last, job=job, json=json)


@group.command(
    "todoke slo postmortem --store sqlite:users.db --definitions shop.yaml \\",
    "  --from 2026-08-01T09:00:00Z --to 2026-08-01T10:30:00Z > postmortem.md",
    name="slo postmortem",
)
def postmortem(
    *,
    store: StoreUrl,
    definitions: DefinitionsPath,
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="when it began")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="when it was over; at most 7 days later")],
    job: ExpectedJob = None,
) -> None:
    """Write down what is known of an incident, as Markdown to go on with.

    What it cost, a timeline, what changed before, who was affected and what was not sent.
    """
    import_module("todoke.slo.postmortem").postmortem(store, definitions, start, end, job)


@group.command("todoke slo calc < counts.jsonl", name="slo calc")
def calc() -> None:
    """Say what is left of a budget, and which alerts fire, by counts of whatever system.

    Each line of standard input is a JSON object: the `objective` in percent, the `window` (7d, 28d or 30d), `counts` as
    [bad, total] by the seconds of trailing windows, and if wanted `at_least`, the events that an alert needs. The
    answer has exact fractions. A line that is no such question is said on standard error, and the exit code is 2; the
    others are answered.
    """
    if code := import_module("todoke.slo.calc").calc():
        raise typer.Exit(code)
