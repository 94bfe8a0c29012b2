"""`todoke schema` prints what is published."""

from pathlib import Path

PUBLISHED = Path(__file__).parent.parent.parent / "docs" / "todoke.schema.json"


def test_what_is_printed_is_the_published_file(todoke):
    done = todoke("schema")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == PUBLISHED.read_text(encoding="utf-8")
