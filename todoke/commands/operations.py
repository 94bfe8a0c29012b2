"""Commands for those who operate a job."""

import sys
from importlib import import_module
from typing import Annotated

import typer

from todoke.commands.flags import MOST, DefinitionsPath, Json, StoreUrl, Topic
from todoke.help import CommandGroup
from transforms.errors import WrongUse

__all__ = ["group"]

group = CommandGroup("Operations")


@group.command(
    "todoke export --store sqlite:users.db --events 'out/*.jsonl.gz'",
    "todoke export --store bigtable:shop/prod --members 'members/*.parquet' \\",
    "  --sends 'sends/*.parquet'",
    "todoke export --store sqlite:users.db --user ada --out ada.json",
)
def export(
    *,
    store: StoreUrl,
    events: Annotated[
        str | None,
        typer.Option(
            metavar="FILES",
            help="the archive, such as 'out/*.jsonl.gz' (`*`: the day of arrival), or .parquet",
        ),
    ] = None,
    members: Annotated[
        str | None, typer.Option(metavar="FILES", help="who is in which segment (`*`: the segment)")
    ] = None,
    sends: Annotated[
        str | None,
        typer.Option(
            metavar="FILES", help="sends and refusals, and what became of them (`*`: the day of the decision)"
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="ID", help="all that is held of one user, or ~ and an anonymous id, as JSON")
    ] = None,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="with --user; default: standard output")] = None,
    json: Json = False,
) -> None:
    """Write what a store holds to files: events in the form that is read, members and sends, or all of one user."""
    module = import_module("todoke.export")
    asked = {"events": events, "members": members, "sends": sends}
    named = {kind: files for kind, files in asked.items() if files is not None}
    if user is None:
        if out is not None:
            raise typer.BadParameter("goes with --user", param_hint="--out")
        module.export(store, named, json=json)
    elif named:
        raise typer.BadParameter(
            "stands by itself: --events, --members and --sends are of all users", param_hint="--user"
        )
    else:
        module.export_user(store, user, out)


@group.command(
    "todoke delete ada --store sqlite:users.db --definitions shop.yaml",
    "todoke delete ada --to pubsub:projects/shop/topics/events --yes",
    "todoke delete '~device-1' --store bigtable:shop/prod \\",
    "  --control-topic pubsub:projects/shop/topics/control",
)
def delete(
    user_id: Annotated[
        str, typer.Argument(metavar="USER", help="a user id, ~ and an anonymous id, or an id that was merged")
    ],
    *,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="where the user is: sqlite:PATH or bigtable:PROJECT/INSTANCE; with no topic deletes there, at once "
            "or by the live job of this machine",
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="TOPIC|QUEUE",
            help="publish a `delete` call: pubsub:projects/P/topics/T or queue:PATH of events",
        ),
    ] = None,
    control_topic: Annotated[
        str | None,
        typer.Option(metavar="TOPIC", help="tell a job elsewhere, of a visitor too: its pubsub:projects/P/topics/T"),
    ] = None,
    definitions: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="of the store's users, where no job runs: a file, a folder, or a pointer"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    json: Json = False,
) -> None:
    """Delete a person: everything that is kept of them, for ever.

    What happened before and comes late is dropped. On Dataflow, name a topic: no lease tells that a job runs.
    """
    module = import_module("todoke.delete")
    asked = module.AskedDeletion(user_id, store, to, control_topic, definitions)
    module.delete(asked, None if yes else _confirm, json=json)


def _confirm(question: str) -> bool:
    if not sys.stdin.isatty():
        raise WrongUse("nobody is at a terminal to be asked: say --yes")
    return typer.confirm(question, err=True)


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
        str,
        typer.Option(
            "--to", metavar="TOPIC|QUEUE|FILE", help="pubsub:projects/P/topics/T, queue:PATH, or a file to add lines to"
        ),
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
    "todoke queue cat queue:events.db",
    "todoke queue cat queue:events.db --all > events.jsonl",
)
def queue(
    action: Annotated[
        str, typer.Argument(metavar="cat", help="print the messages as JSON Lines, as they were published")
    ],
    place: Annotated[str, typer.Argument(metavar="QUEUE", help="queue:PATH")],
    *,
    every: Annotated[bool, typer.Option("--all", help="those too that are acknowledged and still kept")] = False,
) -> None:
    """Show what waits in an embedded queue: what the job has not acknowledged, the oldest first.

    A run over files reads what is printed. It can be done while others append and a job reads.
    """
    import_module("todoke.queue").queue(action, place, every=every)


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
        str | None, typer.Option(metavar="SRC", help="at this: pubsub:projects/P/subscriptions/S, or queue:PATH")
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
