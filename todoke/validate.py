"""`todoke validate`: check definitions before anything runs."""

import sys
from pathlib import Path

import msgspec

from todoke.terminal import json_text, print_error
from transforms.campaigns.load import DefinitionsError, check, read_texts
from transforms.segments.document import Problems

__all__ = ["validate"]


def validate(path: Path, *, json: bool) -> int:
    """Report every problem, mistakes to standard error; returns the exit code: 0 for usable definitions, else 2."""
    try:
        definitions, problems = check(read_texts(path))
    except DefinitionsError as error:
        definitions, problems = None, error.problems
    if json:
        _print_json(problems)
    else:
        for problem in problems:
            print_error(str(problem))
        if definitions is None:
            count = len(problems.errors)
            print(f"{count} mistake" if count == 1 else f"{count} mistakes", file=sys.stderr)
        else:
            counts = ("segments", "campaigns", "messages")
            found = ", ".join(f"{len(getattr(definitions, name))} {name}" for name in counts)
            print(f"{path}: {found}; revision {definitions.revision}")
    return 2 if definitions is None else 0


def _print_json(problems: Problems) -> None:
    found = [msgspec.structs.asdict(problem) for problem in problems]
    print(json_text({"valid": not problems.errors, "problems": found}))
