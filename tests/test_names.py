"""One name, one idea: what is public is called so in one module only."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: What may be called the same in several modules, and why.
ALLOWED = {
    "Database": "the connection of a kind of store: SQLite, and Bigtable",
}


def public(path: Path) -> Iterator[str]:
    """The public classes and types that a module defines."""
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.ClassDef):
            found = node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found = node.targets[0].id
        else:
            continue
        if found[0].isupper() and not found.isupper():
            yield found


def test_a_class_or_type_is_defined_once() -> None:
    places = defaultdict(list)
    for folder in ("transforms", "beam_pipelines", "services", "todoke"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name in public(path):
                places[name].append(path.relative_to(ROOT).as_posix())
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert set(twice) == set(ALLOWED), twice
