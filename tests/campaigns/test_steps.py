"""What each kind of step does: conditions, branches, waits, attributes, and messages by variant."""

import pytest
from campaigns.campaign_story import Plain, definitions, refusals, sends, story
from core import DAY, HOUR, MINUTE, START, Story, compile_plain, of_type

from transforms.campaigns.effects import Send
from transforms.users.effects import ProfileChanged, SegmentEntered

VIEWED = {"event": "Viewed", "within": "2h"}


def test_unless_is_asked_when_its_send_falls_due() -> None:
    steps = [{"send": "push_a", "unless": VIEWED}, {"wait": "3h"}, {"send": "push_b", "unless": VIEWED}]
    told = story(steps=steps)
    told.track("Viewed", HOUR)
    told.track("Bought", 3 * HOUR - 1)
    told.wake(DAY)
    assert refusals(told) == [("push_a", "unless", 3 * HOUR - 1)]
    assert sends(told) == [("c", "push_b", 6 * HOUR - 1)]


def test_unless_is_asked_again_at_the_release_from_quiet_hours() -> None:
    steps = [{"send": "push_a", "unless": VIEWED}]
    told = story(steps=steps, quiet_hours={"from": "21:00", "to": "08:00"})
    told.track("Bought", 22 * HOUR)
    told.track("Viewed", 31 * HOUR)
    told.wake(2 * DAY)
    assert (sends(told), refusals(told)) == ([], [("push_a", "unless", 32 * HOUR)])


BRANCHES = [
    {"if": {"segment": "vips"}, "then": [{"send": "push_a"}, {"wait": "1h"}], "else": [{"send": "push_b"}]},
    {"send": "push_c"},
]


@pytest.mark.parametrize(("vip", "expected"), [(True, ("push_a", HOUR)), (False, ("push_b", 0))])
def test_a_branch_is_chosen_when_it_is_reached_and_leads_on(vip: bool, expected: tuple[str, int]) -> None:
    told = story(steps=[{"wait": "1h"}, *BRANCHES])
    told.track("Bought", HOUR)
    told.identify(90 * MINUTE, {"vip": vip})
    told.wake(DAY)
    message, behind = expected
    assert sends(told) == [("c", message, 2 * HOUR), ("c", "push_c", 2 * HOUR + behind)]


def test_a_branch_without_else_is_passed_over() -> None:
    told = story(steps=[{"if": {"segment": "vips"}, "then": [{"send": "push_a"}]}, {"send": "push_b"}])
    told.track("Bought", HOUR)
    assert sends(told) == [("c", "push_b", HOUR)]


def test_end_ends_the_journey_also_from_inside() -> None:
    told = story(steps=[{"if": {"segment": "vips"}, "then": [{"end": True}]}, {"send": "push_a"}])
    told.identify(1, {"vip": True})
    told.track("Bought", HOUR)
    assert (sends(told), told.user.journeys, told.entered) == ([], {}, ["c"])


def test_branches_nest_and_waits_inside_them_go_on_behind_them() -> None:
    inner = {"if": VIEWED, "then": [{"wait": "1h"}, {"send": "push_a"}], "else": [{"send": "push_b"}]}
    told = story(steps=[{"if": {"segment": "buyers"}, "then": [inner, {"send": "push_c"}]}, {"send": "push_d"}])
    told.track("Ordered", 1)
    told.track("Viewed", 2)
    told.track("Bought", HOUR)
    assert sends(told) == []
    told.wake(DAY)
    assert sends(told) == [("c", f"push_{letter}", 2 * HOUR) for letter in "acd"]


@pytest.mark.parametrize(
    ("zone", "bought", "sent"),
    [
        ("UTC", 11 * HOUR, 12 * HOUR),
        ("UTC", 12 * HOUR, 12 * HOUR),
        ("UTC", 12 * HOUR + 1, 36 * HOUR),
        ("Asia/Tokyo", 2 * HOUR, 3 * HOUR),
        ("Asia/Tokyo", 4 * HOUR, 27 * HOUR),
        # On 29 March clocks go on by an hour at one o'clock, UTC.
        ("Europe/Berlin", 2 * DAY, 2 * DAY + 10 * HOUR),
        ("Europe/Berlin", DAY, DAY + 11 * HOUR),
    ],
)
def test_a_wait_until_a_time_of_the_users_day(zone: str, bought: int, sent: int) -> None:
    told = story(steps=[{"wait": {"until": "12:00"}}, {"send": "push_a"}], traits={"timezone": zone})
    told.track("Bought", bought)
    told.wake(sent - 1)
    assert bool(sends(told)) is (sent == bought)
    told.wake(sent)
    assert sends(told) == [("c", "push_a", sent)]


