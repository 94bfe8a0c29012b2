"""The keys of leaves, which the state of running jobs is kept under.

A failure here means that a job's users would lose the state of that condition: see the message.
"""

import json
from pathlib import Path

import pytest

from transforms.campaigns.load import check

GOLDEN = Path(__file__).parent.parent / "golden" / "leaf_keys.json"
KEYS: dict[str, str] = json.loads(GOLDEN.read_text(encoding="utf-8"))


def keys_of(*conditions: str) -> set[str]:
    text = "segments:\n" + "".join(f"  s{n}: {{owner: o, members: {each}}}\n" for n, each in enumerate(conditions))
    definitions, problems = check((("k.yaml", text),))
    assert definitions is not None, [str(problem) for problem in problems]
    return {f"{key:016x}" for key in definitions.index.leaves}


@pytest.mark.parametrize("condition", KEYS)
def test_a_key_stays_what_it_was(condition: str) -> None:
    found = keys_of(condition)
    assert found == {KEYS[condition]}, (
        f"the leaf key of {condition} is now {found}. Running jobs keep their users' state under the old key and would "
        "begin anew with the new one. Change the canonical form only if the condition means something else now; "
        "then write the new key into tests/golden/leaf_keys.json, and the change into the changelog under "
        "Breaks running jobs."
    )


def test_every_kind_of_leaf_and_every_operator_has_a_golden_key() -> None:
    text = " ".join(KEYS)
    for word in (
        *("event", "type", "where", "within", "since", "count", "first", "last", "missing", "attribute", "identified"),
        *("reachable", "consented", "is", "is_not", "in", "not_in", "exists", "at_least", "at_most", "more_than"),
        *("less_than", "between", "contains", "starts_with", "ends_with", "matches", "before", "after", "older_than"),
        *("within_next", "anniversary", "version_at_least", "version_less_than", "bucket", "near", "sequence", "same"),
        *("sum", "average", "minimum", "maximum", "distinct"),
    ):
        assert f"{word}: " in text, word


def test_different_conditions_have_different_keys() -> None:
    assert len(set(KEYS.values())) == len(KEYS)


@pytest.mark.parametrize(
    "same",
    [
        ["{event: A}", "{event: A, count: {at_least: 1}}", "{event: A, count: {more_than: 0}}"],
        ["{event: A, count: {is: 2}}", "{event: A, count: {between: [2, 2]}}", "{count: {is: 2}, event: A}"],
        ["{event: A, count: {at_most: 1}}", "{event: A, count: {less_than: 2}}"],
        ["{event: A, within: 1w}", "{event: A, within: 7d}", "{event: A, within: 168h}"],
        ["{event: A, since: '2026-03-10T12:00:00Z'}", "{event: A, since: '2026-03-10T21:00:00.000+09:00'}"],
        [
            "{event: A, where: {total: {at_least: 5, less_than: 9}, kind: {is: x}}}",
            "{event: A, where: {kind: {is: x}, total: {less_than: 9.0, at_least: 5.0}}}",
        ],
        ["{attribute: n, in: [b, 1, true]}", "{attribute: n, in: [true, b, 1.0, b]}"],
        ["{attribute: n, is: 5}", "{is: 5.0, attribute: n}"],
        ["{event: A, sum: {of: n, is: 5}}", "{event: A, sum: {of: n, between: [5.0, 5]}}"],
        ["{event: A, count: {at_most: 2000}}", "{event: A, count: {less_than: 2001}}"],
        ["{event: A, count: {is: 2000}}", "{event: A, count: {between: [2000, 2000]}}"],
        ["{event: A, distinct: {of: n, more_than: 1}}", "{event: A, distinct: {of: n, at_least: 2}}"],
        ["{attribute: v, version_at_least: '2'}", "{attribute: v, version_at_least: '2.0'}"],
        ["{bucket: {salt: x, from: 0.0, below: 10}}", "{bucket: {below: 10.0, salt: x, from: 0}}"],
        ["{identified: true}", "{not: {identified: false}}"],
        ["{all: [{event: A}, {event: A}]}", "{any: [{not: {event: A}}]}"],
    ],
)
def test_what_means_the_same_has_one_key(same: list[str]) -> None:
    assert len({frozenset(keys_of(condition)) for condition in same}) == 1
    assert len(keys_of(*same)) == len(keys_of(same[0]))
