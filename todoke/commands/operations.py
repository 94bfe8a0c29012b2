"""Commands for those who operate a job."""

from importlib import import_module
from typing import Annotated

import typer

from todoke.commands.flags import DefinitionsPath, Json, StoreUrl, Topic
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
    """Write the archive of events to files, in the form that is read."""
    import_module("todoke.export").export(store, events, json=json)


@group.command(
    "todoke wake --store sqlite:users.db",
    "todoke wake --store bigtable:shop/prod \\",
    "  --control-topic pubsub:projects/shop/topics/control",
)
def wake(
    store: StoreUrl,
    control_topic: Topic = None,
    rate: Annotated[int, typer.Option(min=1, metavar="N", help="wakes a second")] = 1_000,
) -> None:
    """Wake all users who wait for something, after a launch that is no update."""
    import_module("todoke.wake").wake(store, control_topic, rate)


@group.command(
    "todoke sweep --store sqlite:users.db --definitions shop.yaml",
    "todoke sweep --store sqlite:users.db --definitions shop.yaml --older-than 1h",
)
def sweep(
    store: StoreUrl,
    definitions: DefinitionsPath,
    control_topic: Topic = None,
    older_than: Annotated[
        str, typer.Option(metavar="DURATION", help="leave claims alone that lapsed less than this ago, such as 1h")
    ] = "0s",
    json: Json = False,
) -> None:
    """Settle what a dead courier left claimed.

    Once a lease is over, the campaign's on_unknown decides whether the message is sent again.
    """
    import_module("todoke.sweep").sweep_ledger(store, definitions, control_topic, older_than, json=json)


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
    cause: Annotated[str | None, typer.Option(metavar="CAUSE", help="those that were refused for this cause")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="those that were refused then or later")] = None,
    rate: Annotated[int, typer.Option(min=1, metavar="N", help="messages a second")] = 1_000,
    again: Annotated[bool, typer.Option("--again", help="those too that were published again before")] = False,
    json: Json = False,
) -> None:
    """Publish the dead letters that the store keeps again, each with its own id.

    What had been applied meanwhile is a duplicate. Each letter is marked, and is passed over the next time.
    """
    import_module("todoke.replay").replay(store, to, (cause, since), rate, again=again, json=json)
