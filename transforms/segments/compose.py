"""The node tree of a YAML text: by libyaml, which is fast, or by ruamel.yaml where libyaml will not do.

Libyaml reads YAML 1.1. In the texts that it gets here, 1.1 differs from 1.2 only in what plain scalars mean, and
ruamel.yaml's own table for 1.2 decides that. Ruamel.yaml reads texts with tags, anchors, directives and whatever else
the two may read differently, and texts with mistakes, since it words the messages. So the answer is always that of
ruamel.yaml; the tests compare them.
"""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode
from ruamel.yaml.resolver import implicit_resolvers
from yaml import YAMLError as LibyamlError
from yaml import events
from yaml.cyaml import CParser

__all__ = ["compose", "compose_carefully"]

#: What the two may read differently: ends of lines, directives, byte order marks, tabs, some headers of blocks.
_SPECIAL = re.compile("[\x85\u2028\u2029\ufeff\t\r]|^%|^\\.\\.\\.|[|>][-+0-9]*(?:#| *\n +\n)", re.MULTILINE)
#: Ruamel.yaml reads what is nested deeper: it stops before the stack is exhausted.
_DEEP = 250

_STR, _SEQ, _MAP = (f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))
#: The tags of YAML 1.2 that a plain scalar may have, by its first character.
_PLAIN: dict[str, list[tuple[str, Any]]] = {}
for _versions, _tag, _pattern, _firsts in implicit_resolvers:
    for _first in _firsts if (1, 2) in _versions else ():
        _PLAIN.setdefault(_first, []).append((_tag, _pattern))


def compose(text: str) -> YamlNode | None:
    """The tree of the one document in a text; None if it is empty.

    Raises:
      what `compose_carefully` does.
    """
    if not _SPECIAL.search(text) and (tree := _compose_quickly(text)) is not None:
        return tree
    return compose_carefully(text)


def compose_carefully(text: str) -> YamlNode | None:
    """The same by ruamel.yaml alone.

    Raises:
      YAMLError: (ruamel.yaml's) it is not YAML. ValueError and OverflowError: an escape stands for no character.
      RecursionError: it is nested too deeply.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False  # the later one counts, as YAML says
    tree: YamlNode | None = yaml.compose(text)
    return tree


def _compose_quickly(text: str) -> YamlNode | None:
    """The tree by libyaml; None where ruamel.yaml must look at the text."""
    try:
        return _Tree(CParser(text)).build()
    except (LibyamlError, UnicodeEncodeError):
        return None


class _Tree:
    """Builds the tree from libyaml's events, without recursion."""

    def __init__(self, parser: Any) -> None:
        self.next = parser.get_event
        #: Collections that are open, each with its items; of a mapping they are keys and values in turn.
        self.open: list[tuple[YamlNode, list[YamlNode]]] = []
        self.tops: list[YamlNode] = []

    def build(self) -> YamlNode | None:
        """The top node of the only document; None where it is no collection, or ruamel.yaml must read the text."""
        while (event := self.next()).__class__ is not events.StreamEndEvent:
            if not self._take(event):
                return None
        return self.tops[0] if len(self.tops) == 1 and self.tops[0].__class__ is not ScalarNode else None

    def _take(self, event: Any) -> bool:
        kind = event.__class__
        if kind is events.ScalarEvent:
            self._add(_scalar(event))
            return event.tag is None and event.anchor is None and bool(event.value or self._is_value())
        if kind is events.SequenceStartEvent or kind is events.MappingStartEvent:
            tag, type_ = (_SEQ, SequenceNode) if kind is events.SequenceStartEvent else (_MAP, MappingNode)
            begun = type_(tag, [], event.start_mark, event.end_mark)
            self._add(begun)
            self.open.append((begun, []))
            return event.tag is None and event.anchor is None and len(self.open) <= _DEEP
        if kind is events.SequenceEndEvent:
            node, items = self.open.pop()
            node.value = items
        elif kind is events.MappingEndEvent:
            node, items = self.open.pop()
            node.value = list(zip(items[::2], items[1::2], strict=True))
        return kind is not events.AliasEvent

    def _add(self, node: YamlNode) -> None:
        (self.open[-1][1] if self.open else self.tops).append(node)

    def _is_value(self) -> bool:
        """Whether the last event was a field's value. Elsewhere the two disagree about the line of what is left out."""
        return bool(self.open) and self.open[-1][0].__class__ is MappingNode and len(self.open[-1][1]) % 2 == 0


def _scalar(event: Any) -> YamlNode:
    value, tag = event.value, _STR
    if event.implicit[0]:
        for tag_, pattern in _PLAIN.get(value[:1], ()):
            if pattern.match(value):
                tag = tag_
                break
    return ScalarNode(tag, value, event.start_mark, event.end_mark)
