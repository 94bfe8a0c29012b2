"""Who lived through a change of definitions, in runs over files, is as if the new ones had come first."""

from collections.abc import Iterable
from typing import Any

from core import compile_plain, decode_all, essence, known
from generators import definitions, histories, instants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships

from transforms.campaigns.load import Definitions
from transforms.events.event import Event
from transforms.storage.sqlite import SqliteStore
from transforms.storage.store import Store
from transforms.users.bundle import Bundle, applied_before, open_users
from transforms.users.effects import Forward
from transforms.users.rebuild import Judged, asked_of, bring_over
from transforms.users.user import ANONYMOUS, Input, User, Wake, by_arrival, decode_user, route

Plain = dict[str, Any]

slow = settings(deadline=None, suppress_health_check=list(HealthCheck))


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
        self.judged[compiled.revision] = asked_of(compiled)
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
        self.judged = {compiled.revision: asked_of(compiled)}

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
        bundle = Bundle(compiled, self.store)
        fresh = [item for item in sorted(inputs, key=by_arrival) if (name, item.id) not in again]
        bundle.take(users[name], [*fresh, Wake(as_of)])
        return [result for result in bundle.flush() if isinstance(result, Forward)]


@st.composite
def lived(draw: st.DrawFn) -> tuple[list[Plain], Plain, Plain, int, int]:
    """A history, definitions before and after, when they change, and the end."""
    history = draw(histories())
    old, new = draw(definitions()), draw(definitions())
    arrivals = sorted({event.arrival for event in decode_all(history)})
    changed = draw(st.sampled_from(arrivals)) + draw(st.sampled_from([0, 1]))
    as_of = draw(st.sampled_from([at for at in instants(new, history) if at >= changed] or [changed]))
    return history, old, new, changed, as_of


@slow
@given(lived(), st.data())
def test_members_after_a_change_are_the_oracles(
    found: tuple[list[Plain], Plain, Plain, int, int], data: st.DataObject
) -> None:
    history, old, new, changed, as_of = found
    events, before, after = decode_all(history), compile_plain(old), compile_plain(new)
    runs = Runs()
    runs.run([event for event in events if event.arrival <= changed], before, changed)
    # Continued with all events again, as a file that has grown is; sometimes cut off before.
    cut = data.draw(st.sampled_from([None, None, 1, 2]))
    if cut is not None:
        runs.run(events, after, changed, most=cut)
    runs.run(events, after, as_of)
    assert known(runs.users) == memberships(new, history, as_of)


@slow
@given(lived())
def test_states_after_a_change_are_those_of_a_new_store(found: tuple[list[Plain], Plain, Plain, int, int]) -> None:
    history, old, new, changed, as_of = found
    events, before, after = decode_all(history), compile_plain(old), compile_plain(new)
    first = {event.id: event for event in sorted(events, key=lambda each: -each.arrival)}
    changing, fresh = Runs(), Runs()
    changing.run(first.values(), before, changed)
    changing.run(first.values(), after, as_of)
    fresh.run(first.values(), after, as_of)
    assert essence(changing.users, after) == essence(fresh.users, after)
