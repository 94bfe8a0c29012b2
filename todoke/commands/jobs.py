"""Commands that run jobs."""

import time
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from todoke.commands.flags import Json
from todoke.extras import import_with
from todoke.help import CommandGroup

__all__ = ["group"]

#: When this process began, by `time.monotonic`.
_STARTED = time.monotonic()

group = CommandGroup("Jobs")


@group.command("todoke demo", "todoke demo --customers 200 --out /tmp/demo")
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="where to write")] = Path("out/demo"),
    store: Annotated[str | None, typer.Option(metavar="URL", help="default: a new SQLite file under --out")] = None,
    customers: Annotated[int | None, typer.Option(min=1, metavar="N", help="replay only so many customers")] = None,
) -> None:
    """Replay the real orders of a real shop through the whole pipeline, on this machine.

    It needs the extra todoke[demo]: a mail server, and the library that draws its report.
    """
    import_with("demo", "todoke.demo.command").demo(out, store, customers)


@group.command(
    "todoke run --definitions shop.yaml --events events.jsonl \\",
    "  --store sqlite:users.db",
    "todoke run --definitions shop.yaml --events 'new/*.gz' \\",
    "  --store sqlite:users.db --continue --push fcm:shop",
    "todoke run --definitions live.json --store sqlite:users.db \\",
    "  --events pubsub:projects/shop/subscriptions/events",
    job="beam_pipelines.options",
)
def run(context: typer.Context) -> None:
    """Read events, keep users and segments up to date, and send messages.

    Files are read to their end. A subscription is read until the job is stopped.
    """
    asked = import_module("beam_pipelines.options").parse(context.args)  # before Beam: a typo costs nothing
    import_module("todoke.run").run(context.args, asked, _STARTED)


@group.command(
    "todoke serve shop/",
    "todoke serve shop.yaml --push fcm:my-shop --email smtps://smtp.example.com",
    "todoke serve shop/ --listen 0.0.0.0:8600 --keys keys.json",
    job="todoke.serve.options",
)
def serve(context: typer.Context) -> None:
    """Take calls of SDKs over HTTP, keep users and segments up to date, and send messages: everything on this machine.

    It needs the extra todoke[serve]: an HTTP server.
    """
    import_module("todoke.serve.command").serve(context.args, _STARTED)


@group.command(
    "todoke backfill --definitions shop.yaml --events 'history/*.parquet' \\",
    "  --as-of 2026-07-01T00:00:00Z --store sqlite:users.db",
    "todoke backfill --definitions live.json --write seeds --store sqlite:users.db",
    "todoke backfill --definitions shop.yaml --events 'history/*.parquet' \\",
    "  --as-of today --write memberships --out members",
    job="beam_pipelines.backfill_options",
)
def backfill(context: typer.Context) -> None:
    """Read a history of events into a store, or say who was in which segment, and send nothing."""
    asked = import_module("beam_pipelines.backfill_options").parse(context.args)
    import_module("todoke.backfill").backfill(*asked)


@group.command(
    "todoke import customers.csv --mapping customers.yaml --dry-run",
    "todoke import installs.csv.gz --mapping examples/imports/appsflyer.yaml \\",
    "  --store sqlite:users.db --definitions shop.yaml",
    "todoke import 'answers/*.parquet' --mapping survey.yaml \\",
    "  --to pubsub:projects/shop/topics/events",
    name="import",
)
def import_(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES",
            help="CSV, Parquet, Avro or JSON Lines, plain or .gz; bigquery:PROJECT.DATASET.TABLE; bigquery:FILE.sql",
        ),
    ],
    *,
    mapping: Annotated[str, typer.Option(metavar="MAP", help="a YAML file that says what the columns are")],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FILES|TOPIC|QUEUE",
            help="JSON Lines or .parquet; or pubsub:projects/P/topics/T or queue:PATH of events",
        ),
    ] = None,
    store: Annotated[
        str | None, typer.Option(metavar="URL", help="where no job runs: sqlite:PATH or bigtable:PROJECT/INSTANCE")
    ] = None,
    definitions: Annotated[
        str | None, typer.Option(metavar="PATH", help="of the store's users: a file, a folder, or a pointer")
    ] = None,
    at: Annotated[str | None, typer.Option("--time", metavar="TIME", help="of rows that say no time")] = None,
    dead_letters: Annotated[
        str, typer.Option(metavar="FILE", help="rows that were rejected, with file, line and cause")
    ] = "import_rejects.jsonl",
    rate: Annotated[int, typer.Option(min=1, metavar="N", help="messages a second to a topic or a queue")] = 1_000,
    query_limit: Annotated[
        int, typer.Option(min=1, metavar="GB", help="how much a query of BigQuery may read; more is refused")
    ] = 1_000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="write nothing, and say what would be imported")] = False,
    json: Json = False,
) -> None:
    """Import rows of outside data as history: attributes, events, or both. It sends nothing.

    What is imported again is a duplicate.
    """
    module = import_module("todoke.imports")
    asked = module.AskedImport(
        tuple(files), mapping, to, store, definitions, at, dead_letters, rate, dry_run, query_limit
    )
    module.import_files(asked, json=json)


@group.command(
    "todoke launch realtime --project my-shop --region europe-west1 --print \\",
    "  --image europe-docker.pkg.dev/my-shop/todoke/todoke@sha256:DIGEST \\",
    "  --staging gs://my-shop/todoke --definitions gs://my-shop/live.json \\",
    "  --store bigtable:my-shop/prod --push fcm:my-shop \\",
    "  --events pubsub:projects/my-shop/subscriptions/events \\",
    "  --control pubsub:projects/my-shop/subscriptions/control \\",
    "  --control-topic pubsub:projects/my-shop/topics/control \\",
    "  --dead-letters pubsub:projects/my-shop/topics/dead-letters",
    job="beam_pipelines.launch_options",
)
def launch(context: typer.Context) -> None:
    """Launch a job on Dataflow from its template, after a look at all that it needs."""
    asked = import_module("beam_pipelines.launch_options").parse(context.args)
    module = import_module("todoke.launch")
    (module.print_request if asked.printed else module.launch)(asked)
