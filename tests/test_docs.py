"""Links and files that pages name are there, and every page of the site is reached."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "todoke" / "demo" / "data" / "README.md"])
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
MODULE = re.compile(r"`([\w/]+\.py)`")
#: An attribute of a class, such as `Event.arrival`.
ATTRIBUTE = re.compile(r"`([A-Z][a-z]\w+)\.([a-z]\w*)[`(]")


def links(page: Path) -> Iterator[str]:
    """The targets inside the repository, as they are written."""
    text = CODE.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))
    return (target for target in LINK.findall(text) if not re.match(r"[a-z]+:", target))


@cache
def modules() -> list[str]:
    """Every module of the repository, from its root."""
    places = ("beam_pipelines", "bench", "services", "tests", "todoke", "tools", "transforms")
    return [f"/{path.relative_to(ROOT).as_posix()}" for place in places for path in (ROOT / place).rglob("*.py")]


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them of plain ones."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"\s", "-", heading) for heading in plain}


def files(nav: Any) -> Iterator[str]:
    """The pages of a navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for inner in nav.values() if isinstance(nav, dict) else nav:
            yield from files(inner)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_pages_of_the_site_link_to_the_site(page: Path) -> None:
    for target in links(page):
        path = target.partition("#")[0]
        assert not path or DOCS in (page.parent / path).resolve().parents, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_modules_that_a_page_names_are_there(page: Path) -> None:
    """Of decisions and the changelog, which say how things were then, those of today alone are asked."""
    if page.parent.name == "decisions" or page.name == "CHANGELOG.md":
        pytest.skip("what was called so then may be called otherwise now")
    named = set(MODULE.findall(page.read_text(encoding="utf-8")))
    assert {module for module in named if not any(path.endswith(f"/{module}") for path in modules())} == set()


@cache
def attributes() -> dict[str, set[str]]:
    """What classes of the repository have, with what their bases here have, by the name of the class."""
    found: dict[str, set[str]] = {}
    bases: dict[str, list[str]] = {}
    for module in modules():
        for node in ast.walk(ast.parse((ROOT / module[1:]).read_bytes())):
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, []).extend(base.id for base in node.bases if isinstance(base, ast.Name))
                found.setdefault(node.name, set()).update(_names_in(node))
    for name in found:
        waiting = list(bases[name])
        while waiting:
            base = waiting.pop()
            found[name] |= found.get(base, set())
            waiting += bases.get(base, [])
    return found


def _names_in(definition: ast.ClassDef) -> Iterator[str]:
    for node in ast.walk(definition):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            yield node.attr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_attributes_that_a_page_names_are_there(page: Path) -> None:
    """Decisions too, which name a class that is gone without its attributes."""
    if page.name == "CHANGELOG.md":
        pytest.skip("it says what was called so")
    named = set(ATTRIBUTE.findall(page.read_text(encoding="utf-8")))
    assert {(of, name) for of, name in named if name not in attributes().get(of, ())} == set()


def test_each_page_is_in_the_navigation() -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    records = {page for page in pages if re.match(r"decisions/\d{4}-", page)}
    assert sorted(files(nav)) == sorted(pages - records)


def test_each_decision_is_in_the_list_of_decisions() -> None:
    records = {path.name for path in (DOCS / "decisions").glob("[0-9]*.md")}
    assert set(links(DOCS / "decisions" / "README.md")) == records
