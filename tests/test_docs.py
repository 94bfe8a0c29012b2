"""Every link between the pages leads somewhere."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md"), ROOT / "todoke" / "demo" / "data" / "README.md"]
)
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")


def links(page: Path) -> Iterator[str]:
    """The targets inside the repository, as they are written."""
    text = CODE.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))
    return (target for target in LINK.findall(text) if not re.match(r"[a-z]+:", target))


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them of plain ones."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"\s", "-", heading) for heading in plain}


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


def test_each_decision_is_in_the_list_of_decisions() -> None:
    records = {path.name for path in (DOCS / "decisions").glob("[0-9]*.md")}
    assert set(links(DOCS / "decisions" / "README.md")) == records


def glossary() -> Iterator[tuple[str, list[str]]]:
    """Each word of the glossary, and the code that its last column names."""
    for line in (DOCS / "glossary.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] != "word":
            yield cells[0], re.findall(r"`([^`]+)`", cells[-1])


@pytest.mark.parametrize(("word", "named"), [*glossary()])
def test_the_glossary_names_what_there_is(word: str, named: list[str]) -> None:
    """Paths, and names in the files that are named beside them."""
    paths = [ROOT / base / name for name in named for base in ("transforms", ".") if "/" in name or ".py" in name]
    found = [path for path in paths if path.exists()]
    names = [name for name in named if "/" not in name and ".py" not in name]
    assert len(found) == len(named) - len(names), word
    files = [file for path in found for file in (path.rglob("*.py") if path.is_dir() else [path])]
    text = "".join(file.read_text(encoding="utf-8") for file in files or (ROOT / "transforms").rglob("*.py"))
    for name in names:
        assert all(re.search(rf"\b{part}\b", text) for part in name.split(".")), (word, name)
