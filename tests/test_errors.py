"""One hierarchy of errors: what each says, and what a command ends with."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest
from google.api_core.exceptions import Forbidden, NotFound, ServiceUnavailable
from google.auth.exceptions import DefaultCredentialsError

import beam_pipelines
import todoke
import transforms
from todoke.boundary import Manner
from transforms.campaigns.load import DefinitionsError
from transforms.campaigns.release import OlderDefinitions, PointerError
from transforms.errors import NotStarted, RunFailed, TodokeError, WrongUse
from transforms.segments.document import Problem, Problems
from transforms.storage.store import NoStore, StoreError


def kinds(kind: type[TodokeError] = TodokeError) -> Iterator[type[TodokeError]]:
    """The hierarchy as far as modules define it."""
    for package in (transforms, beam_pipelines, todoke):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    waiting = [kind]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += found.__subclasses__()


def test_every_kind_says_by_its_place_whether_anything_was_begun() -> None:
    found = {kind.__name__: kind for kind in kinds()}
    assert {"ControlFailed", "LeaseLost", "PointerError", "RunFailed", "StoreError"} <= found.keys()
    assert {"DefinitionsError", "LeaseHeld", "NoStore", "OlderDefinitions", "RunRefused", "WrongUse"} <= found.keys()
    for kind in found.values():
        assert kind.exit_code == (2 if issubclass(kind, NotStarted) else 1), kind


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (WrongUse("--store: none"), 2, "todoke: --store: none"),
        (RunFailed("the\n  pipeline failed"), 1, "todoke: the pipeline failed"),
        (StoreError(), 1, "todoke: StoreError"),
        (NoStore("there is no file x"), 2, "todoke: there is no file x"),
        (PointerError("x cannot be read"), 1, "todoke: x cannot be read"),
        (OlderDefinitions(3, 2), 2, "todoke: release 3 of the definitions was used already, and this process "),
        (OSError("No space left"), 1, "todoke: No space left"),
        (Forbidden("not yours"), 2, "todoke: 403 not yours"),
        (NotFound("no topic"), 2, "todoke: 404 no topic"),
        (DefaultCredentialsError("none"), 2, "todoke: none"),
        (ServiceUnavailable("later"), 1, "todoke: ServiceUnavailable: 503 later (--debug shows where)"),
        (ValueError("what?"), 1, "todoke: ValueError: what? (--debug shows where)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_is_one_line_and_an_exit_code(
    error: Exception, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Manner(["run"]).tell(error) == code
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert said.err.startswith(line)


def test_each_mistake_in_definitions_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    problems = Problems()
    for number in (1, 2):
        problems.note(Problem("d.yaml", number, "segments.a", "wrong"))
    error = DefinitionsError(problems)
    assert isinstance(error, NotStarted)
    assert Manner(["run"]).tell(error) == 2
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == ["d.yaml", "d.yaml"]
