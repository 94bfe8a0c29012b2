"""Commands that ask a store, and change nothing in it."""

from importlib import import_module
from typing import Annotated

import typer

from todoke.commands.flags import DefinitionsPath, Json, Limit, OneZone, StoredZone, StoreUrl, UserZone
from todoke.help import CommandGroup

__all__ = ["group"]

group = CommandGroup("Questions to a store")


@group.command(
    "todoke user ada --store sqlite:users.db",
    "todoke user '~device-1' --store bigtable:shop/prod --json",
)
def user(
    user_id: Annotated[str, typer.Argument(metavar="ID", help="a user id, or ~ and an anonymous id")],
    store: StoreUrl,
    zone: StoredZone = "UTC",
    json: Json = False,
) -> None:
    """Show one user: profile, memberships, journeys, and a timeline.

    The timeline has events, sends, and sends that were refused.
    """
    import_module("todoke.user").user(user_id, store, zone=zone, json=json)


@group.command(
    "todoke explain ada buyers --store sqlite:users.db --definitions shop.yaml",
    "todoke explain '~device-1' buyers --store sqlite:users.db \\",
    "  --definitions shop.yaml --as-of 2026-08-01T00:00:00Z",
)
def explain(
    user_id: Annotated[str, typer.Argument(metavar="USER", help="a user id, or ~ and an anonymous id")],
    segment: Annotated[str, typer.Argument(metavar="SEGMENT", help="its id in the definitions")],
    *,
    store: StoreUrl,
    definitions: DefinitionsPath,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="the answer at this time, if no more events came; default: the last run, or now for a live job",
        ),
    ] = None,
    zone: UserZone = "UTC",
    json: Json = False,
) -> None:
    """Explain why a user is in a segment, or is not.

    Each condition says since when it holds or does not, and when that ends by itself.
    """
    import_module("todoke.explain").explain(user_id, segment, store, definitions, as_of, zone=zone, json=json)


@group.command("todoke members buyers --store sqlite:users.db", "todoke members buyers --store sqlite:users.db --json")
def members(
    segment: Annotated[str, typer.Argument(metavar="SEGMENT", help="its id in the definitions")],
    store: StoreUrl,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="list anonymous users too, as ~ID")] = False,
    zone: OneZone = "UTC",
    json: Json = False,
) -> None:
    """List who is in a segment as of the last run: one user id per line, sorted."""
    import_module("todoke.members").members(segment, store, anonymous=anonymous, zone=zone, json=json)


@group.command("todoke flow buyers --store sqlite:users.db")
def flow(
    segment: Annotated[str, typer.Argument(metavar="SEGMENT", help="its id in the definitions")],
    store: StoreUrl,
    zone: OneZone = "UTC",
    json: Json = False,
) -> None:
    """Show how many users entered and left a segment, by minute, as live jobs counted them.

    Each line has the start of the minute, how many entered, how many left, and how many members there were at its end.
    """
    import_module("todoke.flow").flow(segment, store, zone=zone, json=json)


@group.command(
    "todoke metrics --store sqlite:users.db",
    "todoke metrics --store sqlite:users.db --name sends \\",
    "  --since 2026-08-01T00:00:00Z",
    "todoke metrics --store sqlite:users.db --prometheus > todoke.prom",
    "todoke metrics --store bigtable:shop/prod --serve 127.0.0.1:9464",
)
def metrics(
    store: StoreUrl,
    name: Annotated[str | None, typer.Option(metavar="METRIC", help="show only this metric")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="show only what was counted from this time on")
    ] = None,
    *,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="print the text format of Prometheus")] = False,
    serve: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="answer /metrics in that format until it is told to end")
    ] = None,
    otlp: Annotated[
        bool,
        typer.Option(
            "--otlp",
            help="send what the job counts to the collector of OpenTelemetry that OTEL_EXPORTER_OTLP_ENDPOINT names, "
            "until it is told to end",
        ),
    ] = False,
    zone: OneZone = "UTC",
    json: Json = False,
) -> None:
    """Show what live jobs have counted: sends, refusals, latencies, and how far they were behind.

    With --json, each line has one metric with its labels in one minute. With --serve or --otlp it goes on for ever, for
    a job wherever it runs: all that is asked for is in the store. --serve needs the extra todoke[serve], --otlp
    todoke[otel].
    """
    if serve is not None or otlp:
        if name or since or prometheus or json or (otlp and serve is not None):
            raise typer.BadParameter("--serve and --otlp stand alone, beside --store: they give out all metrics")
        told = import_module("todoke.metrics_told")
        told.serve_metrics(store, serve) if serve is not None else told.send_metrics(store)
        return
    import_module("todoke.metrics").metrics(store, name, since, prometheus=prometheus, zone=zone, json=json)


