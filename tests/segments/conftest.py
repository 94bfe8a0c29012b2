"""`mistakes_in` checks one condition: each mistake as (line, path, cause), counted from the condition itself."""

from collections.abc import Callable

import pytest

from transforms.campaigns.load import check

Found = list[tuple[int, str, str]]

HEAD = "segments:\n  s:\n    owner: test\n    members:\n"
PATH = "segments.s.members"


@pytest.fixture
def mistakes_in() -> Callable[[str], Found]:
    def mistakes_in(condition: str) -> Found:
        indented = "".join(f"      {line}\n" for line in condition.splitlines())
        definitions, problems = check((("c.yaml", HEAD + indented),))
        assert (definitions is None) is bool(problems.errors)
        assert all(problem.path.startswith(PATH) for problem in problems.errors), [str(p) for p in problems]
        first = HEAD.count("\n")
        return [
            (problem.line - first, problem.path.removeprefix(PATH).removeprefix("."), problem.cause)
            for problem in problems.errors
        ]

    return mistakes_in
