"""The section `recommend` as it is written: what is read, and each mistake at its place."""

import pytest

from transforms.campaigns.load import check
from transforms.campaigns.recommend import Recommend
from transforms.segments.conditions import EventFilter
from transforms.segments.values import DAY

HEAD = """\
segments:
  vip: {owner: crm, members: {event: Order}}
  calm: {owner: crm, members: {segment: idle}}
  idle: {owner: crm, members: {not: {event: Session Ended}}}
messages:
  hello: {channel: push, title: "Hello {% for each in recommendations limit: 2 %}{{ each.id }} {% endfor %}"}
campaigns:
  greet: {owner: crm, consent: news, trigger: {enters: vip}, steps: [{send: hello}]}
policies: {sessions: {gap: 30m}}
"""
LEAST = "event: Order, product: 'products[].id', within: 90d"


def section(text: str) -> str:
    return f"recommend: {{{text}}}\n"


def test_what_is_said_and_what_is_not() -> None:
    definitions, problems = check((("f.yaml", HEAD + section(LEAST)),))
    assert definitions is not None, problems.errors
    assert definitions.recommend == Recommend(EventFilter("Order"), "products[].id", 90 * DAY)
    whole = "type: track, at_least: 3, at_most: 4, segments: [vip], leave_out_owned: true, expires: 1d"
    definitions, problems = check((("f.yaml", HEAD + section(f"{LEAST}, {whole}")),))
    assert definitions is not None, problems.errors
    asked = Recommend(EventFilter("Order", "track"), "products[].id", 90 * DAY, 3, 4, ("vip",), True, DAY)
    assert definitions.recommend == asked


CORPUS = [
    (section("event: Order, within: 1d"), "recommend", "`product` is missing"),
    (section("product: id, within: 1d"), "recommend", "`event` is missing"),
    (section("event: Order, product: id"), "recommend", "`within` is missing"),
    (section(f"{LEAST}, top: 3"), "recommend.top", "unknown key `top`"),
    (section(LEAST.replace("products[].id", "a..b")), "recommend.product", "expected a path"),
    (section(LEAST.replace("90d", "long")), "recommend.within", "a duration"),
    (section(f"{LEAST}, at_least: 0"), "recommend.at_least", "from 1 to 1,000,000"),
    (section(f"{LEAST}, at_most: 101"), "recommend.at_most", "from 1 to 100"),
    (section(f"{LEAST}, leave_out_owned: 1"), "recommend.leave_out_owned", "expected true or false"),
    (section(f"{LEAST}, segments: vip"), "recommend.segments", "expected a list"),
    (section(f"{LEAST}, segments: [5]"), "recommend.segments[0]", "expected text"),
    (section(f"{LEAST}, segments: [gold]"), "recommend.segments[0]", "refers to segment `gold`, which does not exist"),
    (section(f"{LEAST}, segments: [vip, vip]"), "recommend.segments[1]", "`vip` is named twice"),
    (
        section(f"{LEAST}, segments: [calm]"),
        "recommend.segments[0]",
        "asks for `Session Ended`, which is in no archive",
    ),
    (section(LEAST.replace("Order", "Session Ended")), "recommend.event", "is in no archive"),
    ("recommend: [1]\n", "recommend", "expected a mapping"),
]
ASKING = HEAD.replace("{event: Order}", "{attribute: recommendations, exists: true}") + section(LEAST)
#: The same as whole files.
WHOLE = [*(HEAD + text for text, _, _ in CORPUS), HEAD + section(LEAST), ASKING]


@pytest.mark.parametrize(("text", "path", "cause"), CORPUS)
def test_mistakes(text: str, path: str, cause: str) -> None:
    definitions, problems = check((("f.yaml", HEAD + text),))
    assert definitions is None
    [found] = problems.errors
    assert found.path == path
    assert cause in found.cause


def test_a_template_that_shows_what_nobody_counts_is_named() -> None:
    [found] = check((("f.yaml", HEAD),))[1].errors
    assert (found.path, found.line) == ("messages.hello.title", 6)
    assert "`recommendations` are for messages, beside a section `recommend`" in found.cause


def test_it_looks_back_no_further_than_the_archive() -> None:
    text = HEAD.replace("sessions: {gap: 30m}", "sessions: {gap: 30m}, retention: 30d") + section(LEAST)
    [found] = check((("f.yaml", text),))[1].errors
    assert found.path == "recommend.within"
    assert "looks back further than the archive keeps events" in found.cause
    assert check((("f.yaml", text.replace("within: 90d", "within: 30d")),))[0] is not None


def test_the_section_is_there_once() -> None:
    texts = (("a.yaml", HEAD + section(LEAST)), ("b.yaml", section(LEAST)))
    [found] = check(texts)[1].errors
    assert (found.file, found.cause) == ("b.yaml", "`recommend` is already defined at a.yaml:10")


@pytest.mark.parametrize("condition", ["attribute: recommendations", "attribute: 'recommendations[].id'"])
def test_no_condition_asks_for_recommendations(condition: str) -> None:
    text = HEAD.replace("{event: Order}", f"{{{condition}, exists: true}}")
    [found] = check((("f.yaml", text + section(LEAST)),))[1].errors
    assert found.path == "segments.vip.members"
    assert "no condition asks them" in found.cause
    plain = text.replace("{% for each in recommendations limit: 2 %}{{ each.id }} {% endfor %}", "")
    assert check((("f.yaml", plain),))[0] is not None  # a trait may be called so where nothing is recommended


def test_nor_does_a_step_that_sets_attributes() -> None:
    text = HEAD.replace("steps: [", "steps: [{set: {best: '{{ recommendations.first.id }}'}}, ")
    found = check((("f.yaml", text + section(LEAST)),))[1].errors
    assert {each.path for each in found} == {"campaigns.greet.steps[0].set.best"}


def test_no_event_of_a_campaign_is_called_so() -> None:
    text = HEAD.replace("trigger:", "with: {recommendations: {last: Order}}, trigger:")
    found = check((("f.yaml", text + section(LEAST)),))[1].errors
    assert ["`recommendations` is taken" in each.cause for each in found] == [True]
