"""`todoke delete`: forget a person, by a running job or at once where none runs."""

import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from typing import Any

import msgspec

from todoke.control import open_control, open_events, open_topic
from todoke.preflight import check_store_release
from todoke.store import open_asked
from todoke.terminal import json_text
from transforms.campaigns.load import Definitions, compiled
from transforms.campaigns.transforms import read_definitions
from transforms.errors import RunFailed, WrongUse
from transforms.events.calls import call_of
from transforms.events.ids import refused_id
from transforms.events.plain import counted, quoted
from transforms.storage.store import Store
from transforms.users.control import encode_inputs_control
from transforms.users.delete_now import delete_now, deletion_of
from transforms.users.lease import LIVE_JOB, JobLease, LeaseHeld
from transforms.users.user import ANONYMOUS
from transforms.views.person import PARTS, Person, person, rows_of

__all__ = ["AskedDeletion", "delete"]

_COUNTED = {
    "memberships": ("membership",),
    "events": ("event",),
    "sends": ("send or refusal", "sends and refusals"),
    "mailbox_claims": ("claim of a mailbox", "claims of mailboxes"),
    "inbox": ("inbox message",),
    "identities": ("identity", "identities"),
    "dead_letters": ("dead letter",),
}


class AskedDeletion(msgspec.Struct, frozen=True):
    """Where a deletion goes: to the topic of events, to a job's control topic, or into a store."""

    user: str
    store: str | None
    to: str | None
    control_topic: str | None
    definitions: str | None


def delete(asked: AskedDeletion, confirm: Callable[[str], bool] | None, *, json: bool) -> None:
    """Delete a user, a visitor or an id that was merged, and print what was deleted.

    Args:
      asked: who, and where.
      confirm: asks whether to go on; None to go on.
      json: print as JSON.

    Raises:
      WrongUse, DefinitionsError: nothing was done.
      LeaseHeld: a run over files works on the store.
      RunFailed: something is left; it says what. Delete again.
      StoreError, ControlFailed: the store, or the topic, does not take it.
    """
    bare = asked.user.removeprefix(ANONYMOUS)
    if not bare or (reason := refused_id(bare)):
        raise WrongUse(f"{quoted(asked.user)} is nobody: {reason if bare else 'an id is not empty'}")
    if asked.store is None and asked.to is None and asked.control_topic is None:
        raise WrongUse("name where the user is: --store, or what a running job reads (--to, or --control-topic)")
    if asked.to is not None and asked.control_topic is not None:
        raise WrongUse("--to, --control-topic: one of them is enough")
    with nullcontext() if asked.store is None else closing(open_asked(asked.store)) as store:
        found = Person(asked.user, asked.user, (asked.user,), None) if store is None else person(store, asked.user)
        counts = {} if store is None else _counts(store, found)
        if confirm is not None and not confirm(_question(found, counts, known=store is not None)):
            raise WrongUse("nothing was deleted")
        how = _publish(asked, found) if store is None or asked.to or asked.control_topic else _in(store, found, asked)
    said = {"asked": found.asked, "user": found.user, "ids": found.ids, "how": how, "known": _is_known(found, counts)}
    if json:
        print(json_text(said | counts))
    else:
        _print(found, counts, how, known=store is not None)


def _counts(store: Store, found: Person) -> dict[str, int]:
    return {part: sum(1 for _ in rows_of(store, found, part)) for part in PARTS}


def _is_known(found: Person, counts: dict[str, int]) -> bool | None:
    """Whether the store has anything of them; None where no store was asked."""
    return (found.row is not None and not found.is_deleted) or any(counts.values()) if counts else None


def _question(found: Person, counts: dict[str, int], *, known: bool) -> str:
    return f"{_who(found, counts, known=known)}\n{_what(counts)}Delete {quoted(found.user)} for ever?"


def _who(found: Person, counts: dict[str, int], *, known: bool) -> str:
    if known and not _is_known(found, counts):
        state = "is deleted already" if found.is_deleted else "is nobody whom the store knows"
        return f"{quoted(found.asked)} {state}: late calls of that id will be dropped"
    others = [id_ for id_ in found.ids if id_ != found.user]
    who = f"{quoted(found.asked)} is {quoted(found.user)}" if found.asked != found.user else quoted(found.user)
    return f"{who}, with {', '.join(map(quoted, others))}" if others else who


def _what(counts: dict[str, int]) -> str:
    return "".join(f"  {counted(count, *_COUNTED[part])}\n" for part, count in counts.items() if count)


def _print(found: Person, counts: dict[str, int], how: str, *, known: bool) -> None:
    done = {
        "applied": "deleted",
        "control": "handed to the job that works on the store, which deletes",
        "published": "published to the job, which deletes",
    }
    print(f"{done[how]}: {_who(found, counts, known=known)}")
    print(_what(counts), end="")


def _publish(asked: AskedDeletion, found: Person) -> str:
    """Have a running job delete the person."""
    at = time.time_ns() // 1000
    event = deletion_of(found.user, at)
    if asked.to is None:
        assert asked.control_topic is not None
        with open_topic(asked.control_topic, "--control-topic") as publish:
            publish([encode_inputs_control(found.user, [event])])
        return "published"
    if event.user is None:
        raise WrongUse(f"--to: a `delete` call names a user, not a visitor: name --control-topic for {found.user}")
    with open_events(asked.to, "--to") as publish:
        publish([msgspec.json.encode(call_of(msgspec.structs.replace(event, group=None)))])
    return "published"


def _in(store: Store, found: Person, asked: AskedDeletion) -> str:
    """Delete in the store: under its lease, or by the live job of this machine that has it."""
    lease = JobLease(store, "a deletion")
    try:
        lease.check()
    except LeaseHeld:
        holder = store.read_lease()
        if holder is None or holder.job != LIVE_JOB:
            raise
        with open_control(store, None) as publish:
            publish([encode_inputs_control(found.user, [deletion_of(found.user, time.time_ns() // 1000)])])
        return "control"
    if asked.definitions is None:
        raise WrongUse("--definitions: name those of the store's users: no job works on it that has them")
    definitions: Definitions = compiled(read_definitions(asked.definitions))
    check_store_release(store, definitions)
    if lease.take():  # of whoever died what was archived and not applied goes, as when a job begins
        store.delete_unapplied()
    with lease.kept():
        # Others may have been merged into them since, while somebody was asked.
        ids = tuple(dict.fromkeys([*person(store, found.user).ids, *found.ids]))
        delete_now(store, found.user, ids, definitions, time.time_ns() // 1000)
        _check(store, msgspec.structs.replace(found, ids=ids))
    return "applied"


def _check(store: Store, found: Person) -> None:
    """See that nothing is left.

    Raises:
      RunFailed: something is.
    """
    left: dict[str, Any] = {part: count for part, count in _counts(store, found).items() if count}
    if left or not person(store, found.user).is_deleted:
        raise RunFailed(f"{quoted(found.user)} is not deleted: {_what(left).strip() or 'the id is hot'}; delete again")
