"""The examples of docs/reference/events.md are run: what becomes of each call, and what is known after them."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from transforms.events.decode import Cause, Refused, decode
from transforms.events.times import write_time
from transforms.events.wire import TYPES
from transforms.identity.profile import Profile
from transforms.segments.document import Problems, read_documents

DOCS = Path(__file__).parent.parent.parent / "docs" / "reference"
PART = re.compile(
    r"^#+ (?P<heading>[^\n]*)$|^```(?P<kind>json|becomes|attributes)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
TIMES = ("time", "arrival")


class Example(NamedTuple):
    heading: str
    calls: list[bytes]
    becomes: list[str]
    attributes: str | None


def read_page() -> list[Example]:
    examples: list[Example] = []
    heading, calls = "", []
    for found in PART.finditer((DOCS / "events.md").read_text(encoding="utf-8")):
        text = found["text"] or ""
        if found["heading"]:
            heading = found["heading"]
        elif found["kind"] == "json":
            calls = text.encode().splitlines()
        elif found["kind"] == "becomes":
            examples.append(Example(heading, calls, text.splitlines(), None))
        else:
            examples[-1] = examples[-1]._replace(attributes=text)
    return examples


EXAMPLES = read_page()


def plain(text: str) -> Any:
    problems = Problems()
    [node] = read_documents({"example": text}, problems)
    assert problems.found == []
    return node.plain()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.heading)
def test_each_call_becomes_what_the_page_says(example: Example) -> None:
    profile = Profile()
    assert len(example.calls) == len(example.becomes)
    for payload, expected in zip(example.calls, example.becomes, strict=True):
        if expected in set(Cause):
            with pytest.raises(Refused) as raised:
                decode(payload)
            assert raised.value.cause == expected
            continue
        event, _ = decode(payload)
        said = msgspec.structs.asdict(event)
        said |= {name: write_time(said[name]) for name in TIMES}
        fields = plain(expected)
        assert {name: said[name] for name in fields} == fields
        profile.apply(event)
    if example.attributes is not None:
        assert profile.values() == plain(example.attributes)


def test_the_page_shows_each_type_and_the_page_of_reasons_each_cause() -> None:
    page = (DOCS / "events.md").read_text(encoding="utf-8")
    assert all(f"`{type_}`" in page for type_ in TYPES.values())
    assert len(EXAMPLES) > 5
    reasons = (DOCS / "reasons.md").read_text(encoding="utf-8")
    assert all(f"| `{cause}` |" in reasons for cause in Cause)
