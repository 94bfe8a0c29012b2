"""What every store promises of recommendations: readers follow one whole run."""

from samples import HOSTILE, NOW

from transforms.storage.rows import RecommendationRow, RecommendationRun
from transforms.storage.store import Store


def lists(made: int, *names: str) -> list[RecommendationRow]:
    return [RecommendationRow(made, name, (("tea", 0.5, 7), ("東京", 0.25, 3))) for name in names]


def test_a_run_is_followed_once_it_is_published(store: Store) -> None:
    assert store.read_recommendation_run() is None
    assert store.read_recommendations(NOW, ["p#a"]) == {}
    rows = lists(NOW, *HOSTILE)
    store.write_recommendations(rows)
    store.write_recommendations(rows)
    assert store.read_recommendation_run() is None
    assert store.publish_recommendations(RecommendationRun(NOW, NOW - 5))
    assert store.read_recommendation_run() == RecommendationRun(NOW, NOW - 5)
    assert store.read_recommendations(NOW, [*HOSTILE, "none"]) == {row.name: row for row in rows}
    assert store.read_recommendations(NOW, []) == {}


def test_older_runs_go_but_the_one_before_which_somebody_may_be_reading(store: Store) -> None:
    def there() -> list[int]:
        return [made for made in range(NOW, NOW + 9_000, 1_000) if store.read_recommendations(made, ["s#"])]

    first, dead, second, third, ahead = (NOW + 1_000 * n for n in range(5))
    for made in (first, dead, ahead):
        store.write_recommendations(lists(made, "s#", "p#a"))
    assert store.publish_recommendations(RecommendationRun(first, NOW))
    store.write_recommendations(lists(second, "s#"))
    assert store.publish_recommendations(RecommendationRun(second, NOW))
    assert there() == [first, second, ahead]  # who began later may still be writing
    assert store.publish_recommendations(RecommendationRun(second, NOW))  # a step that is tried again
    assert there() == [first, second, ahead]
    store.write_recommendations(lists(third, "s#"))
    assert store.publish_recommendations(RecommendationRun(third, NOW))
    assert store.read_recommendation_run() == RecommendationRun(third, NOW, second)
    assert there() == [second, third, ahead]


def test_who_began_earlier_and_ends_later_is_not_followed(store: Store) -> None:
    for made in (NOW, NOW + 1_000):
        store.write_recommendations(lists(made, "s#"))
    assert store.publish_recommendations(RecommendationRun(NOW + 1_000, NOW))
    assert not store.publish_recommendations(RecommendationRun(NOW, NOW))
    assert store.read_recommendation_run() == RecommendationRun(NOW + 1_000, NOW)
