"""The page of commands is made of what the commands say of themselves."""

from pathlib import Path

from tools.command_line import page

PUBLISHED = Path(__file__).parent.parent.parent / "docs" / "reference" / "command-line.md"


def test_the_page_is_made_of_this_code():
    assert PUBLISHED.read_text(encoding="utf-8") == page(), "run `make reference`, and look at what changed"
