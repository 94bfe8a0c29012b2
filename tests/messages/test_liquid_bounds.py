"""However a template loops, one text takes a bounded number of steps."""

import contextlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.messages import liquid_parts
from transforms.messages.liquid import fill, mistakes

MANY = 10_000_000_000

SCOPE = {
    "now": datetime(2026, 7, 1, tzinfo=UTC),
    "event": {"n": MANY, "text": "x, " * 1000, "list": ["a", "b"] * 500, "more": [f"item {n}" for n in range(20_000)]},
}

LOOP = "{% for i in (1..10000) %}"
BOMBS = [
    "{% if (1..event.n) contains event.s %}x{% endif %}",
    "{% if (1..event.n) contains 'x' %}x{% endif %}",
    "{% assign r = (1..event.n) %}{% if r contains 'x' %}x{% endif %}",
    "{% unless (1..event.n) contains event.text %}x{% endunless %}",
    "{% case 1 %}{% when (1..event.n) %}x{% endcase %}",
    *(
        f"{{{{ (1..event.n) | {name} }}}}"
        for name in ("join", "size", "sort", "reverse", "slice: 0, 9999999999", "uniq", "sum", "first", "map: 'a'")
    ),
    "{% assign r = (1..event.n) %}{{ r | sort | size }}",
    "{% for i in (1..event.n) offset: 9999999990 limit: 3 %}x{% endfor %}",
    "{% for i in (1..event.n) reversed limit: 3 %}x{% endfor %}",
    "{% for i in (1..event.n) %}x{% endfor %}",
    "{% tablerow i in (1..event.n) limit: 3 offset: 9999999990 %}x{% endtablerow %}",
    f"{{% assign t = event.text %}}{LOOP}{{% assign t = t | append: t %}}{{% endfor %}}",
    f"{{% assign t = event.text %}}{LOOP}{{% capture t %}}{{{{ t }}}}{{{{ t }}}}{{% endcapture %}}{{% endfor %}}",
    f"{{% assign n = 9 %}}{LOOP}{{% assign n = n | times: n %}}{{% endfor %}}",
    f"{{% assign n = 9 %}}{LOOP}{{% assign n = n | plus: n %}}{{% endfor %}}{{{{ n }}}}",
    f"{LOOP}{{% assign n = event.text | split: '' | size %}}{{% endfor %}}",
    f"{LOOP}{{% assign n = event.text | replace: 'x', 'yyyyyyyy' | size %}}{{% endfor %}}",
    f"{LOOP}{{% if event.text contains 'nowhere' %}}x{{% endif %}}{{% endfor %}}",
    f"{LOOP}{{% capture t %}}{{{{ event.text }}}}{{% endcapture %}}{{% endfor %}}",
    "{% assign a = event.list %}{% for i in (1..7) %}{% assign a = a | concat: a %}{% endfor %}"
    + 9 * "{% assign t = t | default: event.text | append: event.text %}"
    + f"{LOOP}{{% assign s = a | sort | size %}}{{% endfor %}}",
    "{{ event.more | uniq | size }}",
    "{% render 'p0' %}",
]
#: Each renders the next twice: 2 to the 29th in all.
PARTIALS = (*((f"p{n}", f"{{% render 'p{n + 1}' %}}" * 2) for n in range(28)), ("p28", "x"))


@pytest.mark.parametrize("escape", [False, True])
@pytest.mark.parametrize("bomb", BOMBS)
def test_no_template_takes_more_than_its_steps(bomb: str, escape: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liquid_parts, "MOST_STEPS", 100_000)
    with pytest.raises(ValueError, match=r"more than|limit reached|too large"):
        fill(bomb, SCOPE, escape=escape, partials=PARTIALS)


def _calls(function: Callable[[], object]) -> int:
    """How many functions are called, C's with them."""
    calls = 0

    def called(frame: object, kind: str, what: object) -> None:
        nonlocal calls
        calls += kind in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


INNER = st.sampled_from(
    [
        "{{ event.text | split: ',' | join | size }}",
        "{% assign t = t | default: 'ab' | append: t | default: 'ab' %}",
        "{% capture c %}{{ c | default: 'ab' }}{{ event.text }}{% endcapture %}",
        "{% assign n = n | default: 3 | times: n | default: 3 %}",
        "{% if event.list contains event.text %}x{% endif %}",
        "{% if event.list == event.list %}x{% endif %}",
        "{% render 'p25' %}",
    ]
)
TEMPLATES = st.recursive(
    INNER,
    lambda inner: st.one_of(
        st.tuples(st.integers(0, 10**12), inner).map(lambda it: f"{{% for i in (1..{it[0]}) %}}{it[1]}{{% endfor %}}"),
        st.tuples(st.integers(2, 50), inner).map(lambda it: f"{{% for i in (1..{it[0]}) %}}{it[1]}{{% endfor %}}"),
        st.tuples(inner, inner).map("".join),
    ),
    max_leaves=8,
)


@given(template=TEMPLATES)
def test_steps_bound_what_is_called(template: str) -> None:
    def filled() -> None:
        with contextlib.suppress(ValueError):
            fill(template, SCOPE, escape=False, partials=PARTIALS)

    filled()  # parsed once before it is counted
    most = liquid_parts.MOST_STEPS
    liquid_parts.MOST_STEPS = 2_000
    try:
        assert _calls(filled) < 200 * liquid_parts.MOST_STEPS
    finally:
        liquid_parts.MOST_STEPS = most


@pytest.mark.parametrize("form", ["%1000000000d", "%-100d", "%^0999Y", "%d" * 600])
def test_dates_have_a_bounded_form(form: str) -> None:
    with pytest.raises(ValueError, match="`date` with a form of more than"):
        fill("{{ now | date: '" + form + "' }}", SCOPE, escape=False)


def test_what_people_write_is_far_below_the_bounds() -> None:
    rows = [{"name": f"Product {n}", "price": n} for n in range(500)]
    template = (
        "{% for row in event.rows %}<td>{{ row.name | upcase | append: '!' | escape }}</td>"
        "{% if (1..9) contains row.price %}{{ row.price | times: 2 }}{% endif %}{% endfor %}"
        "{{ event.rows | map: 'price' | uniq | sort | reverse | first }} {{ (1..10000) | size }}"
    )
    assert fill(template, {"event": {"rows": rows}}, escape=True).endswith("499 10000")


@pytest.mark.parametrize(
    ("partials", "line"),
    [
        ((("a", "x\n{% render 'a' %}"),), 2),
        ((("a", "{% if event.n %}{% render 'b' %}{% endif %}"), ("b", "\n\n{% render 'a' %}")), 3),
    ],
)
def test_a_partial_that_renders_itself_is_a_mistake(partials: tuple[tuple[str, str], ...], line: int) -> None:
    (mistake,) = mistakes("{% render 'a' %}", partials=partials)
    assert "renders itself" in mistake.cause
    assert mistake.line == line


def test_partials_may_be_rendered_twice() -> None:
    partials = (("a", "{% render 'c' %}"), ("b", "{% render 'c' %}"), ("c", "x"))
    assert not [*mistakes("{% render 'a' %}{% render 'b' %}{% render 'a' %}", partials=partials)]
