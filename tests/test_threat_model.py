"""Every attack of the threat model has a test, and the test is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "explanation" / "threat-model.md").read_text("utf-8")
FILES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")}


def rows() -> list[list[str]]:
    """The cells of tables of attacks."""
    found, asked = [], False
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        asked = line.startswith("|") and (asked or cells[0] == "attack")
        if asked and cells[0] not in ("attack", "---"):
            found.append(cells)
    return found


def test_every_attack_has_what_stops_it_and_a_test() -> None:
    assert len(rows()) > 40
    for attack, stopped, tests in rows():
        assert stopped, attack
        assert re.search(r"`[\w/]*test_\w+(\.py)?`", tests) or tests in ("the same", "the same, too"), attack


def test_the_tests_that_it_names_are_there() -> None:
    defined = {name for text in FILES.values() for name in re.findall(r"^def (test_\w+)\(", text, re.MULTILINE)}
    for name in re.findall(r"`([\w/.]+)`", " ".join(tests for *_, tests in rows())):
        if name.endswith(".py"):
            assert {f"tests/services/{name}", f"tests/services/engage/{name}", name} & FILES.keys(), name
        elif name.rpartition("/")[2].startswith("test_"):
            assert [each for each in defined if each.startswith(name)], name
