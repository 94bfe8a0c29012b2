"""The core without Beam, as tests drive it: definitions from plain values, one user's story, whole histories folded."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import msgspec
from generators import START

from transforms.campaigns.effects import CampaignEntered, Send, Suppressed
from transforms.campaigns.load import Definitions, Texts, check
from transforms.events.decode import decode
from transforms.events.event import Event
from transforms.segments.evidence import Evidence, SourceSums
from transforms.segments.leaf_states import LeafStates
from transforms.segments.leaf_totals import flatten
from transforms.segments.leaves import LeafState
from transforms.users.advance import advance, fold
from transforms.users.control import decode_control, encode_inputs_control
from transforms.users.effects import Account, Effect, Forward
from transforms.users.seen import SEEN_AGE
from transforms.users.user import ANONYMOUS, Input, User, Wake, route

__all__ = [
    "DAY",
    "HOUR",
    "MINUTE",
    "START",
    "Loop",
    "Story",
    "added",
    "compile_plain",
    "decode_all",
    "documented_reasons",
    "essence",
    "known",
    "of_type",
    "outcomes",
    "routed",
    "run_bounded",
    "states_of",
    "texts_of",
    "within_horizon",
]

Plain = dict[str, Any]
Found = TypeVar("Found")

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

#: Far more steps than a loop of these tests takes; beyond it messages go round for ever.
MOST_STEPS = 3_000

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "reasons.md"


def states_of(user: User) -> dict[int, LeafState]:
    """The states of a user's leaves by key."""
    return dict(LeafStates(user.leaves).items())


def texts_of(plain: Plain) -> Texts:
    """Plain definitions as the text of a file; who owns what is filled in."""
    owned = {
        section: {name: {"owner": "test", **body} for name, body in plain.get(section, {}).items()}
        for section in ("segments", "campaigns")
    }
    return (("plain.yaml", json.dumps({**plain, **owned})),)


def compile_plain(plain: Plain) -> Definitions:
    compiled, problems = check(texts_of(plain))
    assert compiled is not None, [str(problem) for problem in problems.errors]
    return compiled


def decode_all(history: Iterable[Plain]) -> list[Event]:
    return [decode(json.dumps(call).encode())[0] for call in history]


def run_bounded(
    events: Iterable[Event],
    definitions: Definitions,
    as_of: int,
    order: Callable[[list[Input]], list[Input]] | None = None,
    before: dict[str, User] | None = None,
) -> tuple[dict[str, User], list[Effect]]:
    """What the bounded shell does, without Beam: group, sort by (arrival, id), or as `order` has it, fold, settle."""
    users, effects = dict(before or {}), []
    inputs: dict[str, list[Input]] = {key: [] for key in users}
    for event in events:
        if event.arrival <= as_of:
            inputs.setdefault(route(event), []).append(event)
    for anonymous in (True, False):
        for key in [key for key in inputs if key.startswith(ANONYMOUS) is anonymous]:
            ordered = sorted(inputs[key], key=lambda item: (item.arrival, item.id))
            last = ordered[-1] if ordered else None
            closing = Wake(as_of, historical=isinstance(last, Event) and last.historical)
            taken = ordered if order is None else order(ordered)
            users[key], found = fold(users.get(key, User(key)), [*taken, closing], definitions)
            effects += found
            for forward in of_type(Forward, found):
                inputs.setdefault(forward.user, []).append(forward.input)
    return users, effects


def known(users: dict[str, User]) -> dict[str, set[str]]:
    return {key: set(user.members) for key, user in users.items() if user.created is not None and user.owner is None}


def essence(users: dict[str, User], definitions: Definitions) -> dict[str, tuple[Any, ...]]:
    """What order and repetition must not change: profiles, leaves and memberships.

    A leaf that was asked and came out as for a user of whom nothing is known is no different from one never asked. What
    was added up is the same whether it was counted before or after a merge.
    """

    def leaves(user: User) -> dict[int, LeafState]:
        unseen = {key: leaf.unseen for key, leaf in definitions.index.leaves.items()}
        states = {key: whole(state) for key, state in states_of(user).items()}
        return {key: state for key, state in states.items() if state != unseen[key]}

    def whole(state: LeafState) -> LeafState:
        return msgspec.structs.replace(state, evidence=added(state.evidence))

    return {
        key: (user.profile, leaves(user), set(user.members))
        for key, user in users.items()
        if user.created is not None and user.owner is None
    }


def added(evidence: Evidence) -> Evidence:
    """Sums as one source: how they came together is not what two evaluators must agree on."""
    return flatten(evidence) if isinstance(evidence, SourceSums) else evidence


def within_horizon(events: Iterable[Input]) -> bool:
    """Whether each message is known again wherever it is repeated.

    Once the user's clock has gone on by a day it is not, and what adds up counts it twice.
    """
    arrivals = [event.arrival for event in events]
    return max(arrivals) - min(arrivals) < SEEN_AGE


