"""Messages as records of plain data, as `grammar` reads them from definition files."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

if TYPE_CHECKING:
    from transforms.messages.render import Filler, Rendered

__all__ = ["LOCALE_FORM", "Message", "Partials", "Text", "Tree", "locale_key", "texts_of", "without_locale"]

#: The form of locales.
LOCALE_FORM = r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*"

#: What a template renders, by name.
Partials = tuple[tuple[str, str], ...]


class Text(msgspec.Struct, frozen=True):
    """A template: Liquid sources by locale (see `locale_key`), or one under "" where the definition has no locales.

    `partials` are what they render, by name.
    """

    sources: dict[str, str]
    partials: Partials = ()


#: A value of JSON, with a `Text` in place of each text; the names in objects stay texts.
Tree = Any


class Message(msgspec.Struct, frozen=True):
    """A message; each channel has a class of its own, with the same field names as in definition files."""

    channel: ClassVar[str]

    id: str

    def fill(self, texts: "Filler") -> "Rendered":
        """The message for one user.

        Raises:
          RenderError: it must not go out.
        """
        raise NotImplementedError

    def receivers(self, addresses: Sequence[str]) -> Sequence[str]:
        """Those of a user's addresses (the best first) that it goes to."""
        return addresses

    def private(self) -> Sequence[Text]:
        """The texts that may name secrets of the environment."""
        return ()


def locale_key(locale: str) -> str:
    """A locale in one form for comparison: `ja_JP` and `ja-jp` are equal."""
    return locale.replace("_", "-").lower()


def without_locale(message: Message, locale: str) -> list[str]:
    """The fields of a message with texts by locale but none for this one, by their names in definition files."""
    key = locale_key(locale)
    named = zip(message.__struct_fields__, message.__struct_encode_fields__, strict=True)
    return [name for field, name in named if any(_lacks(text, key) for text in _texts(getattr(message, field)))]


def texts_of(message: Message) -> Iterator[Text]:
    """All texts of a message."""
    for field in message.__struct_fields__:
        yield from _texts(getattr(message, field))


def _lacks(text: Text, locale: str) -> bool:
    return not {"", locale} & text.sources.keys()


def _texts(value: Tree) -> Iterator[Text]:
    if isinstance(value, Text):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
