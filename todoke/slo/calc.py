"""`todoke slo calc`: budgets from counts of other systems, a line of JSON for each."""

import sys

from todoke.terminal import json_text, print_error
from transforms.slos.calc import answer

__all__ = ["calc"]


def calc() -> int:
    """Answer each line of standard input; returns 2 if one is no question, which is said, as the others are answered.

    What is left out, or not given, is said on standard error, once.
    """
    said: set[str] = set()
    code = 0
    for number, line in enumerate(sys.stdin.buffer, 1):
        if not line.strip():
            continue
        try:
            found, left_out, not_given = answer(line)
        except ValueError as error:
            print_error(f"standard input, line {number}: {error}")
            code = 2
            continue
        print(json_text(found))
        notes = [str(each) for each in left_out]
        if not_given:
            notes.append(f"no counts of {', '.join(map(str, not_given))} s: what needs them has no data")
        for note in notes:
            if note not in said:
                said.add(note)
                print_error(f"standard input, line {number}: {note}")
    return code