def of_type(kind: type[Found], effects: Iterable[Effect]) -> list[Found]:
    return [effect for effect in effects if isinstance(effect, kind)]


def outcomes(effects: Iterable[Effect]) -> dict[str, list[str]]:
    """How each message ended, by its id; a message that came twice ended twice."""
    ended: dict[str, list[str]] = defaultdict(list)
    for account in of_type(Account, effects):
        ended[account.message].append(account.outcome)
    return dict(ended)


def documented_reasons() -> set[str]:
    """The first column of the first table of docs/reference/reasons.md."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.lower().startswith("| reason"))
    reasons = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        reasons.append(line.split("|")[1].strip().strip("`"))
    assert len(set(reasons)) == len(reasons), "a reason stands there twice"
    return set(reasons)


def routed(events: Iterable[Event]) -> list[tuple[str, Input]]:
    """Events with the keys that they go to first."""
    return [(route(event), event) for event in events]


class Loop:
    """The users of a job, and the messages that wait for them."""

    def __init__(self, compiled: Definitions, random: Random, *, again: float = 0.0) -> None:
        self.compiled = compiled
        self.users: dict[str, User] = {}
        self.effects: list[Effect] = []
        self._random = random
        self._again = again
        self._steps = 0

    def deliver(self, waiting: list[tuple[str, Input]]) -> None:
        """Deliver messages, and what comes of them, in any order; a message of control may come twice."""
        waiting = list(waiting)
        while waiting:
            self._steps += 1
            assert self._steps < MOST_STEPS, "messages go back and forth for ever"
            key, item = waiting.pop(self._random.randrange(len(waiting)))
            waiting += self.take(key, item)

    def take(self, key: str, item: Input) -> list[tuple[str, Input]]:
        """Apply one input; returns the control messages that come of it."""
        user, effects = fold(self.users.get(key, User(key)), [item], self.compiled)
        self.users[key] = user
        self.effects += effects
        passed: list[tuple[str, Input]] = []
        for forward in of_type(Forward, effects):
            to, inputs = decode_control(encode_inputs_control(forward.user, [forward.input]), 0)
            for _ in range(2 if self._random.random() < self._again else 1):
                passed += [(to, each) for each in inputs]
        return passed

    def settle(self, as_of: int) -> None:
        for key in list(self.users):
            self.take(key, Wake(as_of))


class Story:
    """One user, input after input. Times are microseconds after `START`; `effects` is all that came of it so far."""

    def __init__(self, definitions: Definitions, user: str = "u") -> None:
        self.definitions = definitions
        self.user = User(user)
        self.effects: list[Effect] = []
        self._count = 0

    def take(self, item: Input) -> list[Effect]:
        """Apply an input; returns what came of this one."""
        self.user, effects = advance(self.user, item, self.definitions)
        self.effects += effects
        return effects

    def call(self, type_: str, at: int, *, time: int | None = None, id_: str | None = None, **fields: Any) -> Event:
        """A call of this user that arrives at `at`, and happened then unless `time` says otherwise."""
        self._count += 1
        happened = START + (at if time is None else time)
        return Event(
            id_ or f"m{self._count}", type_, fields.pop("name", ""), happened, START + at, self.user.id, **fields
        )

    def track(self, name: str, at: int, properties: Plain | None = None, **fields: Any) -> list[Effect]:
        return self.take(self.call("track", at, name=name, properties=properties or {}, **fields))

    def identify(self, at: int, traits: Plain | None = None, **fields: Any) -> list[Effect]:
        return self.take(self.call("identify", at, traits=traits or {}, **fields))

    def device(self, at: int, token: str = "t1") -> list[Effect]:
        """The user becomes reachable by push."""
        return self.identify(at, context={"device": {"token": token, "type": "ios"}})

    def consent(self, at: int, channel: str, granted: bool, topic: str = "offers", **fields: Any) -> list[Effect]:
        properties = {"topic": topic, "channel": channel, "granted": granted}
        return self.track("Consent Changed", at, properties, **fields)

    def wake(self, at: int, *, historical: bool = False) -> list[Effect]:
        return self.take(Wake(START + at, historical=historical))

    @property
    def sent(self) -> list[tuple[str, str, int]]:
        """Every send so far, as (step, message, when)."""
        return [(send.step, send.message, send.decided_at - START) for send in of_type(Send, self.effects)]

    @property
    def reasons(self) -> list[str]:
        """The reason of every refusal so far."""
        return [refused.reason for refused in of_type(Suppressed, self.effects)]

    @property
    def entered(self) -> list[str]:
        """The campaign of every entry so far."""
        return [entry.campaign for entry in of_type(CampaignEntered, self.effects)]
