"""Takes decided sends to their channels: each at most once, each with an answer.

The order is what makes it so: the claim stands in the ledger before the call, the outcome is written as soon as it is
known, and at most `MAX_OPEN_PER_SHARD` calls of a shard are open at a time. A crash in between leaves at most so many
claims of which nobody knows the end; `todoke sweep` settles those when their lease is over.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

import msgspec

from transforms.campaigns.effects import Send
from transforms.campaigns.entry import digest
from transforms.campaigns.recommend import Recommend
from transforms.channels.channel import Sender
from transforms.channels.flight import MAX_OPEN_PER_SHARD, Flight, pause_after
from transforms.channels.gate import MISSED, Gate, Profiles
from transforms.channels.ledger import CourierStore
from transforms.channels.making import Complaints, content_of, made
from transforms.channels.masking import Masks
from transforms.channels.outcome import PASSES, Delivery, NotWritten, Outcome, said_of
from transforms.channels.recommending import Found, Recommender
from transforms.channels.rules import Rule, Rules
from transforms.channels.settings import MailSettings
from transforms.channels.tracking import UNTRACKED, TrackingRules
from transforms.identity.channels import shared_key
from transforms.messages.definitions import Message
from transforms.storage.ledger import MAILBOX_CLAIM
from transforms.storage.rows import LedgerRow, LedgerState
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import StoreError

__all__ = ["LEASE", "RELEASED", "RESENDS", "Courier"]

#: Longer than any hand-off with its tries and pauses; in microseconds.
LEASE = 300 * 1_000_000
TRIES = 3
#: No step of a pipeline may sleep for longer; in seconds.
LONGEST_PAUSE = 5.0

#: A claim that may be taken again when due begins its detail so: the last try certainly did not go out, or nobody knows
#: and the campaign's `on_unknown` says so.
RELEASED = "retry: "
#: So often something goes out at most of which nobody knows whether it did before, and the first pause, in seconds.
RESENDS, RESEND_SECONDS = 3, 5.0

_NOTHING_SAID = Rule()

_Asked = ParamSpec("_Asked")
_Answer = TypeVar("_Answer")


class Courier:
    """Delivers batches of sends. One thread at a time; it keeps an event loop for its connections.

    Args:
      messages: the definitions' messages by id.
      senders: by the name of the channel; the courier closes them.
      settings: for links: those that templates show, and those that are tracked.
      default_locale: where a text has neither the user's locale nor language.
      clock: the time in microseconds that counts for a send: its `decided_at` for an outbox in a bounded run,
        otherwise the wall clock.
      store: whose ledger to use, and where live runs look up users; None remembers in this process only.
      rules: what campaigns say now; None asks nothing.
      tracking: what is tracked now.
      recommend: what is recommended now.
      in_turn: channels of which at most `MAX_OPEN_PER_SHARD` sends are open, not so many a shard (see `Transport`).
      bounded: try at most `TRIES` times here, and then fail, or answer `later` where the refusal says nothing about the
        message; else answer `later` at each refusal, with growing pauses.
      sleep: how to pause between tries, in seconds.
      hidden: secrets that no row, receipt or log may show, beside those of `settings`.
    """

    def __init__(
        self,
        messages: Mapping[str, Message],
        senders: Mapping[str, Sender],
        settings: MailSettings,
        default_locale: str,
        clock: Callable[[Send], int],
        *,
        store: CourierStore | None = None,
        rules: Rules | None = None,
        tracking: TrackingRules = UNTRACKED,
        recommend: Recommend | None = None,
        in_turn: Collection[str] = (),
        bounded: bool = True,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        hidden: Iterable[str] = (),
    ) -> None:
        self._messages = messages
        self._senders = senders
        self._settings = settings
        self._default_locale = default_locale
        self._clock = clock
        #: What stands in place of a store: a file without a name, which is gone with this process.
        self._own = SqliteStore("") if store is None else None
        self._ledger: CourierStore = store if self._own is None else self._own  # type: ignore[assignment]
        self._rules = rules or {}
        self._tracking = tracking
        self._gate = Gate(clock, rules, self._ledger, bounded=bounded)
        self._recommender = Recommender(clock, self._ledger)
        self._recommender.follow(recommend, messages)
        self._in_turn = in_turn
        self._bounded = bounded
        self._sleep = sleep
        self._away: set[str] = set()
        self._masks = Masks([*hidden, *(settings.secrets or {}).values()])
        self._complaints = Complaints(self._masks)
        self._runner = asyncio.Runner()
        # Of its own: a name that nobody resolves must not hold up the ledger.
        self._storing = ThreadPoolExecutor(1, "ledger")

    def deliver(self, sends: Sequence[Send], *, waited: bool = False) -> list[Delivery]:
        """Deliver each send; the answers are in the order of `sends`.

        What happens to one message is an answer, not an exception.

        Args:
          sends: what was decided.
          waited: whether they came before, and have waited since: for a provider, the morning, or their turn.

        Raises:
          StoreError: the store does not answer.
          OlderDefinitions, MemoryError, OSError: no other message would fare better. All else that was called is
            recorded first.
        """
        return self._runner.run(self._deliver(sends, waited))

    def follow(
        self,
        messages: Mapping[str, Message],
        default_locale: str,
        rules: Rules,
        tracking: TrackingRules,
        recommend: Recommend | None,
    ) -> None:
        """Go on with other definitions; see the arguments of the same names."""
        self._messages = messages
        self._default_locale = default_locale
        self._gate.rules = self._rules = rules
        self._tracking = tracking
        self._recommender.follow(recommend, messages)

    def close(self) -> None:
        """Close the senders and the event loop."""
        self._runner.run(self._close())
        self._runner.close()
        self._storing.shutdown()
        self._recommender.close()
        if self._own is not None:
            self._own.close()

    async def _close(self) -> None:
        for sender in set(self._senders.values()):
            await sender.close()

    async def _ask(self, ask: Callable[_Asked, _Answer], *args: _Asked.args, **kwargs: _Asked.kwargs) -> _Answer:
        """Ask the store beside the event loop: while it stalls, answers of providers must not be missed."""
        return await asyncio.get_running_loop().run_in_executor(self._storing, partial(ask, *args, **kwargs))

    async def _deliver(self, sends: Sequence[Send], waited: bool) -> list[Delivery]:
        """Keep calls open, and start new ones as others end; see `Flight`."""
        flight = Flight(sends, self._in_turn)
        try:
            while (places := flight.next()) or flight:
                try:
                    await (self._start(flight, places, waited) if places else self._collect(flight))
                except PASSES as error:
                    flight.failed = flight.failed or error
        finally:
            await flight.cancel()
        if flight.failed is not None:
            raise flight.failed
        self._away |= flight.called - flight.reached
        return [flight.answers[place] for place in range(len(sends))]

    async def _start(self, flight: Flight, places: Sequence[int], waited: bool) -> None:
        """Make and claim the sends at these places, and call those whose claim this one made."""
        prepared: dict[str, tuple[int, Any]] = {}
        profiles, shown = await self._ask(self._look, [flight.sends[place] for place in places], waited)
        for place in places:
            send = flight.sends[place]
            if send.id in flight.taken:
                flight.answers[place] = Delivery(send, "duplicate")
                continue
            flight.taken.add(send.id)
            ready = made(send, partial(self._make, send, profiles, waited, shown.get(send.id, ())), self._complaints)
            if isinstance(ready, Delivery) and (ready.state == "later" or ready.reason == "deleted"):
                # Not claimed: it is to come again; or nothing is kept of the user.
                flight.answers[place] = ready
            else:
                prepared[send.id] = (place, ready)
        await self._keep_one_an_address(prepared, flight.sends)
        claims = await self._ask(self._claim, [(flight.sends[place], ready) for place, ready in prepared.values()])
        for send_id, claim in claims.items():
            place, ready = prepared[send_id]
            if isinstance(claim, Delivery):
                flight.answers[place] = claim
            elif not isinstance(ready, Delivery):
                flight.call(place, claim, self._call(flight.sends[place], ready))

    def _look(self, sends: Sequence[Send], waited: bool) -> tuple[Profiles, Found]:
        """What has become of the users of sends, and what is recommended to those whose message shows it."""
        profiles = self._gate.profiles(sends)
        showing = [send for send in sends if self._recommender.shows(send)]
        passing = [send for send in showing if self._gate.check(send, profiles, waited=waited) is None]
        return profiles, self._recommender.look_up(passing, profiles) if passing else {}

    def _make(self, send: Send, profiles: Profiles, waited: bool, recommendations: Sequence[Any]) -> Any:
        """What is handed over, or why nothing is."""
        refused = self._gate.check(send, profiles, waited=waited)
        if refused is not None:
            return refused
        message = self._messages.get(send.message)
        if message is None:
            return Delivery(send, "suppressed", "render_error", f"there is no message `{send.message}`")
        sender = self._senders.get(send.channel)
        if sender is None:
            return Delivery(send, "suppressed", "no_channel", f"there is no channel `{send.channel}`")
        return content_of(
            send,
            message,
            sender.make,
            settings=self._settings,
            now_us=self._clock(send),
            default_locale=self._default_locale,
            tracking=self._tracking,
            recommendations=recommendations,
        )

    async def _keep_one_an_address(self, prepared: dict[str, tuple[int, Any]], sends: Sequence[Send]) -> None:
        """Refuse messages of a broadcast for shared addresses that another user's has gone to, or goes to now.

        Such a mailbox is claimed in the ledger like a send, in a row that names the send that has it.
        """
        asked: dict[str, LedgerRow] = {}
        mine: dict[str, str] = {}
        for id_, (place, ready) in prepared.items():
            send = sends[place]
            key = shared_key(send.channel, send.address)
            if key and not isinstance(ready, Delivery) and self._rule(send).broadcast:
                mine[id_] = digest("mailbox", send.campaign, send.entry, send.step, key)
                asked.setdefault(mine[id_], self._mailbox_row(send, mine[id_]))
        standing = await self._ask(self._ledger.claim, list(asked.values())) if asked else {}
        for id_, mailbox in mine.items():
            if (standing[mailbox] or asked[mailbox]).detail != id_:
                place, _ = prepared[id_]
                prepared[id_] = place, Delivery(sends[place], LedgerState.SUPPRESSED, "same_mailbox")

    def _mailbox_row(self, send: Send, mailbox: str) -> LedgerRow:
        """Without a lease: nobody has to say what becomes of it."""
        row = self._row(send, LedgerState.CLAIMED)
        return msgspec.structs.replace(row, user=f"{MAILBOX_CLAIM}{mailbox}", send=mailbox, lease=0, detail=send.id)

    def _rule(self, send: Send) -> Rule:
        return self._rules.get(send.campaign, _NOTHING_SAID)

    def _claim(self, sends: Sequence[tuple[Send, Any]]) -> dict[str, LedgerRow | Delivery]:
        """By send id: the claim of a send that may be called now, or the answer of one that may not.

        A send that will not be called (expired, or nothing could be rendered) gets its final row by the same claim, so
        that it is counted once and no hand-off is written over.
        """
        rows = [self._claim_row(send, ready) for send, ready in sends]
        standing = self._ledger.claim(rows) if rows else {}
        claims: dict[str, LedgerRow | Delivery] = {}
        retaken: list[tuple[LedgerRow, LedgerRow]] = []
        for (send, ready), row in zip(sends, rows, strict=True):
            before = standing[send.id]
            if before is not None:
                if before.state != LedgerState.CLAIMED or not before.detail.startswith(RELEASED):
                    claims[send.id] = _duplicate(send, before)
                    continue
                due = before.lease - LEASE
                # A run over files has no later: whoever refused it may have changed their mind.
                if not self._bounded and not isinstance(ready, Delivery) and due > row.at:
                    reason = before.detail.removeprefix(RELEASED)
                    claims[send.id] = Delivery(send, "later", reason, retry_at=due)
                    continue
                if isinstance(ready, Delivery) and ready.reason == MISSED:  # it has waited for a provider
                    ready = Delivery(send, LedgerState.EXPIRED)  # noqa: PLW2901
                    row = self._claim_row(send, ready)  # noqa: PLW2901
                row = msgspec.structs.replace(row, attempts=before.attempts + 1)  # noqa: PLW2901
                retaken.append((before, row))
            claims[send.id] = msgspec.structs.replace(ready, at=row.at) if isinstance(ready, Delivery) else row
        if retaken:
            taken = {row.send for row in self._ledger.resolve(retaken)}
            # A sweep, or a courier that was held up, was quicker with the others, and has told what it knows.
            quicker = {before.send for before, _ in retaken} - taken
            claims |= {send.id: Delivery(send, "duplicate") for send, _ in sends if send.id in quicker}
        return claims

    def _claim_row(self, send: Send, ready: Any) -> LedgerRow:
        if not isinstance(ready, Delivery):
            return self._row(send, LedgerState.CLAIMED)
        return msgspec.structs.replace(self._row(send, ready.state), detail=said_of(ready.reason, ready.detail))

    async def _call(self, send: Send, content: Any) -> Outcome:
        outcome = await self._call_once(send, content)
        for _ in range(TRIES - 1 if self._bounded else 0):
            if not self._again(send, outcome):
                break
            # Who was away for a whole batch is not waited for again: a run over files would stand still at each shard.
            if not (outcome.says_nothing and send.channel in self._away):
                await self._sleep(min(outcome.after, LONGEST_PAUSE))
            outcome = await self._call_once(send, content)
        return outcome

    async def _call_once(self, send: Send, content: Any) -> Outcome:
        try:
            return self._masks.outcome(await self._senders[send.channel].send(send, content))
        except PASSES:
            raise
        except Exception as error:  # noqa: BLE001 - nobody foresaw it, nor knows what went out; it costs this send alone
            self._complaints.log("a message was handed over, and nobody knows whether it went out", send, error)
            return Outcome.unknown("internal", self._complaints.said(error))

    def _again(self, send: Send, outcome: Outcome) -> bool:
        """Whether a send is to be tried again after an outcome."""
        return outcome.state == "retry" or (outcome.state == "unknown" and self._rule(send).resend)

    async def _collect(self, flight: Flight) -> None:
        """Wait for an outcome, and record all that have come; while the store refuses, they wait for the others.

        Raises:
          StoreError: it still refused when the last outcome had come.
        """
        for place, claim, call in await flight.landed():
            send, error = flight.sends[place], call.exception()
            if isinstance(error, PASSES):
                flight.failed = flight.failed or error
                if isinstance(error, NotWritten):
                    flight.rows.append(self._released(claim, "not_written", now := self._clock(send), now))
                continue
            flight.answers[place], row = self._settle(send, claim, call.result())
            flight.rows.append(row)
            self._note_reached(flight, flight.answers[place])
        try:
            await self._ask(self._ledger.record, flight.rows)
            flight.rows = []
        except StoreError:
            if not flight:
                raise

    def _note_reached(self, flight: Flight, answer: Delivery) -> None:
        """Note whether a channel's provider was there; it is away when so many calls in turn did not reach it."""
        channel = answer.send.channel
        flight.called.add(channel)
        if (answer.state, answer.reason) != ("later", "connect"):
            flight.reached.add(channel)
            flight.missed[channel] = 0
            self._away.discard(channel)
        else:
            flight.missed[channel] += 1
            if flight.missed[channel] >= MAX_OPEN_PER_SHARD:
                self._away.add(channel)

    def _settle(self, send: Send, claim: LedgerRow, outcome: Outcome) -> tuple[Delivery, LedgerRow]:
        now = self._clock(send)
        again = self._again(send, outcome) and (outcome.state == "retry" or claim.attempts < RESENDS)
        if again and (outcome.says_nothing or not self._bounded):
            due = now + int(pause_after(outcome.after or RESEND_SECONDS, claim.attempts) * 1_000_000)
            row = self._released(claim, outcome.reason, now, due)
            return Delivery(send, "later", outcome.reason, outcome.detail, due), row
        state = LedgerState.FAILED if outcome.state == "retry" else outcome.state
        handed_off = state == LedgerState.HANDED_OFF
        said = outcome.detail if handed_off else said_of(outcome.reason, outcome.detail)
        row = msgspec.structs.replace(claim, state=state, at=now, lease=0, detail=said)
        return Delivery(send, state, outcome.reason, outcome.detail, at=now), row

    def _released(self, claim: LedgerRow, reason: str, now: int, due: int) -> LedgerRow:
        """A claim that may be taken again at `due`. One of a run over files has no lease: no sweep may give it up."""
        lease = 0 if self._bounded else due + LEASE
        return msgspec.structs.replace(claim, at=now, lease=lease, detail=f"{RELEASED}{reason}")

    def _row(self, send: Send, state: str) -> LedgerRow:
        now = self._clock(send)
        return LedgerRow(
            user=send.user,
            send=send.id,
            state=state,
            campaign=send.campaign,
            step=send.step,
            channel=send.channel,
            decided_at=send.decided_at,
            at=now,
            lease=now + LEASE if state == LedgerState.CLAIMED else 0,
        )


def _duplicate(send: Send, before: LedgerRow) -> Delivery:
    called = before.state in (LedgerState.HANDED_OFF, LedgerState.CONFIRMED)
    return Delivery(send, "duplicate", "" if called else before.detail.partition(": ")[0], before.state, at=before.at)
