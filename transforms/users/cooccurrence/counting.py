"""Which products the same users have, and which a segment has most, by columns: counts of some users, and lists of all.

Two products go together as far as the same users have both: n(a and b) / sqrt(n(a) n(b)), the cosine of Linden, Smith
and York, "Amazon.com Recommendations: Item-to-Item Collaborative Filtering", IEEE Internet Computing 7(1), 2003. What a
segment has most is ordered by the share of its members who have it. Times are microseconds UTC.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec
import polars as pl

from transforms.campaigns.load import Definitions
from transforms.campaigns.recommend import Recommend
from transforms.campaigns.recommended import EVERYONE, list_of_product, list_of_segment, product_ids
from transforms.segments.columns.found import TEXT, each_text
from transforms.segments.columns.layout import Needs, Partition, Prepared, events_named, needs_of
from transforms.segments.columns.memberships import USER, memberships
from transforms.segments.columns.reading import columns_read, passing
from transforms.segments.columns.values import columns_of
from transforms.segments.conditions import Condition
from transforms.segments.warming import atoms
from transforms.storage.rows import RecommendationRow

__all__ = ["MOST_PRODUCTS", "SIZE", "Question", "lists_of_pairs", "lists_of_tops", "question_of", "summed_tops"]

#: So many of a user's newest products count: pairs grow with their square.
MOST_PRODUCTS = 100
#: In place of a product: how many there are of a segment.
SIZE = ""
#: Pairs that are made at once, before they are counted.
_PAIRS_AT_ONCE = 2_000_000

#: Lists are so many times as long as what is shown, since what a user has may be left out.
_SPARE = 2

_TOPS = {"segment": pl.String, "key": pl.String, "users": pl.Int64}
_PAIRS = {"key": pl.String, "other": pl.String, "users": pl.Int64}


class Question(msgspec.Struct, frozen=True):
    """What is counted: by `asked`, of segments by their `conditions`, as of a time."""

    asked: Recommend
    conditions: Mapping[str, Condition]
    as_of: int
    zone: str
    region: str

    @property
    def needs(self) -> Needs:
        """What is read of events and users."""
        needs = needs_of(atom for condition in self.conditions.values() for atom in atoms(condition))
        events = self.asked.events
        paths = {self.asked.product, *(path for path, _ in events.where), *needs.events.get(events.name, ())}
        return Needs({**needs.events, events.name: tuple(sorted(paths))}, needs.facts)

    def count(self, prepared: Prepared, partition: Partition) -> tuple[pl.DataFrame, Iterator[pl.DataFrame]]:
        """Of the users of a partition: by segment how many have a product (`SIZE`: how many there are), and by product
        and other how many have both, in several frames that are to be summed.
        """
        held = self._held(prepared, partition)
        return self._tops(prepared, partition, held), _pairs(held)

    def _held(self, prepared: Prepared, partition: Partition) -> pl.DataFrame:
        """The newest products of each user."""
        events, asked = prepared.events(partition), self.asked
        columns = events.collect_schema().names()
        wanted = columns_read(asked.events, columns) | (columns_of(asked.product).keys() & set(columns))
        named = events_named(events, asked.events.name).filter(pl.col("time") > self.as_of - asked.within)
        some = passing(named.select(sorted(wanted)).collect(), asked.events, columns)
        found = each_text(some, asked.product, product_ids).rename({TEXT: "key"})
        newest = found.group_by("user", "key").agg(pl.col("time").max())
        first = newest.sort(["user", "time", "key"], descending=[False, True, False])
        return first.group_by("user", maintain_order=True).head(MOST_PRODUCTS).select("user", "key")

    def _tops(self, prepared: Prepared, partition: Partition, held: pl.DataFrame) -> pl.DataFrame:
        users = prepared.users(partition).select("user", "id").collect()
        everyone = [_top(EVERYONE, users, held)]
        if not self.asked.segments:
            return everyone[0]
        only = msgspec.structs.replace(prepared, partitions=(partition,))
        [members] = memberships(self.conditions, only, self.as_of, self.zone, self.region)
        known = users.join(members.rename({USER: "id"}), on="id")
        return pl.concat([*everyone, *(_top(name, known.filter(name), held) for name in self.asked.segments)])


def question_of(definitions: Definitions, asked: Recommend, as_of: int) -> Question:
    """What definitions ask."""
    parts = {name: part for each in asked.segments for name, part in definitions.only(each).segments.items()}
    policies = definitions.policies
    conditions = {name: part.members for name, part in parts.items()}
    return Question(asked, conditions, as_of, policies.default_zone, policies.default_region)


def _top(segment: str, users: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    counts = held.join(users, on="user", how="semi").group_by("key").agg(pl.len().alias("users"))
    size = pl.DataFrame({"key": [SIZE], "users": [users.height]}, schema={"key": pl.String, "users": pl.Int64})
    both = pl.concat([size, counts.cast({"users": pl.Int64})])
    return both.select(pl.lit(segment).alias("segment"), "key", "users")


def _pairs(held: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Counts of pairs, of so many users at a time that their pairs fit into memory."""
    sizes = held.group_by("user").agg((pl.len().cast(pl.Int64) ** 2).alias("pairs")).sort("user")
    chunk = sizes.select("user", (pl.col("pairs").cum_sum() // _PAIRS_AT_ONCE).alias("chunk"))
    for some in held.join(chunk, on="user").partition_by("chunk", include_key=False):
        both = some.join(some.rename({"key": "other"}), on="user").filter(pl.col("key") != pl.col("other"))
        yield both.group_by("key", "other").agg(pl.len().cast(pl.Int64).alias("users"))


def summed_tops(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """What several counts say of segments together."""
    return pl.concat([pl.DataFrame(schema=_TOPS), *frames]).group_by("segment", "key").agg(pl.col("users").sum())


def lists_of_pairs(pairs: pl.LazyFrame, tops: pl.DataFrame, asked: Recommend, made: int) -> Iterator[RecommendationRow]:
    """The list of each product of some pairs, whose counts are summed here; `tops` are those of all users."""
    totals = tops.filter((pl.col("segment") == EVERYONE) & (pl.col("key") != SIZE)).select("key", total="users")
    counted = (
        pl.concat([pl.LazyFrame(schema=_PAIRS), pairs.select(*_PAIRS)])
        .group_by("key", "other")
        .agg(pl.col("users").sum())
        .filter(pl.col("users") >= asked.at_least)
        .collect()
        .join(totals, on="key")
        .join(totals.rename({"key": "other", "total": "others"}), on="other")
    )
    score = pl.col("users") / (pl.col("total") * pl.col("others")).cast(pl.Float64).sqrt()
    ranked = counted.select("key", "other", "users", score.alias("score"))
    yield from _lists(ranked, asked, made, list_of_product)


def lists_of_tops(tops: pl.DataFrame, asked: Recommend, made: int) -> Iterator[RecommendationRow]:
    """The list of each segment, and of all users."""
    sizes = tops.filter(pl.col("key") == SIZE).select("segment", size="users")
    some = tops.filter((pl.col("key") != SIZE) & (pl.col("users") >= asked.at_least)).join(sizes, on="segment")
    shares = (pl.col("users") / pl.col("size")).alias("score")
    ranked = some.select(pl.col("segment").alias("key"), pl.col("key").alias("other"), "users", shares)
    yield from _lists(ranked, asked, made, list_of_segment)


def _lists(
    ranked: pl.DataFrame, asked: Recommend, made: int, name_of: Callable[[str], str]
) -> Iterator[RecommendationRow]:
    ordered = ranked.sort(["key", "score", "users", "other"], descending=[False, True, True, False])
    best = ordered.group_by("key", maintain_order=True).head(_SPARE * asked.at_most)
    for (key,), some in best.partition_by("key", as_dict=True, include_key=False, maintain_order=True).items():
        products = tuple(some.select("other", "score", "users").iter_rows())
        yield RecommendationRow(made, name_of(str(key)), products)