def test_a_wait_until_a_time_of_a_named_zone() -> None:
    wait = {"wait": {"until": "12:00", "zone": "Asia/Tokyo"}}
    told = story(steps=[wait, {"send": "push_a"}], traits={"timezone": "Europe/Berlin"})
    told.track("Bought", HOUR)
    told.wake(DAY)
    assert sends(told) == [("c", "push_a", 3 * HOUR)]


FOR = {"wait": {"for": {"event": "Viewed", "where": {"n": {"is": 1}}}, "at_most": "1d"}}


def test_a_wait_for_an_event_ends_with_it_and_else_when_it_is_over() -> None:
    told = story(steps=[FOR, {"send": "push_a"}])
    told.track("Viewed", HOUR - 1, {"n": 1})
    told.track("Bought", HOUR)
    told.track("Viewed", 2 * HOUR, {"n": 2})
    told.track("Viewed", 3 * HOUR, {"n": 1})
    assert sends(told) == [("c", "push_a", 3 * HOUR)]
    told.track("Bought", 4 * HOUR)
    told.wake(4 * HOUR + DAY - 1)
    assert len(sends(told)) == 1
    told.wake(4 * HOUR + DAY)
    assert sends(told)[1:] == [("c", "push_a", 4 * HOUR + DAY)]


def test_an_event_from_before_the_wait_began_ends_it_not_however_late_it_arrives() -> None:
    told = story(steps=[{"wait": "1h"}, FOR, {"send": "push_a"}])
    told.track("Bought", HOUR)
    told.track("Viewed", 3 * HOUR, {"n": 1}, time=2 * HOUR - 1)
    assert sends(told) == []
    told.track("Viewed", 4 * HOUR, {"n": 1}, time=2 * HOUR)
    assert sends(told) == [("c", "push_a", 4 * HOUR)]


def test_a_wait_for_the_same_as_the_triggers_property() -> None:
    wait = {"wait": {"for": {"event": "Paid", "same": "order.id"}, "at_most": "1d"}}
    told = story(steps=[wait, {"send": "push_a"}])
    told.track("Bought", HOUR, {"order": {"id": 5}})
    for at, properties in ((2, {}), (3, {"order": {"id": "5"}}), (4, {"order": {"id": 6}}), (5, {"id": 5})):
        told.track("Paid", at * HOUR, properties)
    assert sends(told) == []
    told.track("Paid", 6 * HOUR, {"order": {"id": 5.0}})
    assert sends(told) == [("c", "push_a", 6 * HOUR)]


def test_without_the_triggers_property_nothing_is_the_same() -> None:
    wait = {"wait": {"for": {"event": "Paid", "same": "id"}, "at_most": "1d"}}
    told = story(steps=[wait, {"send": "push_a"}])
    told.track("Bought", HOUR)
    told.track("Paid", 2 * HOUR)
    told.track("Paid", 3 * HOUR, {"id": None})
    assert sends(told) == []


def test_set_writes_attributes_that_later_steps_see_and_triggers_nothing() -> None:
    greeted = {"trigger": {"enters": "vips"}, "steps": [{"send": "push_b"}]}
    setting = {
        "steps": [
            {"set": {"vip": True, "note": "{{ event.n }} of {{ user.id }}", "gone": None, "n": 5}},
            {"if": {"segment": "vips"}, "then": [{"send": "push_a"}]},
        ]
    }
    told = story(campaigns={"c": setting, "greeted": greeted}, traits={"gone": 1})
    told.track("Bought", HOUR, {"n": 7})
    assert sends(told) == [("c", "push_a", HOUR)]
    attributes = told.user.profile.values()
    assert {name: attributes.get(name) for name in ("vip", "note", "gone", "n")} == {
        **{"vip": True, "note": "7 of u", "gone": None, "n": 5}
    }
    [entered] = [each for each in of_type(SegmentEntered, told.effects) if each.segment == "vips"]
    assert (entered.cause, entered.at) == ("step", START + HOUR)
    assert ProfileChanged("u", START + HOUR, ("vip", "note", "gone", "n")) in told.effects


