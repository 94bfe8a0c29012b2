"""Whether a decided send may still go out, asked at the last moment: by the wall clock and by what became of the user.

Decisions are in event time; a backlog that is read at once, or a night between decision and hand-off, must not send
what nobody would decide now. The order of the questions is that of decisions (docs/reference/campaigns.md).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from transforms.campaigns.effects import Send
from transforms.campaigns.quiet import first_outside
from transforms.channels.outcome import Delivery
from transforms.channels.rules import Rule, Rules
from transforms.events.times import read_time
from transforms.identity.channels import TOKENS, channels
from transforms.segments.values import MINUTE, SECOND
from transforms.storage.rows import HoldRow, LedgerState, UserRow

__all__ = ["HELD", "MISSED", "Gate", "Profiles"]

#: Profiles as `users` rows show them to others than the state machine.
Profiles = dict[str, dict[str, Any]]


#: Why a send of a schedule is refused that first comes when it is too late: the job stood still.
MISSED = "missed"
#: Why a send waits, or waited until it expired: a budget is used up, and its campaign's priority is low.
HELD = "held"
#: How often the gate looks what is held back, and how soon a send that waits for it asks again, in microseconds.
_LOOK_EVERY, _ASK_AGAIN = 10 * SECOND, 5 * MINUTE

_GONE, _ASKS_NOTHING = Rule("stopped"), Rule()


class _Users(Protocol):
    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]: ...

    def read_hold(self) -> HoldRow | None: ...


class Gate:
    """Asks of a send why it must not go out now.

    Args:
      clock: the time in microseconds that counts for a send.
      rules: what campaigns say now; None asks nothing.
      users: where deletions and denials are looked up, and what is held back.
      bounded: nobody comes back in the morning, so that quiet hours refuse. Users are those of the run's end, and its
        decisions are of before: of them only deletions are asked for.
    """

    def __init__(
        self,
        clock: Callable[[Send], int],
        rules: Rules | None,
        users: _Users,
        *,
        bounded: bool,
    ) -> None:
        self._clock = clock
        self.rules = rules
        self._users = users
        self._bounded = bounded
        self._decoder = msgspec.json.Decoder(dict[str, Any])
        self._hold: HoldRow | None = None
        self._looked = -_LOOK_EVERY

    def profiles(self, sends: Sequence[Send]) -> Profiles:
        """What has become of the users of sends: by the user that a send names; of an id that was merged, the profile
        of whoever it belongs to now.

        Raises:
          StoreError: users could not be looked up.
        """
        self._look()
        asked = {send.user for send in sends}
        profiles: Profiles = {}
        further = asked
        while further:  # who has it may have been merged as well
            profiles |= self._read(self._users, further)
            further = {profile["owner"] for profile in profiles.values() if "owner" in profile} - asked
            asked |= further
        return {name: _last(name, profiles) for name in profiles}

    def check(self, send: Send, profiles: Profiles, *, waited: bool) -> Delivery | None:
        """The answer of a send that must not go out, None of one that may.

        One of a schedule that comes too late is `missed`, unless it has `waited` here: then it expired, as others do.
        """
        profile = profiles.get(send.user)
        if profile is not None and (reason := _refusal(send, profile, bounded=self._bounded)):
            return Delivery(send, LedgerState.SUPPRESSED, reason)
        if (status := self._rule(send).status) != "live":
            return Delivery(send, LedgerState.SUPPRESSED, status)
        now = self._clock(send)
        outside = now if send.quiet is None else first_outside(send.quiet, send.zone, now)
        if now > send.not_after and not waited and self._rule(send).scheduled:
            return Delivery(send, LedgerState.SUPPRESSED, MISSED)
        held_until = self._held_until(send, now)
        if outside > send.not_after:
            return Delivery(send, LedgerState.EXPIRED, HELD if held_until else "")
        if held_until:
            return Delivery(send, "later", HELD, retry_at=min(held_until, max(send.not_after, now) + SECOND))
        if outside == now:
            return None
        if self._bounded:
            return Delivery(send, LedgerState.SUPPRESSED, "quiet")
        return Delivery(send, "later", "quiet", retry_at=outside)

    def _look(self) -> None:
        """Read what is held back, every few seconds. A run over files waits for nothing."""
        moment = time.monotonic_ns() // 1_000
        if not self._bounded and self.rules is not None and moment - self._looked >= _LOOK_EVERY:
            self._hold, self._looked = self._users.read_hold(), moment

    def _held_until(self, send: Send, now: int) -> int:
        """When a send that is held back asks again, 0 for one that is not."""
        hold, priority = self._hold, self._rule(send).priority
        if hold is None or priority is None or not (priority < hold.below and hold.since <= now < hold.until):
            return 0
        return min(hold.until, now + _ASK_AGAIN)

    def _rule(self, send: Send) -> Rule:
        return _ASKS_NOTHING if self.rules is None else self.rules.get(send.campaign, _GONE)

    def _read(self, users: _Users, names: set[str]) -> Profiles:
        return {name: self._decoder.decode(row.profile) for name, row in users.read_users(sorted(names)).items()}


def _last(name: str, profiles: Profiles) -> dict[str, Any]:
    """The profile of the last who has an id, as far as there is one."""
    passed: set[str] = set()
    while name not in passed and (owner := profiles[name].get("owner")) in profiles:
        passed.add(name)
        name = owner
    return profiles[name]


def _refusal(send: Send, profile: Mapping[str, Any], *, bounded: bool) -> str:
    """Why a user must not be sent to any more, empty where nothing has changed. Who came back is known since then."""
    since = profile.get("known_since")
    if "deleted" in profile and (since is None or send.decided_at < read_time(since)):
        return "deleted"
    if bounded:
        return ""
    consent = profile.get("consent", {})
    asked = () if send.topic is None else (f"all/{send.channel}", f"{send.topic}/{send.channel}")
    if any(consent.get(name) is False for name in asked):
        return "no_consent"
    channel = channels().get(send.channel)
    if channel is None:  # which the courier says
        return ""
    # Rows of before had addresses as they were told.
    if channel.key is not None and {send.address, channel.key(send.address)} & profile.get("blocked", {}).keys():
        return "unreachable"
    # Of an id that was merged the profile is its owner's, who may not have its tokens yet.
    gone = profile["user"] == send.user and send.address not in profile.get("tokens", [send.address])
    return "unreachable" if TOKENS in channel.reads and gone else ""
