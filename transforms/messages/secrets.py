"""Secrets of the environment in private texts of messages: which ones a message names, and how they are masked."""

from collections.abc import Iterable, Iterator

from transforms.messages.definitions import Message, Partials

__all__ = ["MASK", "MASKS", "holds_secrets", "secret_names"]

#: The text in place of a secret wherever somebody may look.
MASK = "***"


class _Masks(dict[str, str]):
    """Masks in place of any secret."""

    def __missing__(self, name: str) -> str:
        return MASK


#: The secrets that templates see where no call is made.
MASKS = _Masks()


def _sources(message: Message) -> Iterator[tuple[str, Partials]]:
    for text in message.private():
        for source in text.sources.values():
            yield source, text.partials


def holds_secrets(message: Message) -> bool:
    """Whether a message may hold secrets."""
    return any("secrets" in text for source, partials in _sources(message) for text in (source, *map(str, partials)))


def secret_names(messages: Iterable[Message]) -> list[str]:
    """The names of all secrets that messages name, sorted."""
    from transforms.messages.liquid import paths_of  # noqa: PLC0415 - a tenth of a second that few definitions need

    found: set[str] = set()
    for message in messages:
        if holds_secrets(message):
            for source, partials in _sources(message):
                found |= {str(path[1]) for path in paths_of(source, partials) if path[0] == "secrets" and len(path) > 1}
    return sorted(found)
