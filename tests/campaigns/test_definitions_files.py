"""Definitions as a whole: circles of segments, mistakes that follow from others, several files, folders."""

import pytest

from transforms.campaigns.load import DefinitionsError, check, load


def test_every_circle_is_reported_once_and_what_only_leads_into_one_is_not(found_in, same):
    members = {"a": "b", "b": "c", "c": "a", "d": "e", "e": "d", "f": "a", "g": "g"}
    text = "segments:\n" + "".join(
        f"  {name}: {{owner: o, members: {{not: {{segment: {to}}}}}}}\n" for name, to in members.items()
    )
    same(
        found_in(text),
        [
            (2, "segments.a.members", "segments refer to each other in a circle: a → b → c → a"),
            (5, "segments.d.members", "in a circle: d → e → d"),
            (8, "segments.g.members", "in a circle: g → g"),
        ],
    )


def test_circles_that_share_a_segment(found_in, same):
    text = """
segments:
  a: {owner: o, members: {any: [{segment: b}, {segment: c}]}}
  b: {owner: o, members: {segment: a}}
  c: {owner: o, members: {segment: a}}
"""
    same(found_in(text), [(3, "segments.a.members", "a → b → a"), (3, "segments.a.members", "a → c → a")])


def test_a_reference_to_a_segment_with_a_mistake_of_its_own_is_no_second_mistake(valid, found_in, same):
    same(found_in(valid.replace("event: Order", "evnt: Order")), [(2, "segments.vip.members", "`evnt`")])


def test_a_campaign_with_a_mistake_still_sends_its_messages(valid, found_in, same):
    same(found_in(valid.replace("enters: vip", "entres: vip")), [(8, "campaigns.greet.trigger.entres", "unknown key")])


def test_files_are_read_as_one_and_each_mistake_names_its_own(valid, found_in, same):
    segments, rest = valid.split("messages:")
    same(found_in(segments, "messages:" + rest), [])
    same(
        found_in(valid, "segments:\n\n  vip: {owner: o, members: {event: B}}\n", "campaigns: {greet: 1}\n"),
        [
            (1, 3, "segments.vip", "`vip` is already defined at 0.yaml:2"),
            (2, 1, "campaigns.greet", "`greet` is already defined at 0.yaml:6"),
            (2, 1, "campaigns.greet", "expected a mapping with audience,"),
        ],
    )
    same(
        found_in("policies: {default_zone: UTC}", "\npolicies: {default_locale: ja, default_zone: UTC}"),
        [(1, 2, "policies.default_zone", "`default_zone` is already set at 0.yaml:1")],
    )


def test_the_same_id_in_two_sections_is_no_mistake(valid):
    definitions, _ = check((("a.yaml", valid.replace("greet:", "vip:").replace("hello", "vip")),))
    assert definitions is not None
    assert definitions.segments.keys() == definitions.campaigns.keys() == definitions.messages.keys() == {"vip"}


def test_load_raises_with_every_mistake(tmp_path):
    (tmp_path / "one.yaml").write_text("segments: {A: 1}", encoding="utf-8")
    (tmp_path / "two.yml").write_text("segments: {B: 1}", encoding="utf-8")
    with pytest.raises(DefinitionsError) as raised:
        load(tmp_path)
    assert {problem.file for problem in raised.value.problems} == {
        str(tmp_path / "one.yaml"),
        str(tmp_path / "two.yml"),
    }
    assert str(raised.value).count("is not an id") == 2


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read(tmp_path, content):
    if content is not None:
        (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(
        DefinitionsError, match=r"x\.yaml(: there is no such file or folder$|:1: error: \(top\): cannot be read)"
    ):
        load(tmp_path / "x.yaml")


def test_a_folder_without_definitions(tmp_path):
    (tmp_path / "x.txt").write_text("segments: {}", encoding="utf-8")
    with pytest.raises(DefinitionsError, match=r"the folder holds no \.yaml file"):
        load(tmp_path)
