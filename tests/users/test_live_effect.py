"""A live store, whose users decide one bundle after the other, has what a report needs; so has one over files."""

from pathlib import Path

from core import DAY, HOUR, START, compile_plain
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.events.event import Event
from transforms.events.live.inflight import InFlight
from transforms.metrics.counts import counts_of
from transforms.metrics.units import Units, read_units
from transforms.storage.open import open_store
from transforms.storage.scratch.folder import scratch_folder
from transforms.users.advance import fold
from transforms.users.tally import Tallies
from transforms.users.user import Input, User, Wake
from transforms.users.write_batch import WriteBatch, open_users

DEFINITIONS = compile_plain(
    {
        "campaigns": {
            "c": {
                "trigger": {"event": "Bought"},
                "reenter": "always",
                "holdout": 40,
                "steps": [{"send": "hello"}],
                "goals": {"ordered": {"event": "Ordered", "within": "2d", "value": "revenue"}},
                "consent": "news",
            }
        },
        "messages": {"hello": {"channel": "push", "title": "Hello"}},
        "policies": {"settling": "0s"},
    }
)

IN_FLIGHT = InFlight()
CALLS = st.lists(
    st.tuples(st.sampled_from(["u1", "u2", "u3"]), st.sampled_from(["Bought", "Ordered"]), st.integers(0, 80)),
    max_size=25,
)


def history(calls: list[tuple[str, str, int]]) -> dict[str, list[Input]]:
    """By user, in the order of arrival; each has a device, and orders are worth their hour."""
    found: dict[str, list[Input]] = {}
    for number, (user, name, hour) in enumerate(sorted(calls, key=lambda call: call[2])):
        at = START + hour * HOUR + number
        event = Event(f"m{number}", "track", name, at, at, user, properties={"revenue": hour + 0.25})
        mine = found.setdefault(user, [])
        if not mine:
            device = {"device": {"token": f"t{user}", "type": "ios"}}
            mine.append(Event(f"d{user}", "identify", "", START, START, user, context=device))
        mine.append(event)
    return found


@settings(max_examples=examples(25), deadline=None)
@given(CALLS)
def test_live_and_over_files_units_are_the_same(calls: list[tuple[str, str, int]]) -> None:
    files = Tallies(DAY)
    with scratch_folder() as folder:
        store = open_store(f"sqlite:{Path(folder) / 's.db'}")
        for user, inputs in history(calls).items():
            _, effects = fold(User(user), [*inputs, Wake(START + 30 * DAY)], DEFINITIONS)
            files.effects(effects)
            for item in inputs:
                batch = WriteBatch(DEFINITIONS, store, in_flight=IN_FLIGHT, counts_with_rows=True, clock=lambda: START)
                batch.apply(open_users(store, [user])[user], [item])
                list(batch.flush())
        live = read_units(counts_of(store))
        store.close()
        other = open_store(f"sqlite:{Path(folder) / 'files.db'}")
        other.add_metrics(files.rows(START))
        whole = read_units(counts_of(other))
        other.close()
    assert live == whole
    bought = {user for user, name, _ in calls if name == "Bought"}
    assert sum(each.units for each in live.arrivals) == len(bought)
    assert (live == Units()) is (not bought)
