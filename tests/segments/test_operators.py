"""The comparison rules of the language as one table; time is the oracle's tests' matter."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.events.times import FIRST_TIME, LAST_TIME
from transforms.segments.document import Problems, read_documents
from transforms.segments.operators import (
    MOVING_OPERATORS,
    OPERATORS,
    TIME_OPERATORS,
    compile_test,
    next_change,
    read_operator,
    time_test,
)
from transforms.segments.values import DAY, HOUR, SECOND


def operator(name, text):
    problems = Problems()
    [document] = read_documents({"o.yaml": f"{name}: {text}"}, problems)
    found = read_operator(name, document.value[name], problems)
    assert problems.errors == []
    return found


#: (operator, operand, values that satisfy, values that do not). A list within the lists is one value, an array.
TABLE = [
    ("is", "5", [5, 5.0], ["5", True, 5.1, [5], {}]),
    ("is", "1", [1, 1.0], [True, "1"]),
    ("is", "true", [True], [1, 1.0, "true", False]),
    ("is", "0", [0, 0.0, -0.0], [False, "", []]),
    ("is", "NO", ["NO"], ["no", False]),
    ("is", "沖縄県", ["沖縄県"], ["沖縄"]),
    ("is", "9007199254740993", [9007199254740993], [9007199254740992, 9007199254740992.0]),
    ("is_not", "pro", ["free", ""], ["pro", 5, True, ["free"]]),
    ("is_not", "5", [6, 5.5], [5, 5.0, "6", True]),
    ("is_not", "true", [False], [True, 0, 1, "false"]),
    ("in", "[1, pro, true]", [1, 1.0, "pro", True], [2, "1", False, ["pro"]]),
    ("not_in", "[1, pro]", [2, "free"], [1, 1.0, "pro", True, None, [], {}]),
    ("at_least", "5", [5, 5.0, 6], [4.99, "6", True, [6]]),
    ("at_most", "5", [5, -1], [5.01, "4", False]),
    ("more_than", "5", [5.01], [5, "6"]),
    ("less_than", "5", [4.99], [5, "4"]),
    ("at_least", "b", ["b", "ba", "c"], ["a", "B", 5, True]),
    ("between", "[5, 6]", [5, 5.5, 6], [4.99, 6.01, "5", True]),
    ("between", "[a, c]", ["a", "b", "c"], ["ca", "B", 1]),
    ("contains", "b", ["abc", "b", ["b"], ["x", "b"]], ["ABC", ["abc"], {"b": 1}, 5]),
    ("contains", "1", [[1], [1.0]], ["1", [True], ["1"], 1, [[1]]]),
    ("contains", "true", [[True]], ["true", [1], True]),
    ("starts_with", "ja", ["ja", "ja-JP"], ["JA", "en-ja", 5, ["ja"]]),
    ("ends_with", ".com", ["a.com"], ["a.com.", 5, [".com"]]),
    ("matches", "'^a.c'", ["abc", "abcd"], ["xabc", "a\nc", "", 5, ["abc"]]),
    ("matches", "b", ["abc"], ["ABC"]),
    ("matches", "'(?i)B'", ["abc"], ["xyz"]),
    ("matches", "'^.$'", ["沖"], ["沖縄"]),  # letters, not bytes
    (
        "version_at_least",
        "'2.10'",
        ["2.10", "2.10.0", "2.10.1", "3", "02.10"],
        ["2.9", "2", "2.1", "v3", "3-beta", "", 3],
    ),
    ("version_less_than", "'2.10.0'", ["2.9.9", "2", "0"], ["2.10", "2.10.0.1", "11", "1.x", "1.", "1..2", 1, True]),
    ("version_at_least", "'0'", ["0", "0.0"], ["", "-1", "٣", "1" * 19, ".".join("1" * 17)]),
]
CASES = [
    (name, text, value, holds)
    for name, text, yes, no in TABLE
    for holds, some in ((True, yes), (False, no))
    for value in some
]


@pytest.mark.parametrize(("name", "text", "value", "holds"), CASES)
def test_one_value(name, text, value, holds):
    assert compile_test(operator(name, text))([value]) is holds


def test_the_table_has_every_operator():
    assert {name for name, *_ in TABLE} | {*TIME_OPERATORS, "exists"} == set(OPERATORS)


@pytest.mark.parametrize("name", [name for name in OPERATORS if name not in TIME_OPERATORS])
def test_a_missing_value_satisfies_nothing_but_exists_false(name):
    texts = {"exists": "true", "between": "[a, b]", "in": "[a]", "not_in": "[a]"}
    texts |= {"version_at_least": "'1'", "version_less_than": "'1'"}
    assert compile_test(operator(name, texts.get(name, "a")))([]) is False
    assert compile_test(operator("exists", "false"))([]) is True
    assert compile_test(operator("exists", "false"))([0]) is False


def test_of_many_values_one_is_enough():
    assert compile_test(operator("is", "a"))(["b", "a"])
    assert compile_test(operator("is_not", "a"))(["a", "b"])
    assert not compile_test(operator("is_not", "a"))(["a", "a"])


@pytest.mark.parametrize("name", TIME_OPERATORS)
@pytest.mark.parametrize("value", [5, True, "", "2026-03-10T12:00:00", ["2026-03-10"], {}])
def test_what_is_no_time_satisfies_no_time_operator(name, value):
    text = "true" if name == "anniversary" else "1d" if name in MOVING_OPERATORS else "2026-03-10"
    asked = operator(name, text)
    assert time_test(asked, [value], 0, "UTC") is False
    assert next_change(asked, [value], 0, "UTC") is None


ZONES = ["UTC", "Asia/Beirut", "America/Havana", "Asia/Tokyo"]
TIMES = st.integers(0, 200).map(lambda second: f"1970-01-01T00:{second // 60:02}:{second % 60:02}Z")


@given(
    st.lists(TIMES, max_size=3),
    st.integers(0, 200),
    st.sampled_from(["within", "older_than", "within_next"]),
    st.integers(1, 100),
)
def test_the_next_change_is_not_missed(values, second, name, age):
    """Up to it the answer stays; `None` means for ever."""
    asked, now = operator(name, f"{age}s"), second * SECOND
    change = next_change(asked, values, now, "UTC")
    until = change if change is not None else now + 400 * SECOND
    assert until > now
    answers = {time_test(asked, values, moment, "UTC") for moment in (*range(now, until, SECOND), until - 1)}
    assert len(answers) == 1


BORN = st.sampled_from(["1990-02-28", "1988-02-29", "2001-03-01", "1970-01-01", "1999-12-31T23:30:00Z", "2026-03-28"])


@given(BORN, st.integers(0, 9 * 366), st.integers(0, 23), st.sampled_from([0, 1, 7, 365]), st.sampled_from(ZONES))
def test_an_anniversary_stands_until_its_next_turn(born, days, hours, before, zone):
    asked, now = operator("anniversary", f"{{before: {before}d}}" if before else "true"), days * DAY + hours * HOUR
    holds, turn = time_test(asked, [born], now, zone), next_change(asked, [born], now, zone)
    assert turn is not None
    assert now < turn <= now + 367 * DAY
    assert time_test(asked, [born], turn, zone) is not holds
    assert time_test(asked, [born], turn - 1, zone) is holds
    for step in range(1, 24):
        assert time_test(asked, [born], now + (turn - 1 - now) * step // 24, zone) is holds


@pytest.mark.parametrize("now", [FIRST_TIME, LAST_TIME, LAST_TIME - 400 * DAY])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize("born", ["0001-01-01", "9999-12-31", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_anniversaries_end_with_the_calendar(now, zone, born):
    asked = operator("anniversary", "{before: 7d}")
    time_test(asked, [born], now, zone)
    turn = next_change(asked, [born], now, zone)
    assert turn is None or turn > now


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("version_at_least", "'2.10'"), ("version_at_least", "'02.10.0'")),
        (("anniversary", "{before: 7d}"), ("anniversary", "{before: 1w}")),
        (("is", "5"), ("is", "5.0")),
        (("between", "[1, 2]"), ("between", "[1.0, 2.0]")),
        (("in", "[1, a]"), ("in", "[1.0, 'a']")),
        (("within", "7d"), ("within", "1w")),
        (("before", "2026-03-10T12:00:00Z"), ("before", "2026-03-10T21:00:00.000+09:00")),
    ],
)
def test_what_means_the_same_has_one_canonical_form(one, other):
    assert msgspec.json.encode(operator(*one).canonical) == msgspec.json.encode(operator(*other).canonical)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("is", "5"), ("is", "'5'")),
        (("is", "true"), ("is", "1")),
        (("is", "5"), ("at_least", "5")),
        (("before", "2026-03-10"), ("before", "2026-03-10T00:00:00Z")),  # a date is another instant in each zone
    ],
)
def test_what_means_something_else_has_another(one, other):
    assert msgspec.json.encode(operator(*one).canonical) != msgspec.json.encode(operator(*other).canonical)
