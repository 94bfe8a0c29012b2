"""Recommendations at the last moment: whose, of which lists, in what order, and where they are not looked up at all."""

from typing import Any

import msgspec
import pytest
from channels.handing import Whole

from transforms.campaigns.load import compiled
from transforms.channels.outcome import Outcome
from transforms.channels.recommending import MOST_HAD
from transforms.events.event import Event
from transforms.events.times import read_time
from transforms.segments.values import DAY, HOUR
from transforms.storage.rows import RecommendationRow, RecommendationRun, UserRow
from transforms.users.archive import event_row
from transforms.users.effects import Recorded

NOW = read_time("2026-03-10T12:00:00Z")
SHOP = """\
recommend: {event: Ordered, product: "products[].id", within: 30d, at_most: 3, segments: [vip, new], MORE}
segments:
  vip: {owner: crm, members: {event: A}}
  new: {owner: crm, members: {event: B}}
messages:
  plain: {channel: push, title: Hello}
  picks:
    channel: push
    title: "{% for each in recommendations %}{{ each.id }} {{ each.source }}, {% else %}nothing{% endfor %}"
    body: "{{ recommendations.first.date | default: 'never' }}"
campaigns:
  greet: {owner: crm, consent: news, trigger: {enters: vip}, steps: [{send: plain}, {send: picks}]}
"""


class Shown(Whole):
    """What a channel was handed."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.bodies: list[str] = []

    async def send(self, _: Any, rendered: Any) -> Outcome:
        self.titles.append(rendered.title)
        self.bodies.append(rendered.body)
        return Outcome.handed_off("id")


class Counting:
    """A store that notes what is asked."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        return getattr(self.store, name)


@pytest.fixture
def shown() -> Shown:
    return Shown()


@pytest.fixture
def deliver(make_courier, make_send, store, shown):
    def deliver(*users, more="", now=NOW, through=None, message="picks"):
        definitions = compiled((("f.yaml", SHOP.replace(", MORE", f", {more}" if more else "")),))
        options = {"messages": definitions.messages, "recommend": definitions.recommend, "senders": {"push": shown}}
        courier = make_courier(through or store, now=now, bounded=False, **options)
        times = {"decided_at": now, "not_after": now + HOUR}
        sends = [make_send(f"to-{user}-{now}", user=user, message=message, **times) for user in users]
        assert {each.state for each in courier.deliver(sends)} == {"handed_off"}
        titles, shown.titles[:] = [*shown.titles], []
        return titles

    return deliver


@pytest.fixture
def lists(store):
    """A run whose lists are by name."""

    def lists(made=NOW - DAY, **named):
        kinds = {f"{name[0]}#{name[2:]}": each for name, each in named.items()}
        rows = [RecommendationRow(made, name, tuple(each)) for name, each in kinds.items()]
        store.write_recommendations(rows)
        assert store.publish_recommendations(RecommendationRun(made, made))

    return lists


@pytest.fixture
def ordered(store):
    """Has somebody order products, so many days ago."""

    def ordered(user, days, *ids, name="Ordered"):
        said = {"products": [{"id": each} for each in ids]}
        at = NOW - int(days * DAY)
        event = Event(f"{user}{days}{ids}", "track", name, at, at, user, None, None, said, {}, {})
        store.write_events([event_row(Recorded(user, event), 1)])

    return ordered


@pytest.fixture
def known(store):
    def known(user, **profile):
        shown = {"user": user, "known_since": "2026-01-01T00:00:00Z", **profile}
        store.write_users([UserRow(user, 1, b"", msgspec.json.encode(shown))])

    return known


def test_what_goes_with_what_a_user_had_comes_first_then_their_segments_then_everyone(deliver, lists, ordered, known):
    lists(
        p_rice=[("tea", 0.5, 9), ("nori", 0.4, 9)],
        p_soy=[("nori", 0.3, 8), ("miso", 0.1, 5)],
        s_vip=[("gold", 0.9, 9), ("nori", 0.1, 5)],
        s_new=[("map", 0.2, 5)],
        s_=[("tea", 0.7, 90), ("milk", 0.6, 80)],
    )
    ordered("both", 1, "rice")
    ordered("both", 2, "soy")
    ordered("one", 3, "rice")
    known("vip", segments={"vip": "2026-03-01T00:00:00Z", "other": "2026-03-01T00:00:00Z"})
    assert deliver("both", "one", "vip", "stranger") == [
        "nori products, tea products, miso products,",
        "tea products, nori products, milk everyone,",
        "gold vip, nori vip, tea everyone,",
        "tea everyone, milk everyone,",
    ]


def test_what_a_user_has_is_left_out_if_that_is_asked(deliver, lists, ordered):
    lists(p_rice=[("tea", 0.5, 9), ("nori", 0.4, 9), ("miso", 0.3, 9)], s_=[("rice", 0.9, 90), ("milk", 0.6, 80)])
    ordered("ann", 1, "rice")
    ordered("ann", 300, "tea")  # long ago: it leads to nothing, and is theirs
    ordered("ann", 2, "soy", name="Viewed")
    assert deliver("ann") == ["tea products, nori products, miso products,"]
    assert deliver("ann", more="leave_out_owned: true", now=NOW + 1) == ["nori products, miso products, milk everyone,"]


def test_what_a_person_did_under_other_ids_counts(deliver, lists, ordered, known):
    lists(p_rice=[("tea", 0.5, 9)])
    ordered("~phone", 1, "rice")
    ordered("old", 1, "rice")
    known("ann", anonymous=["phone"])
    known("bob", merged=["old"])
    known("eve")
    assert deliver("ann", "bob", "eve") == ["tea products,", "tea products,", "nothing"]


def test_the_newest_products_lead(deliver, lists, ordered):
    lists(**{f"p_{n}": [(f"to{n}", n / 100, 9)] for n in range(MOST_HAD + 1)})
    for number in range(MOST_HAD + 1):
        ordered("ann", 1 + number, str(number))
    assert deliver("ann") == ["to9 products, to8 products, to7 products,"]  # not to10, which is the oldest


def test_lists_that_are_too_old_or_missing_leave_the_fallback(deliver, lists, shown):
    assert deliver("ann") == ["nothing"]
    lists(s_=[("tea", 0.7, 90)])
    assert deliver("ann", now=NOW + 6 * DAY) == ["tea everyone,"]
    assert shown.bodies == ["never", "2026-03-09"]
    assert deliver("ann", now=NOW + 6 * DAY + 1) == ["nothing"]


def test_nothing_is_looked_up_for_messages_that_show_none(deliver, lists, ordered, store):
    lists(p_rice=[("tea", 0.5, 9)])
    ordered("ann", 1, "rice")
    beside = Counting(store)
    deliver("ann", message="plain", through=beside)
    assert not {name for name in beside.asked if "recommend" in name or name == "read_events"}
    deliver(*(f"u{number}" for number in range(20)), through=beside)
    assert beside.asked.count("read_recommendation_run") == beside.asked.count("read_recommendations") == 1
    assert beside.asked.count("read_events") == 20
