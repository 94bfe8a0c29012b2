"""What the event `Consent Changed` says: whether a topic may use a channel."""

from collections.abc import Mapping
from typing import Any

from transforms.events.channels import installed
from transforms.events.plain import quoted

__all__ = ["CONSENT_CHANGED", "EVERY_TOPIC", "folded_channel", "folded_topic", "read_consent"]

#: The track call that sets consent.
CONSENT_CHANGED = "Consent Changed"
#: The topic that stands for the whole channel.
EVERY_TOPIC = "all"


def folded_channel(text: str) -> str:
    """A channel's name whatever its case, without blanks around it."""
    return text.strip().lower()


def folded_topic(text: str) -> str:
    """A topic as it is written, without blanks around it; `all` whatever its case."""
    topic = text.strip()
    return EVERY_TOPIC if topic.lower() == EVERY_TOPIC else topic


def read_consent(said: Mapping[str, Any]) -> tuple[str, str, bool]:
    """The topic, the channel, and whether consent was granted, from properties of `Consent Changed`.

    Nothing is guessed: a denial that was not understood must be seen, not ignored (LANGUAGE, section 4).

    Raises:
      ValueError: one of them is wrong; it says which.
    """
    topic, channel, granted = (said.get(name) for name in ("topic", "channel", "granted"))
    if not isinstance(topic, str) or not topic.strip():
        raise ValueError(f"`topic` is {_excerpt(topic)}; expected text, such as `{EVERY_TOPIC}`")
    if not isinstance(channel, str) or folded_channel(channel) not in installed():
        raise ValueError(f"`channel` is {_excerpt(channel)}; expected one of {', '.join(installed())}")
    if not isinstance(granted, bool):
        raise ValueError(f"`granted` is {_excerpt(granted)}; expected true or false")
    return folded_topic(topic), folded_channel(channel), granted


def _excerpt(value: Any) -> str:
    return "missing" if value is None else quoted(value)
