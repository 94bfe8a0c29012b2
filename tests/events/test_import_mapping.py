"""A mapping of outside data with a mistake is refused, and the mistake named."""

from typing import Any

import pytest

from transforms.events.imports.mapping import read_mapping


@pytest.mark.parametrize(
    ("plain", "cause"),
    [
        ({"event": "x"}, "user"),
        ({"user": "id"}, "an `event`, `attributes`"),
        ({"user": "id", "attributes": {"a": "a"}, "properties": {"b": "b"}}, "`properties`"),
        ({"user": "id", "attributes": {"a": {"type": "text"}}}, r"`attributes\.a`: name either"),
        (
            {"user": "id", "attributes": {"a": {"column": "a", "type": "word"}}},
            r"`attributes\.a`: `type`: expected one of text, .*list; found \"word\"",
        ),
        (
            {"user": "id", "attributes": {"a": {"column": "a", "typo": 1}}},
            r"`attributes\.a`: unknown field `typo`; expected one of column, ",
        ),
        ({"user": "id", "events": "x"}, "unknown field `events`; expected one of user, "),
        (
            {"user": "id", "event": "x", "csv": {"separator": ";"}},
            "`csv`: unknown field `separator`; expected one of delimiter",
        ),
        (
            {"user": "id", "event": "x", "properties": {"a": {"column": "a", "type": ["text"]}}},
            "`type`: expected one of",
        ),
        ({"user": "id", 3: "x"}, "unknown field `3`"),
        ({"user": "id", "event": "x", "zone": "Europe/Atlantis"}, "no time zone"),
        ({"user": "id", "event": "x", "csv": {"delimiter": "||"}}, "one character"),
        ([], "object"),
    ],
)
def test_a_mapping_with_a_mistake(plain: Any, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        read_mapping(plain)