@group.command(
    "todoke report --store sqlite:users.db",
    "todoke report win_back --store bigtable:shop/prod \\",
    "  --definitions shop.yaml --html report.html",
)
def report(
    campaigns: Annotated[
        list[str] | None, typer.Argument(metavar="[CAMPAIGN]...", help="their ids; default: all")
    ] = None,
    *,
    store: StoreUrl,
    definitions: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="says which campaigns have ended as declared, and their names; may be left out"
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="what was complete at this time; default: the last run, or now for a live job"
        ),
    ] = None,
    programme: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="also what all campaigns together did since this time, by policies.global_holdout: reads the archive",
        ),
    ] = None,
    quantiles: Annotated[
        bool, typer.Option("--quantiles", help="also quantiles of value a user by arm: reads users and the archive")
    ] = False,
    cuped: Annotated[
        bool,
        typer.Option(
            "--cuped", help="also effects less what the time before entry explains: reads users and the archive"
        ),
    ] = False,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="write a page that opens without a network")] = None,
    json: Json = False,
) -> None:
    """Show what campaigns did: who entered, what was sent, what came of it, against holdout and between variants.

    The effect is by intention to treat. Intervals and p-values hold however often one looks.
    """
    import_module("todoke.report").report(
        list(campaigns or ()),
        *(store, definitions, as_of, html),
        **{"programme": programme, "quantiles": quantiles, "cuped": cuped, "json": json},
    )


@group.command(
    "todoke inbox ada --store sqlite:users.db",
    "todoke inbox ada --store sqlite:users.db --expired --json",
)
def inbox(
    user_id: Annotated[str, typer.Argument(metavar="ID", help="a user id")],
    store: StoreUrl,
    expired: Annotated[bool, typer.Option("--expired", help="show expired messages too")] = False,
    zone: StoredZone = "UTC",
    json: Json = False,
) -> None:
    """Show the messages in one user's in-app inbox, newest first."""
    import_module("todoke.inbox").inbox(user_id, store, expired=expired, zone=zone, json=json)


@group.command(
    "todoke sends --store sqlite:users.db --campaign win_back --reason capped",
    "todoke sends --store bigtable:shop/prod --state unknown --state failed \\",
    "  --since 2026-08-01T00:00:00Z --json",
)
def sends(
    *,
    store: StoreUrl,
    campaign: Annotated[str | None, typer.Option(metavar="CAMPAIGN", help="only of this campaign")] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="only in this state: suppressed (a refusal), failed, unknown, expired, handed_off, confirmed or "
            "claimed; may be repeated",
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="REASON", help="only those that were refused or failed for this reason")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="only what was decided at this time or later")
    ] = None,
    limit: Limit = None,
    zone: OneZone = "UTC",
    json: Json = False,
) -> None:
    """List sends and refusals of all users: whom a reason kept from a message, which sends are unknown.

    They are sorted by state, in the order that --state shows, then by campaign; the newest decision comes first.
    """
    asked = {"campaign": campaign, "states": tuple(state or ()), "reason": reason, "since": since}
    import_module("todoke.sends").sends(store, asked, limit=limit, zone=zone, json=json)


@group.command(
    "todoke dead-letters --store sqlite:users.db --cause no_id",
    "todoke dead-letters --store bigtable:shop/prod --limit 20 \\",
    "  --since 2026-08-01T00:00:00Z --json",
    name="dead-letters",
)
def dead_letters(
    *,
    store: StoreUrl,
    cause: Annotated[
        str | None, typer.Option(metavar="CAUSE", help="only those that were refused for this cause")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="only those that were refused at this time or later")
    ] = None,
    limit: Limit = None,
    zone: OneZone = "UTC",
    json: Json = False,
) -> None:
    """List the dead letters that the store keeps, newest first.

    Each line has the time of the refusal, the cause, the user, what was found, and the beginning of the payload.
    """
    import_module("todoke.dead_letters").dead_letters(store, cause, since, limit=limit, zone=zone, json=json)
