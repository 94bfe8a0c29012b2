"""Definitions that change under a user's feet: what answers until the seed has come, and that nothing is triggered."""

from typing import Any

import pytest
from core import DAY, HOUR, MINUTE, START, Story, of_type, states_of
from releases import publish, release_of

from transforms.campaigns.effects import Send
from transforms.campaigns.load import compiled
from transforms.campaigns.release import OlderDefinitions, Release
from transforms.events.event import Event
from transforms.users.advance import fold
from transforms.users.effects import Account, Forward, SegmentEntered, SegmentLeft
from transforms.users.rows import profile_json
from transforms.users.user import Merge, Owner, Seed, User, Wake, decode_user, encode_user

Plain = dict[str, Any]

RECENT = {"members": {"event": "A", "within": "2h"}}
OFTEN = {"members": {"event": "A", "count": {"at_least": 2}}}
OLD: Plain = {"segments": {"s": RECENT}}
NEW: Plain = {"segments": {"s": OFTEN}}
#: When the second release is published and when its leaves begin to count, after START.
PUBLISHED, ACTIVE = 30 * MINUTE, 40 * MINUTE


def campaign(trigger: Plain, **fields: Any) -> Plain:
    body = {"trigger": trigger, "steps": [{"send": "m"}], "reenter": "always", "transactional": True}
    return {"campaigns": {"c": {**body, **fields}}, "messages": {"m": {"channel": "push", "title": "x"}}}


def released(*plains: Plain) -> Release:
    """The first at once, the second at PUBLISHED for ACTIVE, and so on an hour later each."""
    first, *others = plains
    release = release_of(first, START)
    for place, plain in enumerate(others):
        at = START + place * HOUR
        release = publish(release, plain, at + PUBLISHED, at + ACTIVE)
    return release


def changed(story: Story, release: Release) -> None:
    """From here on the story is told by a newer release; the user's state goes through its bytes."""
    story.definitions = compiled(release)
    story.user = decode_user(encode_user(story.user))


def seed(story: Story, before: int = ACTIVE, **stamps: list[int]) -> Seed:
    """A seed of the story's user with events named by times after START, for the only new leaf of each name."""
    definitions = story.definitions
    leaves = {}
    for key, at in definitions.activations.items():
        leaf = definitions.index.leaves[key]
        name = next(iter(leaf.names))
        if at == START + before and name in stamps:
            leaves[key] = tuple(sorted(((START + time, time) for time in stamps[name]), reverse=True))
    return Seed("backfill", story.user.id, START + before, definitions.release, leaves)


def outcome(effects: list[Any]) -> tuple[str, str]:
    (account,) = of_type(Account, effects)
    assert account.control
    return account.outcome, account.cause


def moved(effects: list[Any]) -> list[tuple[str, str, str, int]]:
    kinds = {SegmentEntered: "entered", SegmentLeft: "left"}
    return [(kinds[type(e)], e.segment, e.cause, e.at - START) for e in effects if type(e) in kinds]


def shown(story: Story) -> Any:
    waiting = story.definitions.index.waiting(story.user.warming)
    return profile_json(story.user, waiting).get("warming", [])


@pytest.fixture
def story() -> Story:
    """A user with one A, judged by the old definitions and then by the new ones."""
    told = Story(compiled(release_of(OLD, START)))
    told.track("A", 0)
    assert set(told.user.members) == {"s"}
    changed(told, released(OLD, NEW))
    return told


def test_the_old_condition_answers_on_and_ends_on_time(story: Story) -> None:
    assert moved(story.track("Other", 35 * MINUTE)) == []
    assert shown(story) == ["s"]
    assert moved(story.wake(3 * HOUR)) == [("left", "s", "time", 2 * HOUR)]
    assert moved(story.track("A", 4 * HOUR)) == [("entered", "s", "event", 4 * HOUR)]


