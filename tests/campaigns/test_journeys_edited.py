"""What must outlast a retry, an edit and an update: names of sends, begun waits, and the list of reasons."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from core import DAY, HOUR, MINUTE, START, Story, compile_plain, documented_reasons, of_type
from releases import publish, release_of

from transforms.campaigns.effects import Send, Suppressed
from transforms.campaigns.load import compiled
from transforms.channels.courier import Courier
from transforms.channels.outbox import Outbox
from transforms.channels.settings import MailSettings
from transforms.events.event import Event
from transforms.users.advance import advance, fold
from transforms.users.effects import Forward
from transforms.users.size_limit import SIZE_LIMIT, enforce_size_limit
from transforms.users.user import User

Plain = dict[str, Any]


def definitions(*steps: Plain, **campaign: Any) -> Plain:
    """One campaign `c` that the event `Bought` triggers; a step's id is also that of its message."""
    sends = {step["send"] for step in steps if "send" in step}
    messages = {name: {"channel": "email" if "mail" in name else "push"} for name in sends}
    for message in messages.values():
        message.update({"title": "Hello"} if message["channel"] == "push" else {"subject": "Hello", "text": "Hello"})
    body = {"trigger": {"event": "Bought"}, "steps": list(steps), "reenter": "always", **campaign}
    if "transactional" not in body:
        body["consent"] = "offers"
    return {"segments": {"vips": {"members": {"event": "Ordered"}}}, "campaigns": {"c": body}, "messages": messages}


FIRST, SECOND, THIRD = {"send": "first"}, {"send": "second"}, {"send": "third"}
WAIT: Plain = {"id": "pause", "wait": "1h"}
LATER: Plain = {"id": "rest", "wait": "1h"}


def begun(*steps: Plain) -> Story:
    """A user whose journey waits since an hour after the start."""
    told = Story(compile_plain(definitions(*steps)))
    told.device(0)
    told.track("Bought", HOUR)
    return told


