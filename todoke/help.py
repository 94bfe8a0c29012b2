"""The output of `--help`: one form for every command, in plain text of any width, with nothing cut off."""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["Command", "CommandGroup", "Grouped", "JobCommand"]

_HELP = "show this help and exit"
#: The help of a hidden flag in `argparse`, which is not imported for other commands.
_SUPPRESSED = "==SUPPRESS=="

#: Two columns of the help, by the heading above them.
HelpSections = dict[str, list[tuple[str, str]]]
_Function = Callable[..., Any]


class CommandGroup:
    """Commands under one heading of `todoke --help`; `title` is the heading."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.commands = typer.Typer()

    def command(self, *examples: str, job: str = "", name: str | None = None) -> Callable[[_Function], _Function]:
        """Decorate a function as a command.

        Args:
          examples: command lines at the end of its help.
          job: the module whose `parser()` has the flags, for a command that passes them on unread.
          name: if it differs from the function's.
        """
        return self.commands.command(
            name,
            cls=_job(job) if job else Command,
            rich_help_panel=self.title,
            epilog="\n".join(examples),
            add_help_option=not job,
        )


class Command(TyperCommand):
    """A command with its arguments, options and examples."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; what is wrong with them is said below the usage of this command."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "ctx", ctx) is None:  # as of an option without its value
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the required arguments, and that there is more."""
        formatter.write_usage(ctx.command_path, " ".join([*self.needed(ctx), "[OPTIONS]"]))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        _write(formatter, self.rows(ctx))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the base class calls it so
        """Write the examples unchanged, for copying."""
        if self.epilog:
            with formatter.section("Examples"):
                for line in self.epilog.splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")

    def needed(self, ctx: Any) -> list[str]:
        """The required arguments and options."""
        arguments = [_name(each) for each in self._params(ctx, "argument")]
        return arguments + [_option(each, ctx)[0] for each in self._params(ctx, "option") if each.required]

    def rows(self, ctx: Any) -> HelpSections:
        """Arguments and options, with what they mean."""
        arguments = [(_name(each), each.help or "") for each in self._params(ctx, "argument")]
        return {"Arguments": arguments, "Options": [_option(each, ctx) for each in self._params(ctx, "option")]}

    def _params(self, ctx: Any, kind: str) -> list[Any]:
        params: list[Any] = self.get_params(ctx)
        return [each for each in params if each.param_type_name == kind and not each.hidden]


class JobCommand(Command):
    """A command with the flags of an `argparse` parser, which is made only when they are shown or read."""

    module = ""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Leave the flags to the job."""
        if set(ctx.help_option_names) & set(args):
            typer.echo(ctx.get_help())
            ctx.exit()
        ctx.args = args
        return args

    def get_help_option(self, ctx: Any) -> Any:
        """The help option, which `parse_args` looks for itself."""
        self.add_help_option = True
        return super().get_help_option(ctx)

    def invoke(self, ctx: Any) -> Any:
        """Run the job; flags that cannot be read are wrong use, as in any other command."""
        misread = import_module("beam_pipelines.flag_words").Misread
        try:
            return super().invoke(ctx)
        except misread as error:
            ctx.fail(str(error))

    def needed(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """The required flags."""
        return [_flag(action) for action in self._actions() if action.required]

    def rows(self, ctx: Any) -> HelpSections:
        """The flags under the headings that the parser gives them."""
        rows: HelpSections = {}
        for action in self._actions():
            needed = "  [required]" if action.required else ""
            rows.setdefault(_title(action), []).append((_flag(action), f"{action.help}{needed}"))
        rows["Options"].append((", ".join(ctx.help_option_names[::-1]), _HELP))
        return rows

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write which other flags are passed on, then the examples."""
        formatter.write_paragraph()
        formatter.write_text(self._parser().epilog)
        super().format_epilog(ctx, formatter)

    def _parser(self) -> Any:
        return import_module(self.module).parser()

    def _actions(self) -> list[Any]:
        actions = self._parser()._actions
        return [action for action in actions if action.help != _SUPPRESSED and action.dest != "help"]


class Grouped(TyperGroup):
    """Commands by the headings of their groups, each with the whole first paragraph of its help."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """A command of two words, such as `slo calc`, goes before the one of its first word."""
        words = " ".join(args[:2])
        if words in self.commands and len(args) > 1:
            return words, self.commands[words], args[2:]
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, then the commands."""
        options = [_option(each, ctx) for each in self.get_params(ctx)]
        rows: HelpSections = {}
        for name, command in self.commands.items():
            summary = (command.help or "").partition("\n\n")[0]
            title = getattr(command, "rich_help_panel", None) or "Commands"
            rows.setdefault(title, []).append((name, " ".join(summary.split())))
        _write(formatter, {"Options": options})
        widest = max(map(len, self.commands), default=0)
        _write(formatter, {title: [(name.ljust(widest), said) for name, said in rows[title]] for title in rows})


def _job(module: str) -> type[JobCommand]:
    return type("JobCommand", (JobCommand,), {"module": module})


def _write(formatter: Any, rows: HelpSections) -> None:
    for title, listed in rows.items():
        if listed:
            with formatter.section(title):
                formatter.write_dl(listed)


def _name(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return str(name if argument.required else f"[{name}]")


def _option(option: Any, ctx: Any) -> tuple[str, str]:
    name, meaning = option.get_help_record(ctx)
    return name, _HELP if option.name == "help" else meaning


def _flag(action: Any) -> str:
    words: Iterable[str] = action.option_strings
    value = "" if action.nargs == 0 else f" {action.metavar or '|'.join(action.choices or [action.dest.upper()])}"
    return f"{', '.join(words)}{value}".strip()


def _title(action: Any) -> str:
    title: str = action.container.title
    return "Arguments" if title == "positional arguments" else title.capitalize()