def test_with_the_seed_the_new_condition_answers_and_that_triggers_nothing(story: Story) -> None:
    release = released({**OLD, **campaign({"leaves": "s"})}, {**NEW, **campaign({"leaves": "s"})})
    changed(story, release)
    story.device(35 * MINUTE)
    effects = story.take(seed(story, A=[0]))
    assert outcome(effects) == ("applied", "")
    assert moved(effects) == [("left", "s", "seed", ACTIVE)]
    assert of_type(Send, story.effects) == []
    assert shown(story) == []
    story.track("A", HOUR)
    assert set(story.user.members) == {"s"}


def test_a_seed_that_comes_again_changes_nothing(story: Story) -> None:
    story.track("A", HOUR)
    story.take(seed(story, A=[0]))
    before = story.user
    assert outcome(story.take(seed(story, A=[0, 1, 2]))) == ("duplicate", "")
    assert (story.user.leaves, story.user.members, story.user.seeds) == (before.leaves, before.members, before.seeds)


def test_a_new_leaf_counts_from_its_activation_on_and_its_seed_what_came_before(story: Story) -> None:
    story.track("A", ACTIVE - 1)
    story.track("A", ACTIVE)
    (key,) = story.definitions.activations
    assert len(states_of(story.user)[key].evidence) == 1
    story.take(seed(story, A=[0, ACTIVE - 1]))
    assert len(states_of(story.user)[key].evidence) == 2  # of three, the newest that count
    assert states_of(story.user)[key].activation == START + ACTIVE


def test_a_new_segment_has_no_members_until_the_seed() -> None:
    told = Story(compiled(release_of(OLD, START)))
    told.track("A", 0)
    trigger = campaign({"enters": "often"})
    changed(
        told,
        released(
            OLD,
            {"segments": {"s": RECENT, "often": OFTEN, "not_often": {"members": {"not": OFTEN["members"]}}}, **trigger},
        ),
    )
    told.device(HOUR)
    told.track("A", HOUR)
    told.track("A", HOUR + 1)
    assert set(told.user.members) == {"s"}
    assert shown(told) == ["not_often", "often"]
    assert moved(told.take(seed(told, A=[0]))) == [("entered", "often", "seed", HOUR + 1)]
    assert (told.entered, told.reasons) == ([], [])


def test_who_is_first_seen_at_the_activation_or_later_is_never_warming() -> None:
    told = Story(compiled(released(OLD, NEW)))
    told.track("A", ACTIVE)
    assert (told.user.seeds, shown(told)) == ({}, [])
    told.track("A", ACTIVE + 1)
    assert set(told.user.members) == {"s"}
    assert outcome(told.take(seed(told, A=[0]))) == ("duplicate", "not_awaited")


def test_who_is_first_seen_between_publication_and_activation_waits_too() -> None:
    told = Story(compiled(released(OLD, NEW)))
    told.track("A", ACTIVE - 1)
    assert (shown(told), set(told.user.members)) == (["s"], {"s"})


def test_a_seed_makes_nobody_known() -> None:
    told = Story(compiled(released(OLD, NEW)))
    assert outcome(told.take(seed(told, A=[0]))) == ("deleted", "")
    assert told.user.created is None


def test_a_seed_for_another_activation_is_not_taken(story: Story) -> None:
    story.track("Other", HOUR)
    strange = Seed("strange", "u", START + ACTIVE + 1, story.definitions.release)
    assert outcome(story.take(strange)) == ("duplicate", "not_awaited")
    assert shown(story) == ["s"]


def test_who_was_judged_by_the_old_definitions_after_the_activation_goes_on_waiting() -> None:
    """What came since then was not counted by anybody, and no seed of before can make up for it."""
    told = Story(compiled(release_of(OLD, START)))
    told.track("A", 0)
    told.track("A", ACTIVE)
    changed(told, released(OLD, NEW))
    assert outcome(told.take(seed(told, A=[0]))) == ("duplicate", "missed")
    assert shown(told) == ["s"]


