"""Whose an event is: anonymous ids in columns; users who were merged or deleted, who are few, by the state machine."""

from collections import Counter

import polars as pl

from transforms.campaigns.load import compiled
from transforms.events.event import Event
from transforms.users.boundary import Failed, fold_apart
from transforms.users.effects import Account, Deleted, Forward, Merged, Recorded
from transforms.users.user import Input, Merge, User

__all__ = ["own", "replay"]

#: As often as a bounded run reads what goes from user to user.
_MOST_PASSES = 100


def own(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows keyed by anonymous id, keyed by whose they are (the rule is `advance_anonymous`).

    What came before an anonymous id was identified goes to the first who identified, and has `source` (the anonymous
    key) and `since` (the arrival of that call); what comes later goes to the latest.
    """
    latest = pl.col("user_id").forward_fill().over("key")
    first = pl.col("user_id").drop_nulls().first().over("key")
    since = pl.col("arrival").filter(pl.col("user_id").is_not_null()).first().over("key")
    rows = rows.sort("key", "arrival", "id").with_columns(latest=latest, first=first, since=since)
    past = pl.col("latest").is_null()
    nobodys = pl.col("user_id").is_null()
    # A message that the anonymous id has applied is a duplicate there, also after the id has gone to somebody else.
    again = nobodys & ~past & past.first().over("key", "id", nobodys)
    merged = past & pl.col("first").is_not_null()
    return rows.filter(~again).select(
        pl.coalesce("latest", "first", "key").alias("key"),
        pl.when(merged).then("key").alias("source"),
        pl.when(merged).then("since").alias("since"),
        pl.exclude("key", "source", "since", "latest", "first"),
    )


class _Replay:
    """The state machine over events that say nothing but whose they are, with the rows that are each user's."""

    def __init__(self) -> None:
        self.definitions = compiled(())
        self.users: dict[str, User] = {}
        self.rows: dict[str, list[int]] = {}
        self.pasts: dict[str, list[int]] = {}
        self.accounts: Counter[str] = Counter()
        self.failed = Failed()

    def take(self, key: str, inputs: list[Input]) -> list[Forward]:
        """Apply a user's inputs in the order of (arrival, id); returns what goes to others."""
        ordered = sorted(inputs, key=lambda item: (item.arrival, item.id))
        user = self.users.get(key, User(key))
        self.users[key], effects = fold_apart(user, ordered, self.definitions, self.failed)
        mine = self.rows.setdefault(key, [])
        forwards = []
        for effect in effects:
            if isinstance(effect, Recorded):
                mine.append(int(effect.event.handle))
            elif isinstance(effect, Deleted):
                if key in effect.users:
                    mine.clear()
            elif isinstance(effect, Merged):
                mine += self.pasts[effect.source]
            elif isinstance(effect, Account):
                self.accounts[effect.outcome] += 1
            elif isinstance(effect, Forward):
                if isinstance(effect.input, Merge):
                    self.pasts.setdefault(effect.input.user.id, list(mine))
                forwards.append(effect)
        return forwards

    def owned(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that are somebody's, by whose."""
        owners = [key for key, user in self.users.items() if user.created is not None and user.owner is None]
        numbers = [number for key in owners for number in self.rows[key]]
        keys = [key for key in owners for _ in self.rows[key]]
        return rows[numbers].with_columns(pl.Series("key", keys, dtype=pl.String))


def replay(rows: pl.DataFrame) -> tuple[pl.DataFrame, Counter[str]]:
    """The rows of users who were merged or deleted, keyed by whose they are in the end, and how messages ended.

    `rows` are all those of such users, keyed by user (see `own`). An alias stands under the user who survives.
    """
    machine = _Replay()
    waiting: dict[str, list[Input]] = {}
    pasts: dict[tuple[str, str, int], list[tuple[int, int, int]]] = {}
    fields = ("key", "id", "type", "time", "arrival", "user_id", "previous", "source", "since", "hash")
    for number, row in enumerate(rows.select(fields).iter_rows()):
        key, id_, type_, time, arrival, user, previous, source, since, message_hash = row
        if source is not None:
            pasts.setdefault((key, source, since), []).append((number, arrival, message_hash))
            continue
        event = Event(id_, type_, "", time, arrival, user, previous=previous, historical=True, handle=str(number))
        waiting.setdefault(key, []).append(event)
        if type_ == "alias" and previous != user:
            waiting.setdefault(previous, []).append(event)
    for (key, source, since), found in pasts.items():
        machine.pasts[source] = [number for number, _, _ in found]
        seen = {message_hash: arrival for _, arrival, message_hash in found}
        machine.accounts["applied"] += len(seen)
        user = User(source, clock=since, created=min(arrival for _, arrival, _ in found), seen=seen)
        waiting.setdefault(key, []).append(Merge(since, user))
    for _ in range(_MOST_PASSES):
        forwards = [forward for key, inputs in waiting.items() for forward in machine.take(key, inputs)]
        if not forwards:
            machine.accounts["dead_letter"] += len(machine.failed.inputs)
            return machine.owned(rows), +machine.accounts
        waiting = {}
        for forward in forwards:
            waiting.setdefault(forward.user, []).append(forward.input)
    raise RuntimeError(f"messages go back and forth between users after {_MOST_PASSES} passes")
