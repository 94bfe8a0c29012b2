"""Which products the same users have: by columns what a naive count says, in one process and in Beam."""

import json
from collections import defaultdict
from itertools import permutations
from math import sqrt
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.load import compiled
from transforms.campaigns.recommended import product_ids
from transforms.events.times import read_time, write_time
from transforms.segments.values import DAY, HOUR
from transforms.storage.rows import RecommendationRow
from transforms.storage.scratch.folder import scratch_folder
from transforms.storage.sqlite.store import SqliteStore
from transforms.users.cooccurrence.transforms import WriteRecommendations, asked_by
from transforms.users.cooccurrence.writing import recommend

AS_OF = read_time("2026-03-31T00:00:00Z")
TEXTS = (
    (
        "shop.yaml",
        """
recommend:
  event: Ordered
  product: products[].id
  where: {"test": {exists: false}}
  within: 10d
  at_least: 2
  at_most: 2
  segments: [big, seen]
segments:
  big: {owner: g, members: {event: Ordered, count: {at_least: 2}}}
  seen: {owner: g, members: {any: [{event: Seen}, {segment: big}]}}
""",
    ),
)
MADE = 77


def call(number: int, user: str, name: str, at: int, **properties: Any) -> bytes:
    said = {"type": "track", "event": name, "messageId": f"m{number}", "timestamp": write_time(at)}
    who = {"anonymousId": user.removeprefix("~")} if user.startswith("~") else {"userId": user}
    return json.dumps(said | who | {"properties": properties}).encode()


IDS = st.one_of(st.sampled_from([*"abcde", "東京", 5, 5.0, "5"]), st.sampled_from([None, True, 1.5, "", "x" * 257]))
ORDERS = st.lists(
    st.tuples(
        st.sampled_from([*(f"u{number}" for number in range(5)), "~v"]),
        st.sampled_from(["Ordered", "Ordered", "Ordered", "Seen"]),
        st.integers(1, 14 * 24),
        st.lists(IDS, max_size=4),
        st.sampled_from([{}, {}, {"test": True}]),
    ),
    max_size=40,
)


def naive(orders: list[tuple[str, str, int, list[Any], dict[str, Any]]]) -> dict[str, list[tuple[str, float, int]]]:
    """All lists, by counting users one after another."""
    has: dict[str, set[str]] = defaultdict(set)
    users, times, seen = set(), defaultdict(int), set()
    for user, name, hours, ids, more in orders:
        users.add(user)
        times[user] += name == "Ordered"
        seen |= {user} if name == "Seen" else set()
        if name == "Ordered" and not more and hours < 240:
            has[user] |= set(product_ids(ids))
    groups = {"big": {user for user in users if times[user] >= 2}, "": users}
    groups["seen"] = seen | groups["big"]
    scores: dict[str, list[tuple[str, float, int]]] = defaultdict(list)
    products = sorted(set().union(*has.values()))
    for group, members in groups.items():
        for product in products:
            many = sum(product in has[user] for user in members)
            if many >= 2:
                scores[f"s#{group}"].append((product, many / len(members), many))
    total = {product: sum(product in mine for mine in has.values()) for product in products}
    for product, other in permutations(products, 2):
        both = sum({product, other} <= mine for mine in has.values())
        if both >= 2:
            scores[f"p#{product}"].append((other, both / sqrt(total[product] * total[other]), both))
    return {name: sorted(found, key=lambda each: (-each[1], -each[2], each[0]))[:4] for name, found in scores.items()}


def stored(store: SqliteStore, made: int = MADE) -> dict[str, list[tuple[str, float, int]]]:
    names = [f"{kind}#{each}" for kind in "ps" for each in (*"abcde", "東京", "5", "big", "seen", "")]
    return {name: [*row.products] for name, row in store.read_recommendations(made, names).items()}


def calls_of(orders: list[tuple[str, str, int, list[Any], dict[str, Any]]]) -> list[bytes]:
    return [
        call(number, user, name, AS_OF - hours * HOUR, products=[{"id": each} for each in ids], **more)
        for number, (user, name, hours, ids, more) in enumerate(orders)
    ]


@settings(max_examples=examples(60), deadline=None)
@given(ORDERS, st.integers(1, 3))
def test_lists_are_those_of_a_naive_count(
    orders: list[tuple[str, str, int, list[Any], dict[str, Any]]], parts: int
) -> None:
    store = SqliteStore("")
    with scratch_folder() as folder:
        sums = recommend(calls_of(orders), asked_by(TEXTS, AS_OF), store, MADE, folder, parts=parts)
    expected = naive(orders)
    assert stored(store) == expected
    assert sums["lists"] == len(expected)
    store.close()


def test_only_the_newest_products_of_a_user_count(tmp_path: Path) -> None:
    calls = []
    for user in ("u1", "u2"):
        many = range(150)
        calls += [call(n, user, "Ordered", AS_OF - DAY - n, products=[{"id": f"p{n}"}]) for n in many]
    calls = [line.replace(b'"m', b'"%d-m' % place) for place, line in enumerate(calls)]
    store = SqliteStore("")
    recommend(calls, asked_by(TEXTS, AS_OF), store, MADE, tmp_path, parts=2)
    found = store.read_recommendations(MADE, [f"p#p{n}" for n in range(150)])
    assert sorted(found) == sorted(f"p#p{n}" for n in range(100))
    assert found["p#p0"] == RecommendationRow(MADE, "p#p0", tuple((f"p{n}", 1.0, 2) for n in (1, 10, 11, 12)))


def test_in_beam_lists_are_the_same(tmp_path: Path) -> None:
    orders = [
        (
            f"u{n % 13}",
            ("Ordered", "Seen")[n % 7 == 0],
            1 + n % 300,
            [[*"abcde"][(n * n + k) % 5] for k in range(n % 3)],
            {},
        )
        for n in range(120)
    ]
    url = f"sqlite:{tmp_path / 's.db'}"
    store = SqliteStore(tmp_path / "s.db")
    with scratch_folder() as folder:
        recommend(calls_of(orders), asked_by(TEXTS, AS_OF), store, MADE, folder, parts=3)
    messages = [(line, "test", None, "") for line in calls_of(orders)]
    flags = ["--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_threading"]
    with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
        written = WriteRecommendations(TEXTS, AS_OF, MADE + 1, 3, url)
        _ = pipeline | beam.Create(messages) | beam.Reshuffle() | written
    assert stored(store, MADE + 1) == stored(store) == naive(orders)
    assert stored(store)
    store.close()


def test_definitions_are_asked_as_they_are_written() -> None:
    asked = compiled(TEXTS).recommend
    assert asked is not None
    assert (asked.product, asked.within, asked.segments) == ("products[].id", 10 * DAY, ("big", "seen"))