def test_the_oldest_answers_where_each_newer_one_waits() -> None:
    third = {"segments": {"s": {"members": {"event": "A", "count": {"at_least": 3}}}}}
    told = Story(compiled(release_of(OLD, START)))
    told.track("A", 0)
    changed(told, released(OLD, NEW))
    told.track("Other", 35 * MINUTE)
    changed(told, released(OLD, NEW, third))
    told.track("A", ACTIVE + 1)
    assert moved(told.take(seed(told, A=[0]))) == []  # twice: by the second release too
    told.wake(5 * HOUR)
    assert set(told.user.members) == {"s"}
    assert moved(told.take(seed(told, before=HOUR + ACTIVE, A=[0, ACTIVE + 1]))) == [("left", "s", "seed", 5 * HOUR)]
    assert shown(told) == []


def test_a_condition_waits_for_the_segments_that_it_refers_to() -> None:
    new = {
        "segments": {
            "s": {"members": {"all": [{"event": "A"}, {"not": {"segment": "often"}}]}},
            "often": OFTEN,
        }
    }
    told = Story(compiled(release_of({"segments": {"s": {"members": {"event": "A"}}}}, START)))
    told.track("A", 0)
    told.track("A", 1)
    changed(told, released({"segments": {"s": {"members": {"event": "A"}}}}, new))
    told.track("Other", HOUR)
    assert (set(told.user.members), shown(told)) == ({"s"}, ["often", "s"])
    assert moved(told.take(seed(told, A=[0, 1]))) == [
        ("entered", "often", "seed", HOUR),
        ("left", "s", "seed", HOUR),
    ]


def test_an_old_reference_is_followed_where_the_segment_is_gone() -> None:
    old = {"segments": {"s": {"members": {"segment": "t"}}, "t": {"members": RECENT["members"]}}}
    told = Story(compiled(release_of(old, START)))
    told.track("A", 0)
    changed(told, released(old, NEW))
    assert moved(told.wake(HOUR)) == [("left", "t", "definition", 0)]
    assert moved(told.wake(3 * HOUR)) == [("left", "s", "time", 2 * HOUR)]


def test_an_audience_that_waits_answers_as_it_was_and_a_new_one_refuses() -> None:
    trigger = {"event": "Go"}
    old = {**OLD, **campaign(trigger, audience=RECENT["members"])}
    new = {**OLD, **campaign(trigger, audience=OFTEN["members"])}
    for before, reason, entered in ((old, [], ["c"]), (OLD, ["warming"], [])):
        told = Story(compiled(release_of(before, START)))
        told.device(0)
        told.track("A", 0)
        changed(told, released(before, new))
        told.track("Go", HOUR)
        assert (told.reasons, told.entered) == (reason, entered)


def test_renaming_a_segment_costs_nothing(story: Story) -> None:
    renamed = {"segments": {"t": RECENT}}
    told = Story(compiled(release_of(OLD, START)))
    told.track("A", 0)
    changed(told, released(OLD, renamed))
    assert moved(told.wake(HOUR)) == [("entered", "t", "definition", 0), ("left", "s", "definition", 0)]
    assert (told.user.seeds, shown(told)) == ({}, [])
    assert moved(told.wake(2 * HOUR)) == [("left", "t", "time", 2 * HOUR)]


def test_what_a_new_attribute_would_have_said_before_its_publication_triggers_nothing() -> None:
    lapsed = {"segments": {"s": {"members": {"attribute": "trial_ends", "older_than": "1d"}}}}
    new = {**lapsed, **campaign({"enters": "s"})}
    told = Story(compiled(release_of({"segments": {}}, START)))
    told.identify(0, {"trial_ends": "2026-03-28T00:00:00Z"}, context={"device": {"token": "t"}})  # START + 1 d
    release = publish(release_of({"segments": {}}, START), new, START + 10 * DAY)
    changed(told, release)
    assert moved(told.wake(11 * DAY)) == [("entered", "s", "definition", 0)]
    assert (told.entered, told.reasons) == ([], [])


