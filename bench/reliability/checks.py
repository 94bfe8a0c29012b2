"""What must be true at the end: the store agrees with what was published and the oracle, the ledger with servers."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from bench.reliability.rig import DEFINITIONS, Rig
from bench.reliability.stream import Call, merged_users, owners, tokens_of
from bench.reliability.watch import Progress
from transforms.campaigns.entry import digest
from transforms.events.event import RECEIPT, SET, TOKEN_LOST
from transforms.events.times import read_time
from transforms.metrics.counts import counts_of
from transforms.storage.rows import EventRow, LedgerRow, LedgerState, UserRow
from transforms.users.members import standing_members

from generators import iso  # isort: skip
from oracle import Profile, arrived, memberships, whose  # isort: skip - these are on the path since `rig`

__all__ = ["Check", "arrivals_of", "check_all", "settled_at", "shown"]

Plain = dict[str, Any]

_MESSAGE_ID = re.compile(rb"(?im)^message-id: *<([0-9a-f]+)@")
#: By the event that triggers a campaign: its id and its step.
#: Types of the archive's rows that no sender published: what became of sends, and what users lost or were given.
OWN_TYPES = {RECEIPT, SET, TOKEN_LOST}
_TRIGGERED = {"Session Started": ("hello", "hello_push"), "Order Completed": ("receipt", "receipt_mail")}
#: How a send may end, besides being handed off.
_ENDS = (LedgerState.HANDED_OFF, LedgerState.UNKNOWN, LedgerState.SUPPRESSED, LedgerState.EXPIRED, LedgerState.FAILED)


class Check(NamedTuple):
    """A figure; `wrong` lists some violations, and is empty if all is right.

    With `by_order` it holds only if the live job applied each person's calls in the order of their arrival.
    """

    name: str
    figure: object
    wrong: Sequence[str] = ()
    by_order: bool = False


def settled_at(users: Iterable[UserRow]) -> int:
    """A time up to which every user is settled: after the newest clock, and before the next deadline."""
    rows = list(users)
    clock = max((read_time(shown(row)["as_of"]) for row in rows if "as_of" in shown(row)), default=0)
    late = [row.user for row in rows if row.deadline is not None and row.deadline <= clock]
    if late:
        raise RuntimeError(f"users whose deadline has passed were not settled: {late[:5]}")
    return clock


def shown(row: UserRow) -> Plain:
    """A user as readers of the store see it."""
    found: Plain = json.loads(row.profile)
    return found


def arrivals_of(rig: Rig, calls: list[Call]) -> list[Plain]:
    """The calls with the arrivals that the broker gave them, as an export of the archive has them."""
    published: dict[str, list[int]] = {}
    for name, time in sorted(rig.broker.published(), key=lambda each: each[1]):
        published.setdefault(name, []).append(time)
    return [call.plain | {"arrival": iso(published[call.id].pop(0))} for call in calls]


def oracle_history(rig: Rig, calls: list[Call]) -> list[Plain]:
    """The calls as the oracle wants them: a user who was merged is the survivor from the start.

    That is the rule: merging is union. The oracle knows no merging of known users.
    """
    survivors = merged_users(calls)
    history = arrivals_of(rig, calls)
    for plain in history:
        if plain["type"] != "alias" and plain.get("userId") in survivors:
            plain["userId"] = survivors[plain["userId"]]
    return history


def check_all(rig: Rig, calls: list[Call], progress: Progress) -> list[Check]:
    """Read everything there is, and compare it with everything known."""
    users = list(rig.store.scan_users())
    ledger = list(rig.store.scan_ledger())
    history = oracle_history(rig, calls)
    return [
        *_published(rig, calls),
        *_archive(rig, calls, users, history),
        *_users(rig, users, history, settled_at(users)),
        *_sends(rig, ledger),
        *_decisions(calls, ledger, progress),
    ]


def _published(rig: Rig, calls: list[Call]) -> list[Check]:
    distinct = {call.id for call in calls}
    given_out, again = rig.broker.published(), rig.broker.again()
    seen = {name for name, _ in given_out}
    return [
        Check("calls published", len(calls)),
        Check("of these repeated by their sender", len(calls) - len(distinct)),
        *([] if again is None else [Check("deliveries repeated by the broker", again)]),
        Check("messages that the broker has, or gave out", len(given_out), sorted(distinct ^ seen)[:5]),
    ]


def _archive(rig: Rig, calls: list[Call], users: list[UserRow], history: list[Plain]) -> list[Check]:
    rows: list[EventRow] = [event for row in users for event in rig.store.read_events(row.user)]
    found = Counter(row.id for row in rows if row.type not in OWN_TYPES)
    at_both = [name for name, count in found.items() if count > 1]
    receipts = Counter((row.user, row.id) for row in rows if row.type == RECEIPT)
    arrivals: dict[str, set[int]] = {}
    for plain in history:
        arrivals.setdefault(plain["messageId"], set()).add(read_time(plain["arrival"]))
    times = {call.id: call.time for call in calls}
    odd = [row.id for row in rows if row.type not in OWN_TYPES and row.arrival not in arrivals.get(row.id, ())]
    odd += [row.id for row in rows if row.type not in OWN_TYPES and row.time != times.get(row.id)]
    distinct = {call.id for call in calls}
    return [
        Check("calls in the archive", len(found), odd[:5]),
        Check("calls lost", len(distinct - found.keys()), sorted(distinct - found.keys())[:5]),
        Check("calls applied that nobody published", len(found.keys() - distinct), sorted(found.keys() - distinct)[:5]),
        Check("calls that stand at a visitor and at the user too", len(at_both), _astray(rows, at_both, calls)),
        Check("receipts in the archive", receipts.total()),
        Check("calls applied by the table of metrics", _counted(rig, "applied")),
        Check("duplicates by that table", _counted(rig, "duplicate")),
    ]


def _astray(rows: list[EventRow], names: list[str], calls: list[Call]) -> list[str]:
    """The calls that are there twice, except those at an id and at the id that took it over."""
    owner = owners(calls)
    wrong = []
    for name in names:
        users = sorted(row.user for row in rows if row.id == name and row.type not in OWN_TYPES)
        if len(users) != 2 or users[0] != owner.get(users[1]):
            wrong.append(f"{name}: {users}")
    return wrong[:5]


def _counted(rig: Rig, outcome: str) -> int:
    return sum(each.count for each in counts_of(rig.store, "accounts") if each.labels["outcome"] == outcome)


def _repeated(counts: Counter[Any]) -> tuple[int, list[str]]:
    twice = [str(name) for name, count in counts.items() if count > 1]
    return len(twice), twice[:5]


def _users(rig: Rig, users: list[UserRow], history: list[Plain], as_of: int) -> list[Check]:
    definitions = YAML(typ="safe").load(DEFINITIONS)
    expected = memberships(definitions, history, as_of)
    known = {row.user: shown(row) for row in users if "known_since" in shown(row)}
    profiles = {
        key: Profile(key, tuple(sorted(mine, key=lambda call: (call.time, call.id))), as_of, "UTC")
        for key, mine in whose(arrived(history, as_of)).items()
    }
    strange = sorted(known.keys() ^ expected.keys())
    common = known.keys() & expected.keys()
    wrong = [name for name in common if set(known[name]["segments"]) != expected[name]]
    segments = definitions["segments"]
    listed = {segment: {row.user for row in standing_members(rig.store, segment)} for segment in segments}
    wanted = {segment: {user for user, said in expected.items() if segment in said} for segment in segments}
    unlike = [f"{name}: {sorted(listed[name] ^ wanted[name])[:3]}" for name in segments if listed[name] != wanted[name]]
    indexed = sum(1 for segment in segments for _ in rig.store.scan_members(segment))
    facts = [name for name in common if _facts(known[name]) != _told(profiles[name])]
    return [
        Check("users and visitors compared with the oracle", len(common), strange[:5]),
        Check("memberships of users compared", sum(map(len, expected.values())), _described(wrong, known, expected)),
        Check("members of segments compared", sum(map(len, listed.values())), unlike[:5]),
        Check("rows too many in the index of members", indexed - sum(map(len, listed.values()))),
        Check("users whose facts differ", len(facts), facts[:5]),
    ]


def _described(wrong: list[str], known: dict[str, Plain], expected: dict[str, set[str]]) -> list[str]:
    return [f"{name}: {sorted(set(known[name]['segments']) ^ expected[name])}" for name in sorted(wrong)[:5]]


def _facts(profile: Plain) -> Plain:
    traits = {name: value for name, value in profile["attributes"].items() if not name.startswith("context.")}
    return {"traits": traits, "tokens": set(profile["tokens"]), "consent": profile["consent"]}


def _told(profile: Profile) -> Plain:
    tokens = {call.context["device"]["token"] for call in profile.calls if "device" in call.context}
    said = [call.properties for call in profile.calls if call.name == "Consent Changed"]
    consent = {f"{each['topic']}/{each['channel']}": each["granted"] for each in said}
    return {"traits": profile.traits, "tokens": tokens, "consent": consent}


def _sends(rig: Rig, ledger: list[LedgerRow]) -> list[Check]:
    sends = [row for row in ledger if row.channel]
    states = Counter((row.channel, row.state) for row in sends)
    reasons = Counter(f"{row.state}: {row.detail}" for row in ledger if row.state != LedgerState.HANDED_OFF)
    mails = Counter(_name_of(mail.content) for mail in rig.smtp.received)
    pushes = Counter((push["token"], push["data"]["about"]) for push in rig.fcm.received)
    by_id = {row.send: row.state for row in sends}
    loose = [name for name in mails if by_id.get(name) not in (LedgerState.HANDED_OFF, LedgerState.UNKNOWN)]
    handed = [row.send for row in sends if (row.channel, row.state) == ("email", LedgerState.HANDED_OFF)]
    unsent = [name for name in handed if name not in mails]
    taken = {row.detail for row in sends if (row.channel, row.state) == ("push", LedgerState.HANDED_OFF)}
    # The server numbers what it takes; a message that no row names must be one whose end nobody knew.
    unnamed = len(rig.fcm.received) - len(taken)
    wrong = [] if 0 <= unnamed <= states["push", LedgerState.UNKNOWN] else [f"{unnamed} pushes that no row names"]
    if len(taken) != states["push", LedgerState.HANDED_OFF]:
        wrong.append("two sends have one push")
    return [
        *(Check(f"sends: {channel} {state}", count) for (channel, state), count in sorted(states.items())),
        Check("sends that did not end", *_unended(sends)),
        Check("pushes that the server saw", len(rig.fcm.received), wrong),
        Check("mails that the server saw", len(rig.smtp.received), [*loose[:5], *unsent[:5]]),
        Check("the most that the server saw of one push", max(pushes.values(), default=0), _repeated(pushes)[1]),
        Check("the most that the server saw of one mail", max(mails.values(), default=0), _repeated(mails)[1]),
        *(Check(f"not sent: {reason}", count) for reason, count in sorted(reasons.items())),
    ]


def _name_of(content: bytes) -> str:
    found = _MESSAGE_ID.search(content)
    return found[1].decode() if found else "?"


def _unended(sends: list[LedgerRow]) -> tuple[int, list[str]]:
    open_ = [f"{row.user} {row.campaign}: {row.state}" for row in sends if row.state not in _ENDS]
    return len(open_), open_[:5]


def _decisions(calls: list[Call], ledger: list[LedgerRow], progress: Progress) -> list[Check]:
    """Each trigger by an event has led to a decision that the ledger knows: a send, or a refusal with its reason."""
    known = {row.send for row in ledger}
    undecided, twice, beside, count = [], [], 0, 0
    for call in {call.id: call for call in calls}.values():
        if call.plain.get("event") not in _TRIGGERED:
            continue
        count += 1
        campaign, step = _TRIGGERED[call.plain["event"]]
        entry = digest(campaign, call.id)
        refused = any(digest("refused", campaign, entry, at) in known for at in ("", step))
        tails = [(token,) for token in tokens_of(call)] if campaign == "hello" else [()]
        senders = [
            key.user
            for key in progress.homes(call)
            if any(digest(campaign, key.user, entry, step, *tail) in known for tail in tails)
        ]
        beside += refused and bool(senders)
        if len(senders) > 1:
            twice.append(f"{call.id}: {senders}")
        if not senders and not refused:
            undecided.append(call.id)
    return [
        Check("triggers by an event", count),
        Check("triggers without a decision", len(undecided), undecided[:5]),
        Check("triggers that two ids sent for", len(twice), twice[:5]),
        Check("refusals beside a send for the same trigger", beside),
    ]
