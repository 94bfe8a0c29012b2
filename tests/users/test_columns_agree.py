"""Invariant 3: columns give the memberships of the core and of the naive oracle, and the core's evidence."""

from columns import columnar, evidence_of, leaves_of
from core import added, compile_plain, decode_all, known, run_bounded, states_of
from generators import definitions, histories, instants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships
from strength import examples

from transforms.segments.leaves import leaf_key

#: Each writes and reads files.
slow = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))


@slow
@given(st.data())
def test_memberships_at_any_time_are_those_of_rows_and_of_the_oracle(data: st.DataObject) -> None:
    history, plain = data.draw(histories()), data.draw(definitions())
    compiled = compile_plain(plain)
    for as_of in data.draw(st.lists(st.sampled_from(instants(plain, history)), min_size=1, max_size=2, unique=True)):
        found = columnar(history, compiled, as_of)
        assert found == memberships(plain, history, as_of)
        users, _ = run_bounded(decode_all(history), compiled, as_of)
        assert found == known(users)


@slow
@given(st.data())
def test_seeds_are_the_evidence_that_rows_keep(data: st.DataObject) -> None:
    history, plain = data.draw(histories()), data.draw(definitions())
    compiled = compile_plain(plain)
    as_of = data.draw(st.sampled_from(instants(plain, history)))
    users, _ = run_bounded(decode_all(history), compiled, as_of)
    asked = {leaf_key(condition) for condition in leaves_of(compiled)}
    expected = {
        name: {
            key: added(state.evidence)
            for key, state in states_of(users[name]).items()
            if state.evidence and key in asked
        }
        for name in known(users)
    }
    found = evidence_of(history, compiled, as_of)
    assert {name: {key: added(evidence) for key, evidence in each.items()} for name, each in found.items()} == expected


@slow
@given(st.data())
def test_each_user_may_have_a_time_of_its_own(data: st.DataObject) -> None:
    history, plain = data.draw(histories()), data.draw(definitions())
    compiled = compile_plain(plain)
    moments = instants(plain, history)
    read = data.draw(st.sampled_from(moments))
    users = sorted(columnar(history, compiled, read))
    later = st.sampled_from([moment for moment in moments if moment >= read])
    asked = {user: data.draw(later) for user in users}
    expected = {}
    for moment in set(asked.values()):
        answers = columnar(history, compiled, moment, until=read)
        expected |= {user: answers[user] for user in users if asked[user] == moment}
    assert columnar(history, compiled, asked, until=read) == expected
