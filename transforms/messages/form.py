"""The form of a channel's messages: what a channel declares of them, and what it reads them with."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from transforms.identity.channels import part_of
from transforms.messages.definitions import Message, Tree
from transforms.messages.grammar_texts import TextReader
from transforms.segments.document import Document, Node, Problems
from transforms.segments.schema import Schema

__all__ = ["MessageForm", "MessageReader", "form_of"]

_Read = TypeVar("_Read")


class MessageReader:
    """Reads one message. Mistakes go to `problems`, each with its place.

    Attributes:
      name: the message's id.
      node: where it stands.
      texts: reads templates.
    """

    def __init__(self, name: str, node: Node, texts: TextReader, problems: Problems) -> None:
        self.name = name
        self.node = node
        self.texts = texts
        self.problems = problems
        self.fields: Document = {}

    def open(self, keys: tuple[str, ...], required: tuple[str, ...] = ()) -> Document:
        """The fields of a message that may have these keys; call this first."""
        self.fields = self.problems.mapping(self.node, ("channel", *keys), required=required) or {}
        return self.fields

    def at(self, key: str, how: Callable[[Node], _Read | None]) -> _Read | None:
        """The value of a key, read in some way; None if it is missing."""
        return how(self.fields[key]) if key in self.fields else None

    def all_texts(self, keys: tuple[str, ...]) -> dict[str, Any]:
        """The templates of those keys that are there."""
        return {key: self.texts.text(self.fields[key]) for key in keys if key in self.fields}

    def tree(self, node: Node) -> dict[str, Tree]:
        """A mapping of JSON values; its texts are templates."""
        if not isinstance(node.value, dict):
            self.problems.add(node, f"expected a mapping; found {node.kind}")
            return {}
        tree: dict[str, Tree] = self.texts.tree(node)
        return tree


class MessageForm(msgspec.Struct, frozen=True):
    """The messages of a channel: their keys, beside `channel`, how one is read, and the JSON Schema of one.

    `read` returns the message as far as it can be read.
    """

    keys: tuple[str, ...]
    read: Callable[[MessageReader], Message]
    schema: Callable[[], Schema]


def form_of(channel: str) -> MessageForm:
    """The form of a channel's messages.

    Raises:
      ChannelError: it cannot be loaded.
    """
    return part_of(channel, "message", MessageForm)
