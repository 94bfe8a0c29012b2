"""What the tests of definitions share: `valid`, which has no mistake, and how mistakes are looked for."""

from collections.abc import Callable
from typing import Any

import pytest

from transforms.campaigns.load import check

VALID = """\
segments:
  vip: {owner: crm, members: {event: Order}}
messages:
  hello: {channel: push, title: Hello}
campaigns:
  greet:
    owner: crm
    trigger: {enters: vip}
    steps:
      - {send: hello}
    consent: news
"""


@pytest.fixture
def valid() -> str:
    return VALID


@pytest.fixture
def found_in() -> Callable[..., list[tuple[Any, ...]]]:
    """Each mistake as (line, path, cause); with several texts the file's number stands before."""

    def found_in(*texts: str) -> list[tuple[Any, ...]]:
        definitions, problems = check(tuple((f"{n}.yaml", text) for n, text in enumerate(texts)))
        assert (definitions is None) is bool(problems.errors)
        places = [(problem.line, problem.path, problem.cause) for problem in problems.errors]
        if len(texts) == 1:
            return list(places)
        return [(int(problem.file[0]), *place) for problem, place in zip(problems.errors, places, strict=True)]

    return found_in


@pytest.fixture
def same() -> Callable[[list[tuple[Any, ...]], list[tuple[Any, ...]]], None]:
    """Found mistakes are the expected ones, whose last items are parts of causes."""

    def same(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> None:
        assert [place[:-1] for place in found] == [place[:-1] for place in expected], found
        for place, (*_, part) in zip(found, expected, strict=True):
            assert part in place[-1]

    return same
