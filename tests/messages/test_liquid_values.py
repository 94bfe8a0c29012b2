"""What is nil, blank and empty, and what is printed of values that are no text, as in Ruby's Liquid."""

import pytest

from transforms.messages.liquid import fill

SCOPE = {
    "user": {
        "gone": None,
        "nothing": "",
        "space": " ",
        "name": "Ada",
        "none": [],
        "mapping": {},
        "no": False,
        "zero": 0,
    },
    "event": {
        "list": ["a", None, True, 1, [False, "b"]],
        "flags": [True, False],
        "map": {"a": "<x>", "b": [True, None]},
        "maps": [{"a": 1}, {"b": None}],
        "yes": True,
    },
}


@pytest.mark.parametrize(
    ("value", "blank", "empty", "nil"),
    [
        ("user.missing", True, False, True),
        ("user.missing.deeper", True, False, True),
        ("user.gone", True, False, True),
        ("nil", True, False, True),
        ("user.nothing", True, True, False),
        ("user.space", True, False, False),
        ("user.none", True, True, False),
        ("user.mapping", True, True, False),
        ("user.no", True, False, False),
        ("user.zero", False, False, False),
        ("user.name", False, False, False),
    ],
)
def test_what_is_blank_empty_and_nil(value: str, blank: bool, empty: bool, nil: bool) -> None:
    def answer(template: str) -> bool:
        return fill(template, SCOPE, escape=False) == "x"

    for word, expected in (("blank", blank), ("empty", empty), ("nil", nil), ("null", nil)):
        assert answer(f"{{% if {value} == {word} %}}x{{% endif %}}") == expected
        assert answer(f"{{% if {word} == {value} %}}x{{% endif %}}") == expected
        assert answer(f"{{% if {value} != {word} %}}x{{% endif %}}") != expected
        assert answer(f"{{% unless {value} != {word} %}}x{{% endunless %}}") == expected
        assert answer(f"{{% if false %}}{{% elsif {value} == {word} and true %}}x{{% endif %}}") == expected
        assert answer(f"{{% case {value} %}}{{% when {word} %}}x{{% endcase %}}") == expected


def test_a_name_that_may_be_missing_is_greeted_without() -> None:
    template = "Hi{% if user.first_name != blank %} {{ user.first_name }}{% endif %}!"
    assert fill(template, {"user": {}}, escape=False) == "Hi!"
    assert fill(template, {"user": {"first_name": "Ada"}}, escape=False) == "Hi Ada!"


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("{{ event.list }}", "atrue1falseb"),
        ("{% echo event.list %}", "atrue1falseb"),
        ("{% liquid echo event.list %}", "atrue1falseb"),
        ("{{ event.flags | join: '-' }}", "true-false"),
        ("{{ event.maps | join: ' ' }}", '{"a":1} {"b":null}'),
        ("{{ event.map }}", '{"a":"<x>","b":[true,null]}'),
        ("{{ event.maps }}", '{"a":1}{"b":null}'),
        ("{{ event.yes | append: event.yes }}", "truetrue"),
        ("{{ 'x' | append: event.map }}", 'x{"a":"<x>","b":[true,null]}'),
        ("{{ event.map | append: '' }}", '{"a":"<x>","b":[true,null]}'),
        ("{% for pair in event.maps[0] %}{{ pair }}{% endfor %}", "a1"),
        ("{% capture c %}{{ event.flags }}{% endcapture %}{{ c | size }}", "9"),
    ],
)
def test_what_is_printed_of_values(template: str, printed: str) -> None:
    assert fill(template, SCOPE, escape=False) == printed
    escaped = printed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;")
    assert fill(template, SCOPE, escape=True) == escaped
