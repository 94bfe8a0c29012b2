"""Conditions written out: what is read of them again is the same condition."""

import json

import pytest
from generate_conditions import definitions
from hypothesis import given

from transforms.campaigns.load import compiled
from transforms.segments.written import condition_text, plain_condition


def read(segments):
    return compiled((("a.yaml", segments),)).asked.segments


def first(condition):
    return read(f"segments: {{s: {{owner: crm, members: {condition}}}}}")["s"]


@given(definitions())
def test_what_is_read_again_is_the_same_condition(plain):
    asked = compiled((("a.yaml", json.dumps(plain)),)).asked.segments
    lines = [
        f"  {name}: {{owner: growth, members: {{{condition_text(condition)}}}}}" for name, condition in asked.items()
    ]
    assert read("\n".join(["segments:", *lines])) == asked
    again = {name: {"owner": "growth", "members": plain_condition(condition)} for name, condition in asked.items()}
    assert read(json.dumps({"segments": again})) == asked


@pytest.mark.parametrize(
    "written",
    [
        "event: Order Completed",
        "event: Order Completed, count: {at_least: 2}, within: 90d",
        "event: Viewed, where: {amount: {at_least: 2, less_than: 5}, kind: {is: NO}}, last: {older_than: 36h}",
        "event: Viewed, missing: {event: Ordered, within: 90m, same: cart}",
        "event: Viewed, count: {more_than: 1000}",
        "event: Ordered, where: {'products[]': {category: {is: sushi}, price: {at_least: 1000}}}",
        "event: Ordered, where: {'lines[]': {'parts[]': {name: {is: a}, size: {exists: false}}, price: {is: 1}}}",
        "event: Viewed, count: {less_than: 1001}",
        "event: Ordered, sum: {of: revenue, between: [10, 20.5]}, since: '2026-03-01'",
        "attribute: born, anniversary: {before: 7d}",
        "attribute: 'tags[]', in: [a, b]",
        "not: {segment: buyers}",
    ],
)
def test_a_line_is_what_one_would_write(written):
    if "segment" in written:
        both = f"segments: {{buyers: {{owner: a, members: {{event: B}}}}, s: {{owner: a, members: {{{written}}}}}}}"
        condition = read(both)["s"]
    else:
        condition = first(f"{{{written}}}")
    assert condition_text(condition) == written
