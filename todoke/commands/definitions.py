"""Commands that check, try and publish definitions."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from todoke.commands.flags import DefinitionsPath, Json
from todoke.help import CommandGroup

__all__ = ["group"]

group = CommandGroup("Definitions")


@group.command(
    "todoke validate shop.yaml",
    "todoke validate definitions/ --events 'recorded/*.jsonl.gz'",
    "todoke validate shop.yaml --json",
)
def validate(
    definitions: Annotated[Path, typer.Argument(metavar="DEFINITIONS", help="a file or a folder of files")],
    events: Annotated[
        str | None,
        typer.Option(
            metavar="SRC",
            help="recorded events; warns of variables of messages that some of their users or events lack",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Check definitions: every mistake with its file, line, path and cause."""
    if code := import_module("todoke.validate").validate(definitions, events, json=json):
        raise typer.Exit(code)


@group.command("todoke schema > todoke.schema.json")
def schema() -> None:
    """Print the JSON Schema of definition files, for editors."""
    import_module("todoke.schema").print_schema()


@group.command(
    "todoke preview buyers --definitions shop.yaml --events events.jsonl",
    "todoke preview welcome --definitions shop.yaml --events 'recorded/*.parquet' \\",
    "  --weeks 4",
)
def preview(
    name: Annotated[str, typer.Argument(metavar="SEGMENT|CAMPAIGN", help="its id in the definitions")],
    *,
    definitions: DefinitionsPath,
    events: Annotated[
        str, typer.Option(metavar="SRC", help="a path or pattern of JSON Lines, Parquet or Avro, plain or .gz")
    ],
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="look at events up to this time; default: the newest arrival that is not in the future"
        ),
    ] = None,
    weeks: Annotated[int, typer.Option(min=1, max=520, metavar="N", help="how many weeks to show")] = 12,
    sample: Annotated[int, typer.Option(min=0, max=1000, metavar="N", help="how many users to explain")] = 5,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="count anonymous users too (segments only)")] = False,
    zone: Annotated[
        str,
        typer.Option(
            metavar="user|UTC|NAME",
            help="show times in this zone, such as Europe/Berlin; user: each user of the sample in their own, all else "
            "in UTC",
        ),
    ] = "UTC",
    json: Json = False,
) -> None:
    """Show who would be in a segment, or what a campaign would send, according to recorded events.

    It explains a sample of the users. Nothing is sent, and nothing is written.
    """
    import_module("todoke.preview").preview(
        name,
        definitions,
        events,
        as_of=as_of,
        weeks=weeks,
        sample=sample,
        anonymous=anonymous,
        zone=zone,
        json=json,
    )


@group.command("todoke diff old/ new/", "todoke diff gs://bucket/shop.json shop.yaml --json")
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="a definitions file, a folder of them, or a pointer")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="the same, for the new ones")],
    json: Json = False,
) -> None:
    """Show what changes from OLD to NEW.

    It compares conditions, members, what waits for a seed, and campaigns.
    """
    import_module("todoke.diff").diff(old, new, json=json)


@group.command(
    "todoke publish shop.yaml --to gs://bucket/shop.json",
    "todoke publish definitions/ --to live.json --activate 2026-07-01T00:00:00Z",
)
def publish(
    definitions: Annotated[Path, typer.Argument(metavar="DEFINITIONS", help="a file or a folder of files")],
    to: Annotated[
        str, typer.Option("--to", metavar="POINTER", help="the .json file that the jobs watch: a path or gs://…")
    ],
    activate: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="when new conditions on events begin to count; default: 90 seconds from now"),
    ] = None,
    json: Json = False,
) -> None:
    """Check definitions and publish them to running jobs: the pointer names them."""
    import_module("todoke.publish").publish(definitions, to, activate, json=json)
