"""Seeds of the store's archive, read at any moment of a live job, end as the whole history does."""

from typing import Any

from core import known
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships
from test_warming_agrees import Change, lived

from transforms.campaigns.load import Definitions, compiled
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import Store
from transforms.users.control import decode_control
from transforms.users.effects import Forward
from transforms.users.seeding import Seeding
from transforms.users.seeding_archive import archive_payloads
from transforms.users.user import ANONYMOUS, Input, TokenReassigned, User, Wake, decode_user, encode_user, route
from transforms.users.write_batch import WriteBatch, open_users

slow = settings(
    max_examples=max(10, (settings.default.max_examples if settings.default else 100) // 3),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Job:
    """A live job: each input is a bundle of its own."""

    def __init__(self, definitions: Definitions) -> None:
        self.store: Store = SqliteStore(":memory:")
        self.definitions = definitions

    @property
    def users(self) -> dict[str, User]:
        return {row.user: decode_user(row.state) for row in self.store.scan_users()}

    def take(self, key: str, item: Input) -> None:
        """Apply an input, and at once what goes to an owner."""
        batch = WriteBatch(self.definitions, self.store)
        user = open_users(self.store, [key])[key]
        batch.apply(decode_user(encode_user(user)), [item])
        for result in list(batch.flush()):
            # Tokens have one owner here; who merged is told of those of the past.
            if isinstance(result, Forward) and not isinstance(result.input, TokenReassigned):
                assert key.startswith(ANONYMOUS)
                self.take(result.user, result.input)

    def seeds(self, at: int) -> list[tuple[str, Input]]:
        """What a look at the store makes now."""
        payloads = list(archive_payloads(self.store, self.definitions, {at}, Seeding()))
        return [(key, item) for key, inputs in (decode_control(each, None) for each in payloads) for item in inputs]


@slow
@given(lived(), st.data())
def test_seeds_of_the_archive_end_as_the_whole_history_does(change: Change, data: st.DataObject) -> None:
    events = sorted(change.events, key=lambda each: (each.arrival, each.id))
    job = Job(compiled(change.old))
    for event in [each for each in events if each.arrival < change.published]:
        job.take(route(event), event)
    job.definitions = change.definitions
    early = [each for each in events if change.published <= each.arrival < change.activation]
    # Messages from before the activation that lag behind: a backlog, or what is delivered again.
    lagging = data.draw(st.lists(st.sampled_from(early), unique_by=lambda each: each.id)) if early else []
    for event in early:
        if event not in lagging:
            job.take(route(event), event)
    waiting: list[Any] = [*lagging, *(each for each in events if each.arrival >= change.activation)]
    seeds: list[tuple[str, Input]] = []
    while waiting or seeds:
        looks = st.sampled_from(["look", *(["event"] * 2 if waiting else []), *(["seed"] if seeds else [])])
        match data.draw(looks):
            case "event":
                event = waiting.pop(0)
                job.take(route(event), event)
            case "seed":
                job.take(*seeds.pop(data.draw(st.integers(0, len(seeds) - 1))))
            case _:
                if len(seeds) < 20:
                    seeds += job.seeds(change.activation)
                elif waiting:
                    job.take(route(waiting[0]), waiting.pop(0))
    for _ in range(10):
        again = job.seeds(change.activation)
        if not again:
            break
        for key, item in again:
            job.take(key, item)
    for key in job.users:
        job.take(key, Wake(change.as_of))
    standing = {key: user for key, user in job.users.items() if user.owner is None}
    assert not any(user.warming for user in standing.values())
    assert known(job.users) == memberships(change.plain, change.history, change.as_of)
