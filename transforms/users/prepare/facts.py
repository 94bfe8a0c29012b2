"""What is known of each user in the end: of each fact what its last writer said, by time, then message id."""

from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
import polars as pl

from transforms.segments.columns.layout import BLOCKED, TOKEN, Needs
from transforms.segments.columns.values import columns_of, split
from transforms.segments.values import compile_inner
from transforms.users.prepare.spill import FACT

__all__ = ["last_written"]


def last_written(rows: pl.DataFrame, needs: Needs) -> pl.DataFrame:
    """By `user` the columns of the asked paths of each asked fact, without empty ones."""
    facts = [column for column in rows.columns if column.startswith(FACT)]
    newest = rows.sort("user", "time", "id").group_by("user", maintain_order=True)
    said = newest.agg(pl.col(fact).drop_nulls().last() for fact in facts)
    for fact, summed in _SUMMED.items():
        if fact in facts:
            mine = summed(rows.filter(pl.col(fact).is_not_null()), fact)
            said = said.drop(fact).join(mine, on="user", how="left", maintain_order="left")
    columns = [said.select("user")]
    for fact in facts:
        columns += _spread(said[fact], fact.removeprefix(FACT), needs.facts)
    return pl.concat(columns, how="horizontal")


def _live_tokens(rows: pl.DataFrame, fact: str) -> pl.DataFrame:
    """By `user` whether there is a live token: `true`, or null."""
    lost = rows.filter(pl.col(fact).str.ends_with("false]"))["user"].unique()
    told = rows.filter(pl.col("user").is_in(lost.implode())).sort("user", "arrival", "id")
    some = rows.filter(~pl.col("user").is_in(lost.implode()))["user"].unique().to_list()
    columns = ("user", "time", "id", "arrival", "source", "since", fact)
    for user, said in groupby(told.select(columns).iter_rows(), itemgetter(0)):
        tokens = _Tokens()
        for _, time, id_, arrival, source, since, text in said:
            tokens.tell((time, id_), arrival, (source, since), text)
        if tokens.live:
            some.append(user)
    return pl.DataFrame({"user": pl.Series(some, dtype=rows["user"].dtype), fact: ["true"] * len(some)})


class _Tokens:
    """The tokens of a user, as `Profile` keeps them: whoever loses one must have had it.

    A visitor's past knows nothing of the user's tokens until it comes to the user.
    """

    def __init__(self) -> None:
        self._own: dict[int, tuple[tuple[int, str], bool]] = {}
        self._pasts: dict[str, tuple[int, dict[int, tuple[tuple[int, str], bool]]]] = {}

    def tell(self, stamp: tuple[int, str], arrival: int, past: tuple[str | None, int | None], said: str) -> None:
        """Take what an event said, in the order of arrival; `past`: of which visitor, and since when it is theirs."""
        source, since = past
        if source is None or since is None:
            self._join(arrival)
            tokens = self._own
        else:
            _, tokens = self._pasts.setdefault(source, (since, {}))
        token, live = msgspec.json.decode(said)
        before = tokens.get(token)
        if (live or before is not None) and (before is None or before[0] <= stamp):
            tokens[token] = stamp, live

    @property
    def live(self) -> bool:
        """Whether one is live in the end."""
        self._join(None)
        return any(live for _, live in self._own.values())

    def _join(self, arrival: int | None) -> None:
        for source, (since, tokens) in list(self._pasts.items()):
            if arrival is None or since <= arrival:
                del self._pasts[source]
                for token, written in tokens.items():
                    self._own[token] = max(self._own.get(token, written), written, key=itemgetter(0))


def _blocked(rows: pl.DataFrame, fact: str) -> pl.DataFrame:
    """By `user` the list of addresses."""
    lists = rows.sort("user", fact).group_by("user", maintain_order=True).agg(pl.col(fact).unique(maintain_order=True))
    return lists.with_columns(pl.concat_str(pl.lit("["), pl.col(fact).list.join(","), pl.lit("]")).alias(fact))


#: Facts that are more than what somebody said last.
_SUMMED = {f"{FACT}{TOKEN}": _live_tokens, f"{FACT}{BLOCKED}": _blocked}


def _spread(texts: pl.Series, fact: str, paths: dict[str, tuple[str, ...]]) -> list[pl.DataFrame]:
    """The columns of a fact's paths, from the JSON of its values: each distinct value is looked at once."""
    distinct = texts.drop_nulls().unique()
    values = [msgspec.json.decode(text) for text in distinct]
    spread = []
    for path in paths[fact]:
        found = [_found(fact, path, value) for value in values]
        kinds = columns_of(path or fact)
        rows = [split(path or fact, each) for each in found]
        table = pl.DataFrame(rows, schema=kinds, orient="row").with_columns(distinct.alias("[text]"))
        columns = texts.alias("[text]").to_frame().join(table, on="[text]", how="left", maintain_order="left")
        spread.append(columns.select(name for name in kinds if columns[name].null_count() < columns.height))
    return spread


def _found(fact: str, path: str, value: Any) -> list[Any]:
    if value is None:
        return []
    return compile_inner(fact, path)(value) if path else [value]
