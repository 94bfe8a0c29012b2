"""Invariants 3 and 4 of the core, held against the naive oracle on random definitions and histories."""

from core import compile_plain, decode_all, known, run_bounded, states_of
from generators import definitions, histories, instants, questions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships
from strength import examples

#: More with `--hypothesis-profile=long` (`make test-long`).
slow = settings(
    max_examples=examples(500),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@slow
@given(st.data())
def test_memberships_at_any_time_are_the_oracles(data: st.DataObject) -> None:
    history, plain = data.draw(histories()), data.draw(definitions())
    times = data.draw(st.lists(st.sampled_from(instants(plain, history)), min_size=1, max_size=8, unique=True))
    events, compiled = decode_all(history), compile_plain(plain)
    for as_of in times:
        users, _ = run_bounded(events, compiled, as_of)
        assert known(users) == memberships(plain, history, as_of)


@slow
@given(st.data())
def test_every_deadline_is_the_microsecond_at_which_the_oracle_turns(data: st.DataObject) -> None:
    history, plain = data.draw(histories()), data.draw(questions())
    events, compiled = decode_all(history), compile_plain(plain)
    as_of = data.draw(st.sampled_from(sorted({event.arrival for event in events})))
    for _ in range(3):
        users, _ = run_bounded(events, compiled, as_of)
        assert known(users) == memberships(plain, history, as_of)
        deadlines = {
            state.deadline for user in users.values() for state in states_of(user).values() if user.owner is None
        }
        turns = sorted(turn for turn in deadlines if turn is not None)
        if not turns:
            break
        turn = data.draw(st.sampled_from(turns))
        for moment in (turn - 1, turn, turn + 1):
            users, _ = run_bounded(events, compiled, moment)
            assert known(users) == memberships(plain, history, moment)
        as_of = turn + 1
