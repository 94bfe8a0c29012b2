"""Records of an export by columns: dead tokens, addresses that must not be used, topics that were denied, attributes
that steps set. The answers are those of rows.
"""

from typing import Any

from columns import columnar
from core import compile_plain, decode_all, known, run_bounded
from generators import START, iso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strength import examples

Plain = dict[str, Any]
HOUR = 3_600_000_000
slow = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
REACHED = compile_plain(
    {
        "segments": {
            channel: {"members": {"reachable": channel}} for channel in ("push", "email", "sms", "line", "webhook")
        }
        | {"news": {"members": {"consented": {"topic": "news", "channel": "push"}}}}
        | {"pro": {"members": {"attribute": "plan", "is": "pro"}}}
    }
)
TOKENS, MAILBOXES = st.sampled_from(["t1", "t2"]), st.sampled_from(["a@x.example", "B@x.example", "b@x.example"])


@st.composite
def told(draw: st.DrawFn) -> list[Plain]:
    """What two users and a visitor say, and what others say of them: an archive has that only of who is known."""
    whose = [{"userId": "u"}, {"userId": "w"}, {"anonymousId": "v"}]
    story: list[Plain] = [
        {"type": "page", "messageId": f"a{number}", "timestamp": iso(START)} | who for number, who in enumerate(whose)
    ]
    for number in range(draw(st.integers(1, 14))):
        at = START + draw(st.integers(0, 12)) * HOUR
        call: Plain = {"messageId": f"m{number:02}", "timestamp": iso(at)}
        call["arrival"] = iso(at + draw(st.sampled_from([0, 0, 5 * HOUR])))
        who = draw(st.sampled_from(whose))
        kinds = ["token", "mailbox", "link", "dead", "lost", "bounced", "follows", "denied", "set"]
        match draw(st.sampled_from(kinds)):
            case "token":
                device = {"device": {"token": draw(TOKENS), "type": "ios"}}
                call |= who | {"type": "track", "event": "A", "context": device}
            case "mailbox":
                traits = {"email": draw(MAILBOXES), "phone": draw(st.sampled_from(["+12025550100", "nobody"]))}
                call |= who | {"type": "identify", "traits": traits}
            case "link":
                call |= {"type": "identify", "userId": draw(st.sampled_from("uw")), "anonymousId": "v"}
            case "dead":
                call |= who | receipt(kind="dead_token", address=draw(TOKENS), channel="push")
            case "lost":
                call |= who | {"type": "token_lost", "properties": {"token": draw(TOKENS)}}
            case "bounced":
                call |= who | receipt(kind="bounced", address=draw(MAILBOXES), channel="email")
            case "follows":
                kind = draw(st.sampled_from(["followed", "unfollowed"]))
                call |= who | receipt(kind=kind, address=draw(st.sampled_from(["U1", "U2"])), channel="line")
            case "denied":
                kind = draw(st.sampled_from(["unsubscribed", "resubscribed"]))
                call |= who | receipt(kind=kind, topic=draw(st.sampled_from(["news", ""])), channel="push")
            case "set":
                call |= who | {"type": "set", "traits": {"plan": draw(st.sampled_from(["pro", None]))}}
        story.append(call)
    return story


def receipt(**properties: str) -> Plain:
    return {"type": "receipt", "event": "Told", "properties": properties}


@slow
@given(told())
def test_records_say_the_same_by_columns_and_by_rows(story: list[Plain]) -> None:
    as_of = START + 30 * HOUR
    users, _ = run_bounded(decode_all(story), REACHED, as_of)
    rows, columns = known(users), columnar(story, REACHED, as_of)
    assert {user: rows[user] for user in rows if rows[user]} == {
        user: columns[user] for user in columns if columns[user]
    }
