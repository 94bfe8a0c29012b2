"""`todoke validate`: check definitions before anything runs."""

import sys
from contextlib import suppress
from itertools import chain
from pathlib import Path

import msgspec

from todoke.terminal import json_text, print_error
from transforms.campaigns.load import DefinitionsError, check, read_texts
from transforms.campaigns.unknown import Sample, unknown_variables
from transforms.errors import WrongUse
from transforms.events.plain import counted
from transforms.messages.needs import Need
from transforms.segments.document import Problems

__all__ = ["validate"]


def validate(path: Path, events: str | None, *, json: bool) -> int:
    """Report every problem, mistakes to standard error; returns the exit code: 0 for usable definitions, else 2.

    With recorded `events`, variables that messages need are looked for in these, too.

    Raises:
      WrongUse, UnreadableFile: the events cannot be read.
    """
    needs: list[Need] = []
    sample = None if events is None else _sample(events)
    try:
        definitions, problems = check(read_texts(path), needs)
    except DefinitionsError as error:
        definitions, problems = None, error.problems
    if definitions is not None:
        for problem in unknown_variables(definitions, needs, sample):
            problems.note(problem)
    if json:
        _print_json(problems)
    else:
        for problem in problems:
            print_error(str(problem))
        if definitions is None and path.exists():
            print(counted(len(problems.errors), "mistake"), file=sys.stderr)
        elif definitions is not None:
            kinds = ("segment", "campaign", "message")
            found = ", ".join(counted(len(getattr(definitions, f"{kind}s")), kind) for kind in kinds)
            if definitions.slos:
                found += f", {counted(len(definitions.slos), 'service level')}"
            print(f"{path}: {found}; revision {definitions.definitions_hash}")
    return 2 if definitions is None else 0


def _sample(events: str) -> Sample:
    """The recorded events; those that cannot be read are left out.

    Raises:
      WrongUse, UnreadableFile: the files cannot be read, or hold no event that can.
    """
    from todoke.recorded import read_recorded

    found = read_recorded(events)
    first = next(found, None)
    if first is None:
        raise WrongUse(f"--events: {events} holds no event that could be read")
    return Sample.of(chain([first], found))


def _print_json(problems: Problems) -> None:
    found = [msgspec.structs.asdict(problem) for problem in problems]
    with suppress(BrokenPipeError):  # the exit code counts even if nobody reads on
        print(json_text({"valid": not problems.errors, "problems": found}))
