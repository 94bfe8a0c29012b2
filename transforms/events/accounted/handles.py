"""The handle of a message that is acknowledged on account by whatever worker: its subscription and its ack id."""

from collections.abc import Iterable

__all__ = ["by_subscription", "handle_of"]


def handle_of(subscription: str, ack_id: str) -> str:
    """What travels with a message; neither part has a space in it."""
    return f"{subscription} {ack_id}"


def by_subscription(handles: Iterable[str]) -> dict[str, list[str]]:
    """The ack ids of each subscription, each once."""
    found: dict[str, dict[str, None]] = {}
    for handle in handles:
        subscription, _, ack_id = handle.partition(" ")
        found.setdefault(subscription, {})[ack_id] = None
    return {subscription: [*ack_ids] for subscription, ack_ids in found.items()}
