"""Commands for those who operate a job."""

from importlib import import_module
from typing import Annotated

import typer

from todoke.commands.flags import MOST, DefinitionsPath, Json, StoreUrl, Topic
from todoke.help import CommandGroup

__all__ = ["group"]

group = CommandGroup("Operations")


@group.command(
    "todoke export --store sqlite:users.db --events 'out/*.jsonl.gz'",
    "todoke export --store bigtable:shop/prod --events history.parquet",
)
def export(
    store: StoreUrl,
    events: Annotated[
        str,
        typer.Option(metavar="FILES", help="such as 'out/*.jsonl.gz' (`*`: the day of arrival), or .parquet"),
    ],
    json: Json = False,
) -> None:
    """Write the archive of events to files, in the form that `todoke run` reads."""
    import_module("todoke.export").export(store, events, json=json)


@group.command(
    "todoke wake --store sqlite:users.db",
    "todoke wake --store bigtable:shop/prod \\",
    "  --control-topic pubsub:projects/shop/topics/control",
)
def wake(
    store: StoreUrl,
    control_topic: Topic = None,
    rate: Annotated[int, typer.Option(min=1, max=MOST, metavar="N", help="how many users a second")] = 1_000,
) -> None:
    """Wake all users who wait for something, after a job was launched anew and not as an update."""
    import_module("todoke.wake").wake(store, control_topic, rate)


@group.command(
    "todoke sweep --store sqlite:users.db --definitions shop.yaml",
    "todoke sweep --store sqlite:users.db --definitions shop.yaml --older-than 1h",
    "todoke sweep --store bigtable:shop/prod --definitions shop.yaml \\",
    "  --keep-dead-letters 30d",
)
def sweep(
    *,
    store: StoreUrl,
    definitions: DefinitionsPath,
    control_topic: Topic = None,
    older_than: Annotated[
        str, typer.Option(metavar="DURATION", help="leave out claims that lapsed less than this ago, such as 1h")
    ] = "0s",
    keep_dead_letters: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="delete dead letters that are older, such as 30d; 0 keeps none"),
    ] = None,
    json: Json = False,
) -> None:
    """Settle sends that a courier had claimed when it died; delete dead letters if told to.

    Once a lease is over, the campaign's on_unknown decides whether the message is sent again.
    """
    kept = {"older_than": older_than, "keep_dead_letters": keep_dead_letters}
    import_module("todoke.sweep").sweep_ledger(store, definitions, control_topic, **kept, json=json)


@group.command(
    "todoke replay --store sqlite:users.db --to again.jsonl --cause bad_time",
    "todoke replay --store bigtable:shop/prod --cause hot_id --rate 100 \\",
    "  --to pubsub:projects/shop/topics/events --since 2026-08-01T00:00:00Z",
)
def replay(
    *,
    store: StoreUrl,
    to: Annotated[
        str, typer.Option("--to", metavar="TOPIC|FILE", help="pubsub:projects/P/topics/T, or a file to add lines to")
    ],
    cause: Annotated[
        str | None, typer.Option(metavar="CAUSE", help="only those that were refused for this cause")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="only those that were refused at this time or later")
    ] = None,
    rate: Annotated[int, typer.Option(min=1, max=MOST, metavar="N", help="how many messages a second")] = 1_000,
    again: Annotated[bool, typer.Option("--again", help="publish those too that were published again before")] = False,
    json: Json = False,
) -> None:
    """Publish again the dead letters that the store keeps, each with its own id.

    What was applied in the meantime is a duplicate. Each letter is marked, and left out the next time.
    """
    import_module("todoke.replay").replay(store, to, (cause, since), rate, again=again, json=json)


@group.command(
    "todoke doctor",
    "todoke doctor --definitions shop.yaml --store sqlite:users.db",
    "todoke doctor --store bigtable:shop/prod --json \\",
    "  --events pubsub:projects/shop/subscriptions/events \\",
    "  --control-topic pubsub:projects/shop/topics/control",
)
def doctor(
    *,
    definitions: Annotated[
        str | None, typer.Option(metavar="PATH", help="look at these definitions, too: a file, a folder, or a pointer")
    ] = None,
    events: Annotated[
        str | None, typer.Option(metavar="SRC", help="at this subscription: pubsub:projects/P/subscriptions/S")
    ] = None,
    store: Annotated[
        str | None, typer.Option(metavar="URL", help="at this store: sqlite:PATH or bigtable:PROJECT/INSTANCE")
    ] = None,
    control: Annotated[
        str | None, typer.Option(metavar="SRC", help="at the subscription of the control topic; the job is elsewhere")
    ] = None,
    control_topic: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="at the control topic: pubsub:projects/P/topics/T")
    ] = None,
    dead_letters: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="at the topic of dead letters: pubsub:projects/P/topics/T")
    ] = None,
    json: Json = False,
) -> None:
    """Look at this installation, and at what a job needs; say what is missing and what to do.

    It ends within half a minute, with a network or without, and with 1 where something that is needed is missing.
    """
    found = import_module("todoke.doctor.command")
    asked = found.Asked(definitions, events, store, control, control_topic, dead_letters)
    raise typer.Exit(found.doctor(asked, json=json))
