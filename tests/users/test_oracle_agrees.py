"""Invariants 3 and 4 of the core, held against the naive oracle on random definitions and histories."""

from core import compile_plain, decode_all, known, run_bounded
from generators import definitions, histories, instants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships

#: More with `--hypothesis-profile=long` (`make test-long`).
slow = settings(
    max_examples=max(500, settings.default.max_examples if settings.default else 0),
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
