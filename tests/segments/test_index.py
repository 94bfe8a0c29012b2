"""The index: segments in the order of their references, and an event or a fact leading only to what it can change."""

import pytest

from transforms.campaigns.load import check
from transforms.segments.index import SegmentIndex

DEFINITIONS = """
segments:
  z_first: {owner: o, members: {event: A, within: 1h}}
  both: {owner: o, members: {all: [{segment: z_first}, {segment: by_plan}]}}
  by_plan: {owner: o, members: {any: [{attribute: plan.tier, is: pro}, {event: A, within: 60m}]}}
  quiet: {owner: o, members: {not: {event: B}}}
  overdue: {owner: o, members: {event: A, missing: {event: B, within: 2h}}}
  dated: {owner: o, members: {event: C, since: 2026-03-10}}
  born: {owner: o, members: {attribute: birthday, before: 2026-03-10}}
  known: {owner: o, members: {identified: true}}
  mailable: {owner: o, members: {all: [{reachable: email}, {consented: {topic: news, channel: email}}]}}
"""


def index_of(text) -> SegmentIndex:
    definitions, problems = check((("i.yaml", text),))
    assert definitions is not None, [str(problem) for problem in problems]
    return definitions.index


@pytest.fixture(scope="module")
def index():
    return index_of(DEFINITIONS)


def segments_of(index, leaves):
    return {index.order[rank] for leaf in leaves for rank in index.dependents.get(leaf.key, ())}


def test_an_event_leads_only_to_what_its_name_can_change(index):
    assert set(index.events) == {"A", "B", "C"}
    assert segments_of(index, index.events["A"]) == {"z_first", "by_plan", "overdue"}
    assert segments_of(index, index.events["B"]) == {"quiet", "overdue"}
    assert segments_of(index, index.events["C"]) == {"dated"}
    for name, leaves in index.events.items():
        assert all(name in leaf.names for leaf in leaves)


def test_a_fact_leads_only_to_what_it_can_change(index):
    assert segments_of(index, index.facts["plan"]) == {"by_plan"}
    assert segments_of(index, index.facts["birthday"]) == {"born"}
    assert segments_of(index, index.facts["timezone"]) == {"dated", "born"}
    assert segments_of(index, index.facts["#identified"]) == {"known", "mailable"}
    assert segments_of(index, index.facts["#reachable"]) == segments_of(index, index.facts["email"]) == {"mailable"}
    assert segments_of(index, index.facts["#consent"]) == {"mailable"}
    assert "A" not in index.facts


def test_segments_share_a_leaf_where_conditions_mean_the_same(index):
    assert len(index.events["A"]) == 2  # the hour is written twice, as 1h and 60m


def test_a_segment_comes_after_those_that_it_refers_to(index):
    assert index.rank["both"] > max(index.rank["z_first"], index.rank["by_plan"])
    assert index.referrers[index.rank["by_plan"]] == (index.rank["both"],)
    assert index.referrers[index.rank["both"]] == ()
    assert [index.order[rank] for rank in range(len(index.order))] == list(index.order)


def test_who_is_in_before_anything_is_known(index):
    assert {index.order[rank] for rank in index.at_first} == {"quiet"}


def test_however_many_segments_there_are_an_event_touches_those_of_its_name():
    names = [f"s{n}" for n in range(300)]
    text = "segments:\n" + "".join(
        f"  {name}: {{owner: o, members: {{event: E {n}}}}}\n" for n, name in enumerate(names)
    )
    index = index_of(text)
    assert all(len(leaves) == 1 for leaves in index.events.values())
    assert segments_of(index, index.events["E 7"]) == {"s7"}


def test_leaves_of_any_event_stand_with_each_name_and_alone_for_every_other():
    index = index_of(
        f"{DEFINITIONS}  busy: {{owner: o, members: {{event: any, count: {{at_least: 5}}, within: 1h}}}}\n"
    )
    assert segments_of(index, index.events["C"]) == {"dated", "busy"}
    assert segments_of(index, index.anything) == {"busy"}
    assert set(index.events) == {"A", "B", "C"}
    assert index_of(DEFINITIONS).anything == ()


def test_neither_names_nor_the_order_of_segments_change_a_leaf(index):
    lines = DEFINITIONS.strip().splitlines()
    renamed = "\n".join([lines[0], *reversed(lines[1:])]).replace("z_first", "a_last").replace("owner: o", "owner: p")
    other = index_of(renamed)
    assert set(other.leaves) == set(index.leaves)
    assert set(other.order) == {name.replace("z_first", "a_last") for name in index.order}


def test_audiences_are_indexed_but_belong_to_no_segment():
    text = """
segments: {s: {owner: o, members: {event: A}}}
messages: {m: {channel: push, title: x}}
campaigns:
  c:
    owner: o
    trigger: {enters: s}
    audience: {all: [{event: B}, {attribute: plan, is: pro}]}
    steps: [{send: m}]
    consent: news
"""
    index = index_of(text)
    assert segments_of(index, index.events["B"]) == set()
    assert len(index.events["B"]) == len(index.facts["plan"]) == 1
