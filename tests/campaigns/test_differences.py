"""What changes between two definitions, as `todoke diff` says it."""

from typing import Any

from core import START, compile_plain
from releases import publish, release_of

from transforms.campaigns.differences import Differences, differences
from transforms.campaigns.load import compiled

Plain = dict[str, Any]


def plain(**segments: Plain) -> Plain:
    return {"segments": {name: {"members": members} for name, members in segments.items()}}


def changes(old: Plain, new: Plain) -> Differences:
    return differences(compile_plain(old), compile_plain(new))


def kinds(found: Differences) -> dict[str, tuple[str, str | None]]:
    return {segment.id: (segment.kind, segment.warming) for segment in found.segments}


A, B, FACT = {"event": "A"}, {"event": "B"}, {"attribute": "x", "exists": True}


def test_leaves_are_added_removed_or_kept_and_only_new_ones_on_events_need_a_backfill() -> None:
    found = changes(plain(a=A, b=B), plain(a=A, c={"event": "C"}, f=FACT))
    assert [(leaf.text, leaf.kind, leaf.backfill) for leaf in found.leaves] == [
        ("attribute: x, exists: true", "added", False),
        ("event: A", "kept", False),
        ("event: B", "removed", False),
        ("event: C", "added", True),
    ]
    assert kinds(found) == {
        "a": ("unchanged", None),
        "b": ("removed", None),
        "c": ("added", "no"),
        "f": ("added", None),
    }


def test_another_id_is_a_rename_also_for_those_that_refer_to_it() -> None:
    found = changes(plain(a=A, r={"not": {"segment": "a"}}), plain(z=A, r={"not": {"segment": "z"}}))
    assert kinds(found) == {"z": ("renamed", None), "r": ("unchanged", None)}
    assert [segment.was for segment in found.segments] == [None, "a"]


def test_another_name_or_owner_is_only_that() -> None:
    old = {"segments": {"a": {"members": A}}}
    [segment] = changes(old, {"segments": {"a": {"members": A, "name": "Buyers", "owner": "crm"}}}).segments
    assert (segment.kind, segment.was, segment.fields) == ("renamed", None, ("name", "owner"))


def test_what_refers_to_a_changed_segment_changes_and_waits_with_it() -> None:
    refers = {"all": [{"segment": "a"}, FACT]}
    found = changes(plain(a=A, r=refers), plain(a={**A, "count": {"at_least": 2}}, r=refers))
    assert kinds(found) == {"a": ("changed", "old"), "r": ("changed", "old")}


def test_the_order_of_conditions_changes_nothing() -> None:
    assert kinds(changes(plain(a={"all": [A, B]}), plain(a={"all": [B, A]}))) == {"a": ("unchanged", None)}


def test_what_an_old_release_still_counts_needs_no_backfill() -> None:
    release = publish(release_of(plain(a=A)), plain(a=B), START)
    found = differences(compiled(release), compile_plain(plain(a=A)))
    assert kinds(found) == {"a": ("changed", None)}
    assert not any(leaf.backfill for leaf in found.leaves)


def test_policies_by_name() -> None:
    old, new = ({**plain(a=A), "policies": policies} for policies in ({}, {"settling": "0s", "default_zone": "UTC"}))
    assert changes(old, new).policies == ("settling",)


def test_campaigns_by_field() -> None:
    greet = {"trigger": {"enters": "a"}, "steps": [{"send": "hello"}], "transactional": True}
    asking = {**greet, "audience": {"segment": "b"}}

    def shop(members: Plain, title: str, **campaigns: Plain) -> Plain:
        messages = {"hello": {"channel": "push", "title": title}}
        return {**plain(a=A, b=members), "messages": messages, "campaigns": campaigns}

    old = shop(FACT, "Hello", asks=asking, gone=greet, same=greet)
    new = shop(B, "Hello", asks={**asking, "status": "paused"}, came=greet, same=greet)
    found = {change.id: (change.kind, change.fields, change.warming) for change in changes(old, new).campaigns}
    assert found == {
        "asks": ("changed", ("audience", "status"), "old"),
        "came": ("added", (), None),
        "gone": ("removed", (), None),
        "same": ("unchanged", (), None),
    }
    copy = changes(old, shop(FACT, "Welcome", asks=asking, gone=greet, same=greet))
    assert {change.fields for change in copy.campaigns} == {("messages",)}


def test_fields_are_called_as_in_the_file_and_what_steps_ask_waits_too() -> None:
    step = {"id": "s", "send": "m"}
    body = {"trigger": {"enters": "a"}, "steps": [step], "consent": "news"}
    more = {"exit": {"event": "A"}, "with": {"cart": {"last": "B"}}, "quiet_hours": {"from": "21:00", "to": "08:00"}}
    asking = {"steps": [{**step, "unless": {"event": "C"}}]}
    rest = {"messages": {"m": {"channel": "push", "title": "x"}}, **plain(a=A)}
    old = {**rest, "campaigns": {"said": body, "asks": body}}
    new = {**rest, "campaigns": {"said": {**body, **more}, "asks": {**body, **asking}}}
    found = {each.id: (each.kind, each.fields, each.warming) for each in changes(old, new).campaigns}
    assert found == {
        "said": ("changed", ("exit", "quiet_hours", "with"), None),
        "asks": ("changed", ("steps",), "no"),
    }


def test_service_levels_by_name() -> None:
    def levels(objective: float, owner: str, *names: str) -> Plain:
        one = {"owner": "us", "indicator": "accounting", "objective": objective}
        owners = {"us": {"name": owner, "contact": "us@example.com"}}
        return {**plain(a=A), "policies": {"owners": owners}, "slos": dict.fromkeys(names, one)}

    def kinds_of(old: Plain, new: Plain) -> list[tuple[str, str]]:
        return [(each.id, each.kind) for each in changes(old, new).slos]

    old = levels(99, "We", "a", "b")
    assert kinds_of(old, levels(99, "We", "b", "c")) == [("a", "removed"), ("c", "added")]
    assert kinds_of(old, levels(99.5, "We", "a", "b")) == [("a", "changed"), ("b", "changed")]
    assert kinds_of(old, levels(99, "They", "a", "b")) == [("a", "changed"), ("b", "changed")]
    assert kinds_of(old, old) == []