def test_an_older_release_does_not_write_over_a_newer_one(story: Story) -> None:
    story.track("Other", HOUR)
    old = compiled(release_of(OLD, START))
    with pytest.raises(OlderDefinitions, match="release 2 of the definitions was used already"):
        fold(story.user, [Wake(START + HOUR)], old)
    newcomer, _ = fold(User("v"), [Event("m", "track", "A", START, START, "v")], old)
    for item in (seed(story, A=[0]), Merge(START + HOUR, story.user)):
        with pytest.raises(OlderDefinitions):
            fold(newcomer, [item], old)


def test_whole_histories_wait_for_nothing() -> None:
    release = released(OLD, NEW)
    told = Story(compiled(Release(release.number, release.revisions, release.activations, whole=True)))
    told.track("A", 0)
    told.track("A", 1)
    assert (set(told.user.members), told.user.release) == ({"s"}, 2)
    changed(told, release)
    told.track("Other", HOUR)
    assert (told.user.seeds, set(told.user.members)) == ({}, {"s"})


class TestMerging:
    """A visitor with a past of their own, who becomes a user after the activation."""

    def visitor(self, story: Story, at: int) -> tuple[User, Merge]:
        visitor = Story(compiled(release_of(OLD, START)), "~x")
        visitor.take(Event("x1", "track", "A", START, START, anonymous="x"))
        changed(visitor, released(OLD, NEW))
        both = Event("x2", "identify", "", START + at, START + at, "u", "x")
        merge = next(each.input for each in of_type(Forward, visitor.take(both)) if isinstance(each.input, Merge))
        return visitor.user, merge

    def past(self, story: Story, visitor: User) -> Seed:
        definitions = story.definitions
        (key,) = definitions.activations
        return Seed("backfill", "~x", START + ACTIVE, definitions.release, {key: ((START, 77),)})

    def test_the_user_waits_for_the_seeds_of_both(self, story: Story) -> None:
        visitor, merge = self.visitor(story, HOUR)
        story.track("Other", HOUR)
        story.take(merge)
        story.take(seed(story, A=[0]))
        assert shown(story) == ["s"]
        passed, effects = fold(visitor, [self.past(story, visitor)], story.definitions)
        (forward,) = of_type(Forward, effects)
        assert (forward.user, of_type(Account, effects)) == ("u", [])
        assert outcome(story.take(forward.input)) == ("applied", "")
        assert (shown(story), set(story.user.members)) == ([], {"s"})
        assert outcome(story.take(forward.input)) == ("duplicate", "")
        assert passed.owner == Owner("u", START + HOUR, "u")

    def test_a_seed_may_overtake_the_past_that_it_belongs_to(self, story: Story) -> None:
        visitor, merge = self.visitor(story, HOUR)
        story.track("Other", HOUR)
        story.take(self.past(story, visitor))
        story.take(merge)
        story.take(seed(story, A=[0]))
        assert (shown(story), set(story.user.members)) == ([], {"s"})

    def test_a_past_from_before_the_activation_is_in_the_users_own_seed(self, story: Story) -> None:
        _, merge = self.visitor(story, ACTIVE - 1)
        story.track("Other", ACTIVE - 1)
        story.take(merge)
        story.take(seed(story, A=[0, 1]))
        assert (shown(story), set(story.user.members)) == ([], {"s"})

    def test_a_user_who_is_new_waits_for_the_seed_of_the_visitor(self, story: Story) -> None:
        visitor, merge = self.visitor(story, HOUR)
        told = Story(story.definitions)
        told.track("A", HOUR)
        told.take(merge)
        assert shown(told) == ["s"]
        told.take(self.past(story, visitor))
        assert (shown(told), set(told.user.members)) == ([], {"s"})
