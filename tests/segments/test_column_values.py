"""Values as columns, and operators as expressions: the same answers as the operators of rows, whatever the value."""

from typing import Any

import msgspec
import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from transforms.segments.columns.encode import encode_stamps
from transforms.segments.columns.values import columns_of, satisfies, split
from transforms.segments.leaves import Evidence
from transforms.segments.operators import Operator, compile_test
from transforms.segments.values import compile_path

NUMBERS = st.sampled_from([0, 1, -1, 2.5, 2**53, 2**53 + 1, 2**63, float(2**53), -0.0])
TEXTS = st.sampled_from(["", "a", "ab", "b", "A", "1", "\0", "é", "\U0001f600", "\uffff"])
SCALARS = NUMBERS | TEXTS | st.booleans()
VALUES = SCALARS | st.none() | st.lists(SCALARS | st.none(), max_size=3) | st.just({"a": 1})
LISTS = st.lists(SCALARS, min_size=1, max_size=3).map(tuple)


def pairs(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(values, values).map(sorted).map(tuple)


OPERATORS = st.one_of(
    st.builds(Operator, st.sampled_from(["is", "is_not", "contains"]), SCALARS),
    st.builds(Operator, st.sampled_from(["in", "not_in"]), LISTS),
    st.builds(Operator, st.just("exists"), st.booleans()),
    st.builds(Operator, st.sampled_from(["at_least", "at_most", "more_than", "less_than"]), NUMBERS | TEXTS),
    st.builds(Operator, st.just("between"), pairs(NUMBERS)),
    st.builds(Operator, st.just("between"), pairs(TEXTS)),
    st.builds(Operator, st.sampled_from(["starts_with", "ends_with"]), TEXTS),
    st.builds(Operator, st.just("matches"), st.sampled_from(["^a", "b$", r"\d", "(?i)a"])),
)


@given(st.sampled_from(["x", "x.a", "x[]"]), st.lists(VALUES, min_size=1, max_size=8), OPERATORS)
def test_columns_answer_as_rows_do(path: str, values: list[Any], operator: Operator) -> None:
    found = [compile_path(path)({"x": value} if value is not None else {}) for value in values]
    table = pl.DataFrame([split(path, each) for each in found], schema=columns_of(path), orient="row")
    present = [name for name in table.columns if table[name].null_count() < table.height]
    test = compile_test(operator)
    answers = table.with_columns(satisfies(path, operator, test, present).alias("answer"))["answer"]
    assert answers.to_list() == [test(each) for each in found]


MARKS = st.lists(st.tuples(st.integers(-(2**62), 2**62), st.integers(0, 2**64 - 1)), max_size=20)


@given(st.lists(st.dictionaries(st.integers(0, 2**64 - 1), MARKS, max_size=4), max_size=5))
def test_encoded_stamps_are_decoded_by_msgspec(users: list[dict[int, list[tuple[int, int]]]]) -> None:
    assert decoded(users) == [{leaf: tuple(stamps) for leaf, stamps in user.items() if stamps} for user in users]


def test_many_leaves_and_many_stamps() -> None:
    user = {leaf: [(leaf, number) for number in range(leaf % 1002)] for leaf in range(1, 2000)}
    few = {5: [(1, 1)]}
    assert decoded([few, user, {}, few]) == [
        {leaf: tuple(stamps) for leaf, stamps in each.items() if stamps} for each in (few, user, {}, few)
    ]


def decoded(users: list[dict[int, list[tuple[int, int]]]]) -> list[dict[int, Evidence]]:
    leaves = {}
    for leaf in {leaf for user in users for leaf in user}:
        rows = [(number, *stamp) for number, user in enumerate(users) for stamp in reversed(user.get(leaf, ()))]
        schema: dict[str, Any] = {"user": pl.UInt32, "time": pl.Int64, "hash": pl.UInt64}
        leaves[leaf] = [pl.DataFrame(rows, schema=schema, orient="row")]
    ends, buffer = encode_stamps(leaves, np.zeros(len(users), np.int64))
    starts = np.concatenate(([0], ends[:-1])) if users else []
    decoder = msgspec.msgpack.Decoder(dict[int, Evidence])
    return [decoder.decode(buffer[start:end]) for start, end in zip(starts, ends, strict=True)]
