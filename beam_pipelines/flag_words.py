"""Words of a command as flags: what is mistyped is said, with what is meant. Nothing here imports Beam."""

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from typing import NoReturn

from beam_pipelines.beam_flags import unknown_words
from transforms.errors import WrongUse

__all__ = ["Misread", "names_of", "read_flags"]


class Misread(WrongUse):
    """Flags that cannot be read: one that must be given is missing, or one has no value or a wrong one."""


def read_flags(
    named: argparse.ArgumentParser, argv: list[str], beside: Sequence[str] = ()
) -> tuple[argparse.Namespace, list[str]]:
    """The flags of a parser, and what goes to Beam. `beside` are flags that may be meant, too.

    Raises:
      Misread: something is missing, has no value, or is no value.
      WrongUse: neither the parser nor Beam knows a flag.
    """
    named.error = partial(_misread, named, argv, beside)  # type: ignore[method-assign]
    flags, beam_flags = named.parse_known_args(argv)
    _check_names(beam_flags, named, beside)
    return flags, beam_flags


def _misread(named: argparse.ArgumentParser, argv: list[str], beside: Sequence[str], message: str) -> NoReturn:
    """Say what is wrong; a flag that nobody knows is said first, since what is missing may be meant by it."""
    ours = {name for action in named._actions for name in action.option_strings}
    words = [word.partition("=")[0] for word in argv if word.startswith("--")]
    try:
        _check_names([word for word in words if word not in ours], named, beside)
    except WrongUse as error:
        message = f"{error}; {message}"
    raise Misread(message)


def _check_names(beam_flags: list[str], named: argparse.ArgumentParser, beside: Sequence[str]) -> None:
    """Find mistyped flags, and say which of ours is meant. Beam passes over those that it does not know.

    Raises:
      WrongUse: there is one. The text has no value of a flag: it may be a secret.
    """
    if unknown := names_of(unknown_words(beam_flags)):
        ours = [*(name for action in named._actions for name in action.option_strings), *beside]
        close = dict.fromkeys(each for name in unknown for each in get_close_matches(name, ours, 1))
        meant = f"; did you mean {' '.join(f'`{each}`' for each in close)}?" if close else ""
        raise WrongUse(
            f"neither Todoke nor Beam knows {' '.join(unknown)}{meant or f'; `{named.prog} --help` lists the flags'}"
        )


def names_of(words: Sequence[str]) -> list[str]:
    """The flags among words, without their values; words that belong to no flag where there are no flags."""
    names = [word.partition("=")[0] for word in words if word.startswith("-")]
    return list(dict.fromkeys(names or words))
