"""The command `todoke`. Each command imports what it runs when it runs, so that help comes at once."""

import logging
import os
import select
import sys
import traceback
from typing import Annotated, Any

import typer

from todoke.commands import definitions, jobs, operations, questions
from todoke.help import Grouped
from transforms.events.plain import plain_lines, plain_records

__all__ = ["app", "main"]

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


class _Commands(Grouped):
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
    context_settings={"help_option_names": ["--help", "-h"]},
)
for each in (definitions, jobs, questions, operations):
    app.registered_commands += each.group.commands.registered_commands


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"todoke {version('todoke')}")
        raise typer.Exit


@app.callback()
def todoke(
    debug: Annotated[bool, typer.Option("--debug", help="show where an error came from; with any command")] = False,
    shown: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="print the version and exit")
    ] = False,
) -> None:
    """Customer engagement as code, on Apache Beam."""


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
