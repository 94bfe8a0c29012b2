"""What a filter makes of the texts of users is bounded."""

import pytest

from transforms.messages.liquid import fill


@pytest.mark.parametrize(
    "template",
    [
        "{{ event.text | replace: 'x', event.text }}",
        "{{ event.text | replace: 'x', event.text | replace: 'x', event.text | size }}",
        "{{ event.text | replace: '', event.text | size }}",
        "{{ event.text | split: '' | join: event.text | size }}",
        "{% assign many = event.texts %}{% for i in (1..12) %}{% assign many = many | concat: many %}{% endfor %}"
        "{{ many | join | size }}",
    ],
)
@pytest.mark.parametrize("escape", [False, True])
def test_what_users_write_times_what_users_write_is_bounded(template: str, escape: bool) -> None:
    """A text of that length asks for 8 TB: a MemoryError, which is no message's own, would fail the whole run."""
    text = "x" * 20_000
    with pytest.raises(ValueError, match=r"more than (1,000,000 characters|10,000,000 steps)"):
        fill(template, {"event": {"text": text, "texts": [text]}}, escape=escape)


def test_texts_may_be_replaced_and_joined_up_to_the_bound() -> None:
    scope = {"event": {"text": "x" * 20_000, "list": ["a", 2]}}
    assert fill("{{ event.text | replace: 'x', 'yz' | size }} {{ event.list | join: ', ' }}", scope, escape=False) == (
        "40000 a, 2"
    )
    assert fill("{{ 'a-b' | replace: '-', '+' | replace: 'a' }}{{ (1..3) | join }}", scope, escape=False) == "+b1 2 3"
