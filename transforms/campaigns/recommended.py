"""What is recommended to one user: products, counted by a run, joined for whoever a message is for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from transforms.campaigns.recommend import Recommend

__all__ = ["EVERYONE", "MOST_ID", "ListedProduct", "list_of_product", "list_of_segment", "product_ids", "recommended"]

#: The segment of all users.
EVERYONE = ""
#: A longer text is no id of a product.
MOST_ID = 256


class ListedProduct(msgspec.Struct, frozen=True):
    """A product of a list: how well it goes with what the list is of, and how many users that rests on."""

    id: str
    score: float
    users: int


def list_of_product(product: str) -> str:
    """The name of the list of what goes with a product."""
    return f"p#{product}"


def list_of_segment(segment: str) -> str:
    """The name of the list of what a segment has most, or with `EVERYONE` all users."""
    return f"s#{segment}"


def product_ids(values: Iterable[Any]) -> list[str]:
    """The distinct ids of products among values at a path: texts, and whole numbers as text (5.0 is 5)."""
    return list(dict.fromkeys(each for each in map(_id, values) if 0 < len(each) <= MOST_ID))


def _id(value: Any) -> str:
    """Empty for what is no id."""
    if isinstance(value, str):
        return value
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return str(int(value)) if whole and not isinstance(value, bool) else ""


def recommended(
    asked: Recommend,
    had: Sequence[str],
    owned: Iterable[str],
    segments: Sequence[str],
    lists: Mapping[str, Sequence[ListedProduct]],
) -> list[dict[str, Any]]:
    """The products for a user, the best first: what goes with those that they have `had` lately, then what their
    segments have most, then what everyone has, until there are `at_most`.

    What goes with several of them has the sum of its scores. Of equal scores the one of more users comes first, then
    the first by its id.

    Args:
      asked: what the definitions say.
      had: products that the user has had lately.
      owned: all that are known that they have; they are left out if that is asked for.
      segments: those that the user is in, in the order of the definitions.
      lists: by name.
    """
    left_out = set(owned) if asked.leave_out_owned else set()
    scores: dict[str, list[float]] = {}
    for product in had:
        for each in lists.get(list_of_product(product), ()):
            sums = scores.setdefault(each.id, [0.0, 0.0])
            sums[0] += each.score
            sums[1] += each.users
    ranked = sorted(scores.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
    found = {name: ("products", score, int(users)) for name, (score, users) in ranked if name not in left_out}
    for segment in (*segments, EVERYONE):
        for each in lists.get(list_of_segment(segment), ()):
            if each.id not in left_out:
                found.setdefault(each.id, (segment or "everyone", each.score, each.users))
    return [
        {"id": name, "score": score, "users": users, "source": source}
        for name, (source, score, users) in list(found.items())[: asked.at_most]
    ]
