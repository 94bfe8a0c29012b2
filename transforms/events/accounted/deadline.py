"""Whether a subscription can be read on account: nobody extends leases, and acknowledgements come late."""

from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound, Unauthenticated
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1.types import Subscription as Found

from transforms.errors import WrongUse
from transforms.events.live.pubsub import subscriber_client

__all__ = ["BACKLOG_SECONDS", "RESTART_SECONDS", "check_deadline", "check_subscriptions", "needed"]

#: How long an engine may take to find that a worker is dead, and to go back to a checkpoint, in seconds.
RESTART_SECONDS = 60
#: How long a message may wait inside the engine for its turn, in seconds.
BACKLOG_SECONDS = 60
#: How long Pub/Sub may take to answer, in seconds.
ANSWER_SECONDS = 10.0
#: The longest deadline that the service has (cloud.google.com/pubsub/docs/lease-management).
LONGEST = 600


def needed(interval: float) -> float:
    """How long a lease must last, in seconds, where a checkpoint is taken so often (seconds).

    A message waits for its turn, then for the end of two checkpoints, and a restart may come in between.
    """
    return 2 * interval + RESTART_SECONDS + BACKLOG_SECONDS


def check_deadline(flag: str, found: Found, interval: float) -> None:
    """Check how a subscription is set.

    Args:
      flag: that names it.
      found: as the service has it.
      interval: how often a checkpoint is taken, in seconds.

    Raises:
      WrongUse: it delivers exactly once, in order, only so often, or not by pulls; or its deadline is too short.
    """
    if found.enable_exactly_once_delivery:
        raise WrongUse(
            f"{flag}: {found.name} delivers exactly once: an ack id is good only until its lease ends, and one that is "
            "not fails all of its request. Use a subscription without it: repetitions are found here"
        )
    if found.enable_message_ordering:
        raise WrongUse(
            f"{flag}: {found.name} delivers in order: what is not acknowledged yet holds back all that follows. Use a "
            "subscription without it"
        )
    if found.dead_letter_policy.dead_letter_topic:
        raise WrongUse(
            f"{flag}: {found.name} gives a message up after {found.dead_letter_policy.max_delivery_attempts} "
            "deliveries, and each lease that ends is one: after a few restarts good messages would be gone. Use a "
            "subscription without a dead-letter topic: what cannot be read becomes a dead letter here"
        )
    if found.push_config.push_endpoint:
        raise WrongUse(f"{flag}: {found.name} pushes to {found.push_config.push_endpoint}: it cannot be pulled")
    if found.ack_deadline_seconds < (least := needed(interval)):
        raise WrongUse(
            f"{flag}: {found.name} takes a message back after {found.ack_deadline_seconds} s, and this job needs "
            f"{least:g} s: two checkpoints of {interval:g} s, {RESTART_SECONDS} s for a restart, {BACKLOG_SECONDS} s "
            f"for a backlog. Set its acknowledgement deadline to {LONGEST} s"
        )


def check_subscriptions(named: dict[str, str], interval: float) -> list[str]:
    """Ask the service how subscriptions are set, and check that.

    Args:
      named: their paths by the flags that name them.
      interval: see `check_deadline`.

    Returns those that this account may not look at, or that the service does not tell of now.

    Raises:
      WrongUse: one is not there, or cannot be read so.
    """
    unseen = []
    with subscriber_client() as client:
        for flag, path in named.items():
            try:
                found = client.get_subscription(subscription=path, retry=None, timeout=ANSWER_SECONDS)
            except NotFound as error:
                raise WrongUse(f"{flag}: there is no subscription {path}") from error
            except (Forbidden, Unauthenticated, GoogleAuthError, GoogleAPIError):
                unseen.append(path)
            else:
                check_deadline(flag, found, interval)
    return unseen
