"""A send that was decided stays with its user until a receipt says what became of it, however late that is."""

from pathlib import Path
from typing import Any

import msgspec
from core import DAY, HOUR, START, Story, compile_plain, of_type

from transforms.storage.open import open_store
from transforms.users.advance import advance
from transforms.users.control import Receipt, receipt_event
from transforms.users.effects import Recorded, Redeliver, Truncated
from transforms.users.rows import event_row
from transforms.users.size_limit import SIZE_LIMIT, enforce_size_limit
from transforms.users.user import Wake, encode_user
from transforms.users.write_batch import applied_before

WELCOME = compile_plain(
    {
        "campaigns": {
            "hello": {
                "trigger": {"event": "Seen"},
                "steps": [{"send": "push"}],
                "reenter": "always",
                "consent": "offers",
            }
        },
        "messages": {"push": {"channel": "push", "title": "Hello"}},
    }
)


def sent(properties: dict[str, Any] | None = None) -> Story:
    """Somebody for whom one push was decided."""
    told = Story(WELCOME)
    told.device(0)
    told.track("Seen", 1, properties)
    assert len(told.sent) == 1
    return told


def receipt(told: Story, kind: str, at: int) -> None:
    (send,) = told.user.sends
    said = Receipt("u", kind, "push", "2026-01-01T00:00:00Z", send=send)
    told.take(msgspec.structs.replace(receipt_event(said, None), time=START + at, arrival=START + at))


def test_a_send_that_expired_is_given_out_until_a_receipt_comes() -> None:
    told = sent()
    told.track("Else", 3 * DAY)
    told.wake(9 * DAY)
    assert len(told.user.sends) == 1
    for _ in range(2):
        assert [again.send.id for again in of_type(Redeliver, told.take(Wake(0, again=True)))] == [*told.user.sends]
    receipt(told, "expired", 9 * DAY)
    assert told.user.sends == {}
    assert of_type(Redeliver, told.take(Wake(0, again=True))) == []


def test_what_expired_is_the_first_to_go_where_there_is_no_room() -> None:
    told = sent({"body": "x" * 40_000})
    for day in range(1, 8):
        told.track("Seen", day * 3 * DAY, {"body": "x" * 40_000})
    told.identify(21 * DAY + 1, {"bio": "y" * 30_000})
    assert len(encode_user(told.user)) > SIZE_LIMIT
    cut, _, effects = enforce_size_limit(told.user, WELCOME)
    assert {dropped.kind for dropped in of_type(Truncated, effects)} == {"sends"}
    open_, known = sorted(cut.sends.values(), key=lambda send: send.decided_at), told.user.sends.values()
    assert open_ == sorted(known, key=lambda send: send.decided_at)[-len(open_) :]
    assert cut.profile == told.user.profile


def test_a_receipt_that_comes_twice_closes_a_send_that_is_open_again() -> None:
    """As where a process died before the row was written, and gave the send out once more."""
    told = sent()
    before = told.user
    receipt(told, "accepted", HOUR)
    told.user = msgspec.structs.replace(told.user, sends=before.sends)
    receipt(told, "accepted", HOUR)
    assert told.user.sends == {}
    assert advance(told.user, Wake(0, again=True), WELCOME)[1] == []


def test_a_receipt_in_the_archive_is_none_while_its_send_is_open(tmp_path: Path) -> None:
    """Events are written before users: a run that dies in between has not applied them."""
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    told = sent()
    (send,) = told.user.sends
    come = receipt_event(Receipt("u", "accepted", "push", "2026-01-01T00:00:00Z", send=send), None)
    store.write_events([event_row(Recorded("u", come), 1)])
    assert applied_before(store, {"u": told.user}, {"u": [come]}) == set()
    closed = msgspec.structs.replace(told.user, sends={})
    assert applied_before(store, {"u": closed}, {"u": [come]}) == {("u", come.id)}
    store.close()
