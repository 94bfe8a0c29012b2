"""The words for why something was not done: what people may ask a store for. docs/reference/reasons.md has each."""

from transforms.events.decode import Cause
from transforms.users.faults import BAD_STATE, INTERNAL
from transforms.users.rate_limit import HOT_ID

__all__ = ["CAUSES", "REASONS"]

#: Why something was not sent, or why a send failed, or nobody knows about it. A channel of another package may have
#: words of its own.
REASONS = (
    "audience",
    "auth",
    "bad_address",
    "capped",
    "claim lapsed",
    "connect",
    "cut",
    "dead_token",
    "deleted",
    "ended",
    "exit",
    "expired",
    "global_holdout",
    "greylisted",
    "held",
    "historical",
    "holdout",
    "in_journey",
    "internal",
    "merged",
    "missed",
    "no_channel",
    "no_consent",
    "no_value",
    "not_started",
    "paused",
    "quiet",
    "quota",
    "reentry",
    "refused_host",
    "rejected",
    "render_error",
    "restarted",
    "same_mailbox",
    "sender_mismatch",
    "server_error",
    "stopped",
    "timeout",
    "too_large",
    "too_old",
    "truncated",
    "unavailable",
    "unless",
    "unreachable",
    "unsubscribed",
    "warming",
)

#: Why a message is a dead letter.
CAUSES = (*Cause, BAD_STATE, HOT_ID, INTERNAL)
