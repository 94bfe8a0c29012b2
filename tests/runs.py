"""Bounded runs over a store, as tests drive them without Beam."""

from collections.abc import Iterable

from transforms.campaigns.load import Definitions
from transforms.events.event import Event
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import Store
from transforms.users.effects import Forward
from transforms.users.rebuild import Judged, asked_of, bring_over
from transforms.users.user import ANONYMOUS, Input, User, Wake, by_arrival, decode_user, route
from transforms.users.write_batch import WriteBatch, applied_before, open_users

__all__ = ["Runs"]


class Runs:
    """Bounded runs over one store in memory, without Beam."""

    def __init__(self) -> None:
        self.store: Store = SqliteStore(":memory:")
        self.judged: dict[str, tuple[int, ...]] = {}

    @property
    def users(self) -> dict[str, User]:
        return {row.user: decode_user(row.state) for row in self.store.scan_users()}

    def run(self, events: Iterable[Event], compiled: Definitions, as_of: int, most: int | None = None) -> None:
        """A run that continues; with `most` it is cut off after so many users."""
        self.judged[compiled.definitions_hash] = asked_of(compiled)
        inputs: dict[str, list[Input]] = {name: [] for name in self.users}
        for event in events:
            if event.arrival <= as_of:
                inputs.setdefault(route(event), []).append(event)
        passes = 0
        while inputs and passes < 20:
            inputs = self._pass(inputs, compiled, as_of, most)
            passes += 1
            if most is not None:
                return
        self.judged = {compiled.definitions_hash: asked_of(compiled)}

    def _pass(
        self, inputs: dict[str, list[Input]], compiled: Definitions, as_of: int, most: int | None
    ) -> dict[str, list[Input]]:
        back: dict[str, list[Input]] = {}
        taken = 0
        for anonymous in (True, False):
            for name in [name for name in inputs if name.startswith(ANONYMOUS) is anonymous]:
                if most is not None and taken >= most:
                    return {}
                taken += 1
                for forward in self._fold(name, inputs[name], compiled, as_of, self.judged):
                    to = inputs if anonymous else back
                    to.setdefault(forward.user, []).append(forward.input)
        return back

    def _fold(self, name: str, inputs: list[Input], compiled: Definitions, as_of: int, judged: Judged) -> list[Forward]:
        users = open_users(self.store, [name])
        again = applied_before(self.store, users, {name: inputs})
        users |= bring_over(self.store, users, compiled, judged)
        batch = WriteBatch(compiled, self.store)
        fresh = [item for item in sorted(inputs, key=by_arrival) if (name, item.id) not in again]
        batch.apply(users[name], [*fresh, Wake(as_of)])
        return [result for result in batch.flush() if isinstance(result, Forward)]
