"""The command `todoke`. Each command imports what it needs when it runs, so that help is shown at once."""

import os
import select
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Annotated, Any

import typer

from todoke.boundary import Manner
from todoke.commands import definitions, jobs, levels, operations, questions
from todoke.help import Grouped
from transforms.events.plain import escape_unwritable, quoted
from transforms.storage.scratch.folder import remove_folders

__all__ = ["app", "main"]

#: Seconds until what could not be interrupted is tried again.
_MOMENT = 0.01


class _Commands(Grouped):
    """The commands, and the one place where errors become a line and an exit code."""

    def make_context(self, info_name: Any, args: list[str], *more: Any, **options: Any) -> Any:
        """Read what stands before the command. If nobody reads the help to its end, the command ends quietly."""
        manner = Manner(tuple(args))
        try:
            return super().make_context(info_name, args, *more, **options)
        except BrokenPipeError as error:
            if _is_read():
                raise
            raise typer.Exit from error
        except Exception as error:
            if not (manner.form == "json" and hasattr(error, "format_message")):
                raise
            with manner.logs():
                raise typer.Exit(manner.tell(error)) from error

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--debug` wherever it stands."""
        ctx.obj = Manner(args)
        for arg in args:
            if not arg.isascii() and not _is_unicode(arg):
                ctx.fail(f"{quoted(arg)} is not UTF-8: name a UTF-8 locale, such as LC_ALL=C.UTF-8")
        return super().parse_args(ctx, [arg for arg in args if arg != "--debug"])

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a mistake ends it with one line, and with a traceback only on request."""
        with ctx.obj.logs():
            try:
                found = super().invoke(ctx)
                print(end="", flush=True)
                return found
            except Exception as error:
                read = _is_read()
                if _is_of_typer(error) and not (ctx.obj.form == "json" and hasattr(error, "format_message")):
                    raise
                if isinstance(error, BrokenPipeError) and not read:
                    raise typer.Exit from error  # `| head` has had enough: nothing failed
                raise typer.Exit(ctx.obj.tell(error)) from error


def _is_read() -> bool:
    """Whether somebody still reads standard output; if not, the rest is discarded."""
    try:
        output = sys.stdout.fileno()
    except (AttributeError, OSError):  # there is none, or it is not a file
        return True
    asked = select.poll()
    asked.register(output, 0)
    read = not any(event & select.POLLERR for _, event in asked.poll(0))
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return read


def _is_unicode(text: str) -> bool:
    """Whether Python could read an argument; bytes that it could not are half surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_of_typer(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("click", "typer")


app = typer.Typer(
    cls=_Commands,
    help="Customer engagement as code, on Apache Beam.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for each in (definitions, jobs, questions, levels, operations):
    app.registered_commands += each.group.commands.registered_commands


def _print_version(asked: bool) -> None:
    if asked:
        from todoke.version import version_line

        print(version_line(), flush=True)
        raise typer.Exit


@app.callback()
def todoke(
    debug: Annotated[bool, typer.Option("--debug", help="show where an error came from; with any command")] = False,
    shown: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="print the version and the commit, and exit"
        ),
    ] = False,
) -> None:
    """Customer engagement as code, on Apache Beam."""


def main() -> None:
    """Run the command line. SIGTERM ends it as Ctrl-C does, and then as a signal ends a process."""
    escape_unwritable(sys.stdout)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: _stop(number, frame, stopped))
    sys.unraisablehook = _interrupt_again
    try:
        app()
    finally:
        if stopped:
            remove_folders()
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os.kill(os.getpid(), stopped[0])  # whatever other threads still do
            os._exit(128 + stopped[0])  # the first process of a container has no default for signals


def _stop(number: int, frame: FrameType | None, stopped: list[int]) -> None:
    """Let the command end its work. A second signal ends the process at once."""
    stopped.append(number)
    signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, _interrupt)
    _interrupt(number, frame)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    """End what the command is doing; in a moment if that is polars, since Rust panics at what Python raises."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] == "polars":
            signal.setitimer(signal.ITIMER_REAL, _MOMENT)
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _interrupt_again(unraisable: Any) -> None:
    """A finaliser, or C code that can raise nothing, was interrupted: interrupt what comes after it."""
    if unraisable.exc_type is KeyboardInterrupt:
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, _MOMENT)
    else:
        sys.__unraisablehook__(unraisable)


if __name__ == "__main__":
    main()
