"""The command `todoke`. Each command imports what it runs when it runs, so that help comes at once."""

import logging
import os
import select
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from transforms.events.plain import plain_lines, plain_records

__all__ = ["app", "main"]

#: When this process began, by `time.monotonic`.
_STARTED = time.monotonic()
#: What a raised error means for the exit code: wrong use or definitions, or else a run that failed.
_WRONG_USE = {
    "DefinitionsError",
    "Forbidden",
    "GoogleAuthError",
    "LeaseHeld",
    "NoStore",
    "NotFound",
    "OlderDefinitions",
    "RunRefused",
    "WrongUse",
}
#: Errors that say themselves what happened. Of others the kind is said, too.
_FAILED = {"ControlFailed", "LeaseLost", "OSError", "PointerError", "RunFailed", "StoreError"}


class _Commands(TyperGroup):
    """The commands, and the one place where what they raise becomes a line and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--debug` wherever it stands."""
        ctx.obj = "--debug" in args
        return super().parse_args(ctx, [arg for arg in args if arg != "--debug"])

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a mistake ends it with a line, and with a traceback only where that was asked for."""
        records = logging.getLogRecordFactory()
        logging.setLogRecordFactory(plain_records(records))
        try:
            found = super().invoke(ctx)
            print(end="", flush=True)
            return found
        except Exception as error:
            read = _is_read()
            if _is_of_typer(error):
                raise
            if isinstance(error, BrokenPipeError) and not read:
                raise typer.Exit from error  # `| head` has had enough: nothing failed
            kinds = {kind.__name__ for kind in type(error).__mro__}
            print(plain_lines(_said(error, kinds)), file=sys.stderr)
            if ctx.obj:
                print(plain_lines("".join(traceback.format_exception(error))), file=sys.stderr)
            raise typer.Exit(2 if kinds & _WRONG_USE else 1) from error
        finally:
            logging.setLogRecordFactory(records)


def _is_read() -> bool:
    """Whether somebody reads standard output; what is left for one that takes no more goes nowhere."""
    try:
        output = sys.stdout.fileno()
    except (AttributeError, OSError):  # there is none, or it is no file
        return True
    asked = select.poll()
    asked.register(output, 0)
    read = not any(event & select.POLLERR for _, event in asked.poll(0))
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return read


def _is_of_typer(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("click", "typer")


def _said(error: Exception, kinds: set[str]) -> str:
    if "DefinitionsError" in kinds:
        return str(error)
    text = " ".join(str(error).split())
    if not kinds & (_WRONG_USE | _FAILED):
        text = f"{type(error).__name__}: {text} (--debug shows where)"
    return f"todoke: {text or type(error).__name__}"


app = typer.Typer(
    cls=_Commands,
    help="Customer engagement as code, on Apache Beam.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Store = Annotated[str, typer.Option("--store", metavar="URL", help="sqlite:PATH or bigtable:PROJECT/INSTANCE")]
Asked = Annotated[
    str, typer.Option("--definitions", metavar="PATH", help="a definitions file, a folder of them, or a pointer")
]
Topic = Annotated[
    str | None,
    typer.Option(metavar="TOPIC", help="the job's pubsub:projects/P/topics/T; default: the store's own control table"),
]
Json = Annotated[bool, typer.Option("--json", help="as JSON, for programs")]


@app.callback()
def todoke(
    debug: Annotated[bool, typer.Option("--debug", help="show where an error came from; with any command")] = False,
) -> None:
    """Customer engagement as code, on Apache Beam."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="where to write")] = Path("out/demo"),
    store: Annotated[str | None, typer.Option(metavar="URL", help="default: a new SQLite file under --out")] = None,
    customers: Annotated[int | None, typer.Option(min=1, help="take only so many customers")] = None,
) -> None:
    """Replay the real orders of a real shop through the whole pipeline, on this machine."""
    import_module("todoke.demo.command").demo(out, store, customers)


@app.command()
def validate(
    definitions: Annotated[Path, typer.Argument(metavar="DEFINITIONS", help="a file or a folder of files")],
    events: Annotated[
        str | None, typer.Option(metavar="SRC", help="recorded events, in which variables of messages are looked for")
    ] = None,
    json: Json = False,
) -> None:
    """Check definitions: every mistake with its file, line, path and cause."""
    if code := import_module("todoke.validate").validate(definitions, events, json=json):
        raise typer.Exit(code)


@app.command()
def schema() -> None:
    """Print the JSON Schema of definition files, for editors."""
    import_module("todoke.schema").print_schema()


@app.command()
def publish(
    definitions: Annotated[Path, typer.Argument(metavar="DEFINITIONS", help="a file or a folder of files")],
    to: Annotated[
        str, typer.Option("--to", metavar="POINTER", help="a .json file that jobs look at: a path or gs://…")
    ],
    activate: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="since when new conditions on events count; default: 90 seconds from now"),
    ] = None,
    json: Json = False,
) -> None:
    """Give running jobs new definitions: check them, and let the pointer name them."""
    import_module("todoke.publish").publish(definitions, to, activate, json=json)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="a definitions file, a folder of them, or a pointer")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="likewise")],
    json: Json = False,
) -> None:
    """What changes from OLD to NEW: conditions, who is a member, what waits for a seed, campaigns."""
    import_module("todoke.diff").diff(old, new, json=json)


