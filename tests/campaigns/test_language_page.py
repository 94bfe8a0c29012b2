"""The definitions on the pages of the language are right, and their tables name every form that there is."""

import re
from pathlib import Path

import pytest

from transforms.campaigns import grammar_triggers
from transforms.campaigns.definitions import TRIGGERS
from transforms.campaigns.grammar import FIELDS
from transforms.campaigns.grammar_steps import STEPS, WAITS
from transforms.campaigns.grammar_triggers import EXITS, REENTRIES
from transforms.campaigns.load import check
from transforms.campaigns.policies import FIELDS as POLICIES
from transforms.identity.channels import channels
from transforms.messages.form import form_of
from transforms.slos.definitions import KINDS
from transforms.slos.grammar import LEVEL_FIELDS
from transforms.slos.owners import OWNER_FIELDS

DOCS = Path(__file__).parent.parent.parent / "docs" / "reference"
PAGES = ("definitions", "users", "receipts", "campaigns", "messages", "slos")
PAGE = "\n".join((DOCS / f"{page}.md").read_text(encoding="utf-8") for page in (*PAGES, "../slo"))
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", BLOCKS, ids=[text.splitlines()[1].strip() for text in BLOCKS])
def test_a_block_of_definitions_has_no_mistake(text: str) -> None:
    _, problems = check((("page.md", text),))
    assert [str(problem) for problem in problems.errors] == []


def test_every_word_of_the_language_is_on_the_page() -> None:
    words = {*FIELDS, *STEPS, *WAITS, *TRIGGERS, *EXITS, *REENTRIES, *POLICIES, *channels()}
    words |= {key for channel in channels() for key in form_of(channel).keys}
    words |= {*LEVEL_FIELDS, *OWNER_FIELDS, *KINDS}
    words |= {"then", "else", "unless", "at_most", "same", "include_current", "cron", "at", "zone", "variant", "with"}
    assert {word for word in words if not re.search(rf"(?<![a-z_]){word}(?![a-z_])", PAGE)} == set()


def test_every_kind_of_trigger_is_read() -> None:
    assert grammar_triggers._READERS.keys() == TRIGGERS.keys()
