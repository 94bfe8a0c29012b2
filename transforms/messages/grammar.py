"""The `messages:` section of definition files; every template is checked here."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from transforms.identity.channels import channels
from transforms.messages.definitions import Message
from transforms.messages.form import MessageReader, form_of
from transforms.messages.grammar_texts import TextReader
from transforms.segments.document import Node, Problems

if TYPE_CHECKING:
    from transforms.messages.needs import Need

__all__ = ["read_messages"]

_NO_FILES: Mapping[str, str] = {}


def read_messages(
    node: Node,
    given: Mapping[str, Collection[str]],
    problems: Problems,
    files: Mapping[str, str] = _NO_FILES,
    needs: "list[Need] | None" = None,
) -> dict[str, Message]:
    """The messages of a definitions file by id; mistakes go to `problems`.

    A message with mistakes is in the result too, as far as it could be read, so that references to it are no further
    mistakes.

    Args:
      given: the names that templates may use besides their scope, by message: those under `with` of its campaigns.
      files: the texts beside the definitions, by file.
      needs: if given, the variables that messages need are added to it.
    """
    if not isinstance(node.value, dict):
        problems.add(node, f"expected a mapping of message ids to messages; found {node.kind}")
        return {}
    messages: dict[str, Message] = {}
    for name, child in node.value.items():
        problems.check_id(name, child)
        texts = TextReader(given.get(name, ()), files, problems, needs)
        if message := _read(MessageReader(name, child, texts, problems)):
            messages[name] = message
    return messages


def _read(reader: MessageReader) -> Message | None:
    node, problems = reader.node, reader.problems
    channel = node.value.get("channel") if isinstance(node.value, dict) else None
    if channel is None:
        keys = dict.fromkeys(key for name in channels() for key in form_of(name).keys)
        problems.mapping(node, ("channel", *keys), required=("channel",))
        return None
    chosen = problems.channel(channel)
    return None if chosen is None else form_of(chosen).read(reader)