@app.command()
def preview(
    name: Annotated[str, typer.Argument(metavar="SEGMENT|CAMPAIGN")],
    *,
    definitions: Asked,
    events: Annotated[
        str, typer.Option(metavar="SRC", help="a path or pattern of JSON Lines or Parquet, plain or .gz")
    ],
    as_of: Annotated[
        str | None, typer.Option(metavar="TIME", help="default: the newest arrival that is not in the future")
    ] = None,
    weeks: Annotated[int, typer.Option(min=1, max=520, metavar="N", help="so many weeks are shown")] = 12,
    sample: Annotated[int, typer.Option(min=0, max=1000, metavar="N", help="so many users are explained")] = 5,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="of a segment, count anonymous users too")] = False,
    json: Json = False,
) -> None:
    """Who would be in a segment, or get what of a campaign, by recorded events, and why. Nothing is sent or written."""
    import_module("todoke.preview").preview(
        name, definitions, events, as_of=as_of, weeks=weeks, sample=sample, anonymous=anonymous, json=json
    )


@app.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    help="Read events, keep users and segments, and send. `todoke run --help` lists the flags.",
)
def run(context: typer.Context) -> None:
    """Hand everything to the flags of the job."""
    if {"-h", "--help"} & set(context.args):  # without Beam, which takes a second to import
        import_module("beam_pipelines.options").parser().print_help()
        return
    asked = import_module("beam_pipelines.options").parse(context.args)  # before Beam: a typo costs nothing
    import_module("todoke.run").run(context.args, asked, _STARTED)


@app.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    help="Read a history of events into a store, and send nothing. `todoke backfill --help` lists the flags.",
)
def backfill(context: typer.Context) -> None:
    """Hand everything to the flags of the job."""
    if {"-h", "--help"} & set(context.args):
        import_module("beam_pipelines.backfill_options").parser().print_help()
        return
    asked = import_module("beam_pipelines.backfill_options").parse(context.args)
    import_module("todoke.backfill").backfill(*asked)


@app.command()
def export(
    store: Store,
    events: Annotated[
        str,
        typer.Option(metavar="FILES", help="such as 'out/*.jsonl.gz' (`*`: the day of arrival), or .parquet"),
    ],
    json: Json = False,
) -> None:
    """Write the archive of events to files, in the form that is read."""
    import_module("todoke.export").export(store, events, json=json)


@app.command()
def members(
    segment: Annotated[str, typer.Argument(metavar="SEGMENT")],
    store: Store,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="anonymous users too, as ~ID")] = False,
    json: Json = False,
) -> None:
    """Who is in a segment as of the last run: one user id a line, sorted."""
    import_module("todoke.members").members(segment, store, anonymous=anonymous, json=json)


@app.command()
def flow(
    segment: Annotated[str, typer.Argument(metavar="SEGMENT")],
    store: Store,
    json: Json = False,
) -> None:
    """Who came and went, by minute, as a live job counts: start of the minute, entered, left, size since it began."""
    import_module("todoke.flow").flow(segment, store, json=json)


@app.command()
def user(
    user_id: Annotated[str, typer.Argument(metavar="ID", help="a user id, or ~ and an anonymous id")],
    store: Store,
    json: Json = False,
) -> None:
    """One user: profile, memberships, journeys, and a timeline of events, sends and refusals."""
    import_module("todoke.user").user(user_id, store, json=json)


@app.command()
def inbox(
    user_id: Annotated[str, typer.Argument(metavar="ID", help="a user id")],
    store: Store,
    expired: Annotated[bool, typer.Option("--expired", help="those that are shown no longer, too")] = False,
    json: Json = False,
) -> None:
    """What the in-app inbox shows one user, newest first."""
    import_module("todoke.inbox").inbox(user_id, store, expired=expired, json=json)


@app.command()
def explain(
    user_id: Annotated[str, typer.Argument(metavar="USER", help="a user id, or ~ and an anonymous id")],
    segment: Annotated[str, typer.Argument(metavar="SEGMENT")],
    *,
    store: Store,
    definitions: Asked,
    as_of: Annotated[
        str | None, typer.Option(metavar="TIME", help="as if nothing came until then; default: the last run, live: now")
    ] = None,
    json: Json = False,
) -> None:
    """Why a user is in a segment or not: each condition, since when it says so, and when that ends by itself."""
    import_module("todoke.explain").explain(user_id, segment, store, definitions, as_of, json=json)


@app.command()
def wake(
    store: Store,
    control_topic: Topic = None,
    rate: Annotated[int, typer.Option(min=1, metavar="N", help="wakes a second")] = 1_000,
) -> None:
    """After a launch that is no update: wake all who wait for something."""
    import_module("todoke.wake").wake(store, control_topic, rate)


@app.command()
def sweep(
    store: Store,
    definitions: Asked,
    control_topic: Topic = None,
    older_than: Annotated[
        str, typer.Option(metavar="DURATION", help="leave claims alone that lapsed less than this ago, such as 1h")
    ] = "0s",
    json: Json = False,
) -> None:
    """Settle what a dead courier left claimed: once a lease is over, the campaign's on_unknown decides."""
    import_module("todoke.sweep").sweep_ledger(store, definitions, control_topic, older_than, json=json)


def main() -> None:
    """Run the command line."""
    handler = logging.StreamHandler()
    if "--debug" not in sys.argv:
        handler.setFormatter(logging.Formatter("todoke: %(message)s"))
        handler.addFilter(_is_ours)
    logging.basicConfig(handlers=[handler])
    app()


def _is_ours(record: logging.LogRecord) -> bool:
    """Beam logs a traceback for each step that fails; the cause is said in the end. So it is with Google's clients."""
    return record.name.partition(".")[0] in ("transforms", "todoke", "beam_pipelines")


if __name__ == "__main__":
    main()
