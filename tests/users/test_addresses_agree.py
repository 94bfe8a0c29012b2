"""Who is reachable on which channel: rows and columns ask the same function of the channel, and answer the same."""

from typing import Any

from columns import columnar
from core import START, compile_plain, decode_all, known, run_bounded
from generators import iso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.identity.channels import channels

NUMBERS = ["+819012345678", "090-1234-5678", "415 555 2671", "+1 415 555 2671", "12", "", " ", 819012345678, None]
MAILBOXES = ["ada@example.com", " ada@example.com ", "", " ", 5, None]
TRAITS = st.fixed_dictionaries(
    {}, optional={"phone": st.sampled_from(NUMBERS), "email": st.sampled_from(MAILBOXES), "line_id": st.just("U1")}
)
USERS = st.lists(st.tuples(TRAITS, st.booleans(), st.booleans()), min_size=1, max_size=6)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(USERS, st.sampled_from(["", "JP", "US"]))
def test_rows_and_columns_reach_the_same_users(said: list[tuple[dict[str, Any], bool, bool]], region: str) -> None:
    history = []
    for number, (traits, named, device) in enumerate(said):
        who = {"userId": f"u{number}"} if named else {"anonymousId": f"a{number}"}
        context = {"device": {"token": f"t{number}", "type": "ios"}} if device else {}
        at = iso(START)
        call = {"type": "identify", "messageId": f"m{number}", "timestamp": at, "arrival": at}
        history.append({**call, "traits": traits, "context": context, **who})
    segments = {f"by_{name}": {"members": {"reachable": name}} for name in channels()}
    plain = {"segments": segments, **({"policies": {"default_region": region}} if region else {})}
    compiled = compile_plain(plain)
    users, _ = run_bounded(decode_all(history), compiled, START)
    assert columnar(history, compiled, START) == known(users)
