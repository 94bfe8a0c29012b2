"""Who lived through a change of definitions, in runs over files, is as if the new ones had come first."""

from contextlib import suppress
from typing import Any

from core import compile_plain, decode_all, essence, known
from generators import definitions, histories, instants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships
from runs import Runs
from test_crashed_writes import Died, Dying

Plain = dict[str, Any]

slow = settings(deadline=None, suppress_health_check=list(HealthCheck))


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


@slow
@given(lived(), st.data())
def test_a_run_that_died_between_two_writes_goes_on(
    found: tuple[list[Plain], Plain, Plain, int, int], data: st.DataObject
) -> None:
    history, old, new, changed, as_of = found
    events, before, after = decode_all(history), compile_plain(old), compile_plain(new)
    runs = Runs()
    # Some of what arrived by then comes late, in the second file, and is archived by a process that dies.
    drawn = data.draw(st.lists(st.sampled_from(events), max_size=4))
    late = {event.id for event in drawn if event.user is not None and event.anonymous is None and event.type != "alias"}
    runs.run([event for event in events if event.arrival <= changed and event.id not in late], before, changed)
    whole = runs.store
    method = data.draw(st.sampled_from(["write_events", "write_users"]))
    runs.store = Dying(whole, method, data.draw(st.integers(1, 3)), done=method == "write_events")
    with suppress(Died):
        runs.run(events, after, as_of)
    runs.store = whole
    runs.run(events, after, as_of)
    assert known(runs.users) == memberships(new, history, as_of)
