"""How handing one message to a provider can end, and what becomes of a send."""

import msgspec

from transforms.campaigns.effects import Send
from transforms.campaigns.release import OlderDefinitions
from transforms.events.plain import plain
from transforms.storage.store import StoreError

__all__ = ["DETAIL", "PASSES", "Delivery", "NotWritten", "Outcome", "said_of"]

#: What is no fault of one message: for the store, the definitions and the machine a whole bundle fails.
PASSES = (StoreError, OlderDefinitions, MemoryError, OSError)
#: So many characters of what a provider says are kept.
DETAIL = 200


class NotWritten(OSError):
    """A message could not be written, and nothing of it stands anywhere: it certainly did not go out."""


class Outcome(msgspec.Struct, frozen=True):
    """The end of one hand-off; made by the four functions below.

    `state` is `handed_off`, `failed`, `retry` or `unknown`. `detail` is the provider's id after a hand-off, else what
    the provider said: one line of at most `DETAIL` characters, without any that a terminal would obey. `after` is in
    seconds, for `retry` only.
    """

    state: str
    reason: str = ""
    detail: str = ""
    after: float = 0.0

    @classmethod
    def handed_off(cls, provider_id: str) -> "Outcome":
        """The provider took it."""
        return cls("handed_off", detail=_bounded(provider_id))

    @classmethod
    def failed(cls, reason: str, detail: str = "") -> "Outcome":
        """It will never go out: `dead_token`, `bad_address`, `auth`, `rejected`, `refused_host`, `sender_mismatch`,
        `too_large`.
        """
        return cls("failed", reason, _bounded(detail))

    @classmethod
    def retry(cls, reason: str, after: float, detail: str = "") -> "Outcome":
        """It certainly did not go out and may be tried again: `quota`, `unavailable`, `greylisted`, `connect`."""
        return cls("retry", reason, _bounded(detail), after)

    @classmethod
    def unknown(cls, reason: str, detail: str = "") -> "Outcome":
        """Nobody can say whether it went out, so it must not be tried again: `timeout`, `cut`, `server_error`,
        `internal`.
        """
        return cls("unknown", reason, _bounded(detail))

    @property
    def says_nothing(self) -> bool:
        """Whether this says nothing about the message: there was no connection, or there are no credentials yet."""
        return self.state == "retry" and self.reason == "connect"


class Delivery(msgspec.Struct, frozen=True):
    """What became of one send.

    `state` is a `LedgerState`, or `duplicate` (it was claimed before: nothing was called, and nothing is to be counted
    as a refusal), or `later` (it certainly did not go out; deliver it again at `retry_at`, in microseconds; of a run
    over files the next one does). With `suppressed` nothing was called, and `reason` says why. `detail` is the
    provider's id after a hand-off; of a duplicate it is the state that stands in the ledger, and `reason` the reason
    there. `at` is when it ended, in microseconds.
    """

    send: Send
    state: str
    reason: str = ""
    detail: str = ""
    retry_at: int | None = None
    at: int = 0


def said_of(reason: str, detail: str) -> str:
    """A reason with what the provider said, as the ledger has it: in one line."""
    return plain(": ".join(filter(None, (reason, detail))))


def _bounded(text: str) -> str:
    return plain(" ".join(text[: 4 * DETAIL].split()))[:DETAIL]