@pytest.mark.parametrize(
    ("edited", "expected"),
    [
        ([FIRST, WAIT, SECOND, LATER, THIRD], [("second", 2), ("third", 3)]),
        ([FIRST, SECOND, LATER, THIRD], [("second", 2), ("third", 3)]),  # the wait itself is gone
        ([FIRST, LATER, THIRD], [("third", 3)]),  # so is what stood behind it
        ([FIRST, THIRD], [("third", 2)]),
        ([FIRST], []),
        ([FIRST, WAIT, {"send": "new"}, SECOND], [("new", 2), ("second", 2)]),
        ([SECOND, FIRST, WAIT, THIRD], [("third", 2)]),  # a step that moved before the wait is over
        ([FIRST, {**WAIT, "wait": "1m"}, SECOND], [("second", 2)]),  # a wait that began keeps its end
        ([FIRST, {**WAIT, "wait": "1w"}, SECOND], [("second", 2)]),
        ([FIRST, WAIT, SECOND, {**LATER, "wait": "5h"}, THIRD], [("second", 2), ("third", 7)]),
    ],
)
def test_an_edit_while_a_user_is_inside(edited: list[Plain], expected: list[tuple[str, int]]) -> None:
    told = begun(FIRST, WAIT, SECOND, LATER, THIRD)
    told.definitions = compile_plain(definitions(*edited))
    told.wake(2 * HOUR - 1)
    assert [step for step, _, _ in told.sent] == ["first"]
    told.wake(DAY)
    assert [(step, at // HOUR) for step, _, at in told.sent[1:]] == expected
    assert told.user.journeys == {}


def test_an_edit_touches_no_entry_and_a_new_trigger_follows_the_new_steps() -> None:
    told = begun(FIRST, WAIT, SECOND)
    told.definitions = compile_plain(definitions(THIRD, reenter={"after": "2h"}))
    told.track("Bought", 3 * HOUR - 1)
    assert told.reasons == ["reentry"]
    told.track("Bought", 3 * HOUR)
    assert [step for step, _, _ in told.sent] == ["first", "third"]


# Names of sends. The ledger lets each out once, so they are a contract with every ledger that is kept.


def sends_of(told: Story) -> list[Send]:
    return of_type(Send, told.effects)


def test_a_retry_makes_the_same_ids() -> None:
    told = begun(FIRST, SECOND)
    bought = told.call("track", 2 * HOUR, name="Bought")
    once, again = advance(told.user, bought, told.definitions), advance(told.user, bought, told.definitions)
    assert once == again
    assert len(of_type(Send, once[1])) == 2


def test_ids_differ_by_device_step_entry_user_and_campaign() -> None:
    told = begun(FIRST, SECOND)
    told.device(HOUR + 1, "t2")
    told.track("Bought", 2 * HOUR)
    other = Story(compile_plain(definitions(FIRST, SECOND)), "v")
    other.device(0)
    other.track("Bought", HOUR, id_="m2")
    plain = definitions(FIRST)
    renamed = Story(compile_plain({**plain, "campaigns": {"d": plain["campaigns"]["c"]}}))
    renamed.device(0)
    renamed.track("Bought", HOUR, id_="m2")
    ids = [send.id for each in (told, other, renamed) for send in sends_of(each)]
    assert len(ids) == 2 + 4 + 2 + 1
    assert len(set(ids)) == len(ids)


def test_an_id_does_not_depend_on_texts_addresses_of_mail_or_other_steps() -> None:
    def mailed(*steps: Plain, address: str, **campaign: Any) -> str:
        told = Story(compile_plain(definitions(*steps, transactional=True, **campaign)))
        told.identify(0, {"email": address})
        told.track("Bought", HOUR)
        return next(send.id for send in sends_of(told) if send.step == "mail")

    plain = {"send": "mail"}
    assert mailed(plain, address="a@example.com") == mailed({"send": "new_mail"}, plain, address="b@example.com")


def test_ids_are_those_that_ledgers_hold() -> None:
    """Golden: a change of these sends again what was sent before the update."""
    pushed = Story(compile_plain(definitions(FIRST)))
    pushed.device(0)
    pushed.track("Bought", HOUR, id_="order-1")
    mailed = Story(compile_plain(definitions({"id": "hello", "send": "mail"})), "ü")
    mailed.identify(0, {"email": "u@example.com"})
    mailed.consent(0, "email", True)
    mailed.track("Bought", HOUR, id_="order-1")
    segment = definitions(FIRST, trigger={"enters": "vips"})
    entered = Story(compile_plain(segment))
    entered.device(0)
    entered.track("Ordered", HOUR)
    found = [(send.entry, send.id) for told in (pushed, mailed, entered) for send in sends_of(told)]
    assert found == [
        ("2a3e1b6dc59ac1013037da04", "e403f95e67da1cbeb37abadf"),
        ("2a3e1b6dc59ac1013037da04", "7287cfd4fd0efb752661034a"),
        ("7b9fb57299c988492b86bfb0", "b627ba2e8ea4f8197b992efd"),
    ]


# Every reason there is, reached once.


def refused(*steps: Plain, before: Callable[[Story], object] = lambda _: None, at: int = DAY, **more: Any) -> list[str]:
    """The reasons for a user with one device who buys a day after the start."""
    timing = {name: more.pop(name) for name in ("time", "historical") if name in more}
    told = Story(compile_plain(definitions(*(steps or (FIRST,)), **more)))
    told.device(0)
    before(told)
    told.track("Bought", at, **timing)
    return told.reasons


def merged() -> list[str]:
    compiled = compile_plain(definitions(WAIT, FIRST))
    user = User("u")
    reasons = []
    for name in ("a1", "a2"):
        bought = Event(
            f"b {name}", "track", "Bought", START, START, anonymous=name, context={"device": {"token": name}}
        )
        identify = Event(f"i {name}", "identify", "", START + 1, START + 1, user="u", anonymous=name)
        _, effects = fold(User(f"~{name}"), [bought, identify], compiled)
        user, found = fold(user, [forward.input for forward in of_type(Forward, effects)], compiled)
        reasons += [each.reason for each in of_type(Suppressed, found)]
    return reasons


def truncated() -> list[str]:
    told = Story(compile_plain(definitions(WAIT, FIRST)))
    told.device(0)
    told.track("Bought", HOUR, {"body": "x" * SIZE_LIMIT})
    _, _, effects = enforce_size_limit(told.user, told.definitions)
    return [each.reason for each in of_type(Suppressed, effects)]


def capped() -> list[str]:
    caps = [{"channels": ["push"], "at_most": 1, "per": "1d"}]
    told = Story(compile_plain({**definitions(FIRST, SECOND), "policies": {"frequency_caps": caps}}))
    told.device(0)
    told.track("Bought", HOUR)
    return told.reasons


def held_out_of_all() -> list[str]:
    everybody = {"percent": 100, "salt": "x"}
    told = Story(compile_plain({**definitions(FIRST), "policies": {"global_holdout": everybody}}))
    told.device(0)
    told.track("Bought", HOUR)
    return told.reasons


def warming() -> list[str]:
    """The audience is new, and asks for what came before it."""
    told = Story(compiled(release_of(definitions(FIRST))))
    told.device(0)
    asking = definitions(FIRST, audience={"event": "Visited"})
    told.definitions = compiled(publish(release_of(definitions(FIRST)), asking, START))
    told.track("Bought", HOUR)
    return told.reasons


DECIDED: dict[str, Callable[[], list[str]]] = {
    "audience": lambda: refused(audience={"segment": "vips"}),
    "capped": capped,
    "ended": lambda: refused(ends="2026-03-28"),
    "exit": lambda: refused(exit={"segment": "vips"}, before=lambda told: told.track("Ordered", 1)),
    "global_holdout": held_out_of_all,
    "historical": lambda: refused(historical=True),
    "holdout": lambda: refused(holdout=100),
    "in_journey": lambda: refused(WAIT, FIRST, before=lambda told: told.track("Bought", DAY - MINUTE)),
    "merged": merged,
    "no_consent": lambda: refused(before=lambda told: told.consent(1, "push", False)),
    "no_value": lambda: refused(reenter={"each": "id"}),
    "not_started": lambda: refused(starts="2026-04-01"),
    "paused": lambda: refused(status="paused"),
    "reentry": lambda: refused(reenter="never", before=lambda told: told.track("Bought", HOUR)),
    "restarted": lambda: refused(
        WAIT, FIRST, reenter="restart", before=lambda told: told.track("Bought", DAY - MINUTE)
    ),
    "stopped": lambda: refused(status="stopped"),
    "too_old": lambda: refused(time=0),
    "truncated": truncated,
    "unless": lambda: refused({**FIRST, "unless": {"event": "Bought"}}),
    "unreachable": lambda: refused({"send": "mail"}, transactional=True),
    "warming": warming,
}
#: What Deliver adds, reached in tests/channels too.
DELIVERED = {
    "expired": {"not_after": START},
    "no_channel": {"channel": "email", "message": "mail"},
    "quiet": {"quiet": (0, 120)},
    "render_error": {"message": "gone"},
}


#: What live runs find in a store, and what is asked of runs, reached in tests/channels only.
LOOKED_UP = {"deleted", "held", "missed", "same_mailbox"}
#: What nobody foresaw, reached in tests/users.
FAULTS = {"internal"}


@pytest.mark.parametrize("reason", DECIDED)
def test_each_reason_of_a_decision_is_reached(reason: str) -> None:
    assert DECIDED[reason]() == [reason]


@pytest.mark.parametrize("reason", DELIVERED)
def test_each_reason_of_a_delivery_is_reached(reason: str, tmp_path: Path) -> None:
    told = begun(FIRST, {"send": "mail"})
    send = msgspec.structs.replace(sends_of(told)[0], **DELIVERED[reason])
    settings = MailSettings()
    channels = {"push": Outbox(tmp_path, settings)}
    messages = told.definitions.messages
    courier = Courier(messages, channels, settings, "en", clock=lambda send: START + HOUR)
    (delivery,) = courier.deliver([send])
    courier.close()
    assert (delivery.reason or delivery.state) == reason


def test_the_reasons_are_those_of_the_documentation() -> None:
    """What is new in the code needs a line in docs/reference/reasons.md and a scenario here."""
    assert {*DECIDED, *DELIVERED, *LOOKED_UP, *FAULTS} == documented_reasons()