def test_what_set_writes_is_as_old_as_its_step() -> None:
    told = story(steps=[{"wait": "1h"}, {"set": {"plan": "pro"}}, {"send": "push_a"}])
    told.track("Bought", HOUR)
    told.identify(3 * HOUR, {"plan": "old"}, time=2 * HOUR - 1)
    assert told.user.profile.value("plan") == "pro"
    told.identify(4 * HOUR, {"plan": "new"}, time=2 * HOUR + 1)
    assert told.user.profile.value("plan") == "new"


def test_a_text_of_set_that_cannot_be_filled_in_writes_nothing_and_the_journey_goes_on() -> None:
    told = story(steps=[{"id": "note", "set": {"a": 1, "b": "{{ event.missing }}"}}, {"send": "push_a"}])
    told.track("Bought", HOUR)
    assert refusals(told) == [("note", "render_error", HOUR)]
    assert told.user.profile.value("a") is None
    assert sends(told) == [("c", "push_a", HOUR)]


def test_a_paused_campaign_sets_nothing() -> None:
    told = story(steps=[{"wait": "1h"}, {"id": "note", "set": {"a": 1}}, {"send": "push_a"}])
    told.track("Bought", HOUR)
    paused = edited(told, status="paused", steps=[{"wait": "1h"}, {"id": "note", "set": {"a": 1}}, {"send": "push_a"}])
    paused.wake(DAY)
    assert refusals(paused) == [("note", "paused", 2 * HOUR), ("push_a", "paused", 2 * HOUR)]
    assert paused.user.profile.value("a") is None


def test_set_can_end_its_own_journey() -> None:
    told = story(steps=[{"set": {"vip": True}}, {"send": "push_a"}], exit={"segment": "vips"})
    told.track("Bought", HOUR)
    assert (sends(told), told.reasons, told.user.journeys) == ([], ["exit"], {})


BY_VARIANT = [
    {"id": "hello", "send": {"a": "push_a", "b": ["email_b", "push_b"]}},
    {"id": "more", "send": "push_c", "unless": {"variant": "a"}},
    {"if": {"not": {"variant": "b"}}, "then": [{"send": "push_d"}], "else": [{"send": "push_e"}]},
]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [({"a": 100, "b": 0}, ["push_a", "push_d"]), ({"a": 0, "b": 100}, ["push_b", "push_c", "push_e"])],
)
def test_messages_and_conditions_by_variant(shares: Plain, expected: list[str]) -> None:
    told = story(variants=shares, steps=BY_VARIANT)
    told.track("Bought", HOUR)
    assert [message for _, message, _ in sends(told)] == expected
    assert {send.variant for send in of_type(Send, told.effects)} == {next(name for name in shares if shares[name])}


def test_templates_see_the_newest_events_that_with_names() -> None:
    told = story(**{"with": {"cart": {"last": "Added"}, "never": {"last": "Never"}}})
    told.track("Added", HOUR, {"sku": "A1"})
    told.track("Added", 2 * HOUR, {"sku": "A0"}, time=HOUR - 1)
    told.track("Bought", 3 * HOUR)
    [send] = of_type(Send, told.effects)
    assert send.template_events == {"cart": {"sku": "A1"}}


def test_steps_without_an_id_are_called_by_kind_and_position_in_the_order_as_written() -> None:
    steps = [
        {"wait": "1h"},
        {"if": VIEWED, "then": [{"wait": "1h"}, {"send": ["push_a", "push_b"]}], "else": [{"end": True}]},
        {"send": "push_c"},
    ]
    compiled = compile_plain(definitions(steps=steps))
    names = [step.id for step in compiled.campaigns["c"].every_step]
    assert names == ["wait_1", "if_2", "wait_3", "send_4", "end_5", "push_c"]


def edited(told: Story, **campaign: object) -> Story:
    """The same user under other definitions."""
    changed = Story(compile_plain(definitions(**campaign)))
    changed.user = told.user
    return changed


def test_a_journey_inside_a_branch_goes_on_at_the_next_surviving_step() -> None:
    inside = [{"id": "w", "wait": "1h"}, {"send": "push_a"}]
    told = story(steps=[{"if": {"segment": "everybody"}, "then": inside}, {"send": "push_b"}])
    told.track("Bought", HOUR)
    moved = edited(told, steps=[{"send": "push_c"}, {"send": "push_b"}])
    moved.wake(DAY)
    assert sends(moved) == [("c", "push_b", 2 * HOUR)]
