"""Commands that ask a store, and change nothing in it."""

from importlib import import_module
from typing import Annotated

import typer

from todoke.commands.flags import DefinitionsPath, Json, StoreUrl, Zone
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
    zone: Zone = "UTC",
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
        str | None, typer.Option(metavar="TIME", help="as if nothing came until then; default: the last run, live: now")
    ] = None,
    zone: Zone = "UTC",
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
    anonymous: Annotated[bool, typer.Option("--anonymous", help="anonymous users too, as ~ID")] = False,
    zone: Zone = "UTC",
    json: Json = False,
) -> None:
    """List who is in a segment as of the last run: one user id a line, sorted."""
    import_module("todoke.members").members(segment, store, anonymous=anonymous, zone=zone, json=json)


@group.command("todoke flow buyers --store sqlite:users.db")
def flow(
    segment: Annotated[str, typer.Argument(metavar="SEGMENT", help="its id in the definitions")],
    store: StoreUrl,
    zone: Zone = "UTC",
    json: Json = False,
) -> None:
    """Show who came to a segment and who left it, by minute, as a live job counts.

    A line has the start of the minute, how many entered, how many left, and how many there were at its end.
    """
    import_module("todoke.flow").flow(segment, store, zone=zone, json=json)


@group.command(
    "todoke metrics --store sqlite:users.db",
    "todoke metrics --store sqlite:users.db --name sends \\",
    "  --since 2026-08-01T00:00:00Z",
    "todoke metrics --store sqlite:users.db --prometheus > todoke.prom",
)
def metrics(
    store: StoreUrl,
    name: Annotated[str | None, typer.Option(metavar="METRIC", help="one metric alone")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="what was counted from then on; default: all")
    ] = None,
    *,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="in Prometheus' text format")] = False,
    zone: Zone = "UTC",
    json: Json = False,
) -> None:
    """Show what live jobs have counted: sends, refusals, latencies, and how far they were behind.

    With --json there is one line a metric, labels and minute.
    """
    import_module("todoke.metrics").metrics(store, name, since, prometheus=prometheus, zone=zone, json=json)


@group.command(
    "todoke inbox ada --store sqlite:users.db",
    "todoke inbox ada --store sqlite:users.db --expired --json",
)
def inbox(
    user_id: Annotated[str, typer.Argument(metavar="ID", help="a user id")],
    store: StoreUrl,
    expired: Annotated[bool, typer.Option("--expired", help="those that are shown no longer, too")] = False,
    zone: Zone = "UTC",
    json: Json = False,
) -> None:
    """Show what the in-app inbox holds for one user, newest first."""
    import_module("todoke.inbox").inbox(user_id, store, expired=expired, zone=zone, json=json)


@group.command(
    "todoke sends --store sqlite:users.db --campaign win_back --reason capped",
    "todoke sends --store bigtable:shop/prod --state unknown --state failed \\",
    "  --since 2026-08-01T00:00:00Z --json",
)
def sends(
    *,
    store: StoreUrl,
    campaign: Annotated[str | None, typer.Option(metavar="CAMPAIGN", help="of one campaign")] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="suppressed (a refusal), failed, unknown, expired, handed_off, confirmed "
            "or claimed; repeated for several",
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="REASON", help="refused or failed for this reason")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="decided then or later")] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="so many at most")] = None,
    zone: Zone = "UTC",
    json: Json = False,
) -> None:
    """List sends and refusals of all users: whom a reason struck, what nobody knows about.

    They come by state, in the order in which the states stand here, then by campaign, newest decision first.
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
    cause: Annotated[str | None, typer.Option(metavar="CAUSE", help="refused for this cause")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="refused then or later")] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="so many at most")] = None,
    zone: Zone = "UTC",
    json: Json = False,
) -> None:
    """List the dead letters that the store keeps, newest first.

    A line has when it was refused, the cause, the user, what was found, and how the payload begins.
    """
    import_module("todoke.dead_letters").dead_letters(store, cause, since, limit=limit, zone=zone, json=json)
