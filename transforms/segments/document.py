"""Definition files as trees that know their file, line and path, so that every mistake can be shown at its place."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

__all__ = ["Document", "Node", "Problem", "Problems", "read_documents"]

#: Nesting beyond this is refused, so that no file can exhaust the stack (conditions stop at 32 long before).
MAX_DEPTH = 200

Document = dict[str, "Node"]


class Problem(msgspec.Struct, frozen=True, order=True):
    """One mistake (or, with `warning`, something legal that surprises people) and where it stands."""

    file: str
    line: int
    path: str
    cause: str
    warning: bool = False

    def __str__(self) -> str:
        kind = "warning" if self.warning else "error"
        return f"{self.file}:{self.line}: {kind}: {self.path or '(top)'}: {self.cause}"


class Node:
    """A value of a definition file: text, number, boolean, None, a list of nodes or a mapping of nodes."""

    __slots__ = ("file", "line", "path", "value")

    def __init__(self, value: Any, file: str, line: int, path: str) -> None:
        self.value = value
        self.file = file
        self.line = line
        self.path = path

    def plain(self) -> Any:
        """The value as ordinary Python data."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    @property
    def kind(self) -> str:
        """What a reader of YAML calls this value."""
        names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
        return names.get(type(self.value), "a number")


class Problems:
    """Collects every mistake, and reads the common shapes of nodes while doing so.

    The `read` methods return None after they have noted a problem, so a caller goes on to the next field.
    """

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def __iter__(self) -> Iterator[Problem]:
        return iter(sorted(set(self.found)))

    @property
    def errors(self) -> list[Problem]:
        """The problems that make the definitions unusable, in the order of their places."""
        return [problem for problem in self if not problem.warning]

    @property
    def warnings(self) -> list[Problem]:
        """What is legal and surprises people."""
        return [problem for problem in self if problem.warning]

    def add(self, node: Node, cause: str, *, warning: bool = False) -> None:
        """Note a problem at a node."""
        self.found.append(Problem(node.file, node.line, node.path, cause, warning))

    def mapping(
        self,
        node: Node,
        allowed: Collection[str],
        *,
        later: Collection[str] = (),
        required: Collection[str] = (),
    ) -> Document | None:
        """The fields of a mapping; unknown, missing and not yet supported keys are problems."""
        if not isinstance(node.value, dict):
            self.add(node, f"expected a mapping with {', '.join(sorted(allowed))}; found {node.kind}")
            return None
        for key, child in node.value.items():
            if key in later:
                self.add(child, f"`{key}` is part of the language but not supported by this version")
            elif key not in allowed:
                self.add(child, f"unknown key `{key}`; allowed are {', '.join(sorted(allowed))}")
        for key in required:
            if key not in node.value:
                self.add(node, f"`{key}` is missing")
        return {key: child for key, child in node.value.items() if key in allowed}

    def sequence(self, node: Node, what: str) -> list[Node] | None:
        """The items of a list that is not empty."""
        if isinstance(node.value, list) and node.value:
            return node.value
        found = "an empty list" if isinstance(node.value, list) else node.kind
        self.add(node, f"expected a list of {what}; found {found}")
        return None

    def text(self, node: Node) -> str | None:
        """Text that is not empty."""
        if isinstance(node.value, str) and node.value:
            return node.value
        self.add(node, f"expected text; found {'empty text' if node.value == '' else node.kind}")
        return None

    def boolean(self, node: Node) -> bool | None:
        """true or false."""
        if isinstance(node.value, bool):
            return node.value
        self.add(node, f"expected true or false; found {node.kind}")
        return None

    def integer(self, node: Node, least: int, most: int) -> int | None:
        """A whole number in [least, most]."""
        if isinstance(node.value, int) and not isinstance(node.value, bool) and least <= node.value <= most:
            return node.value
        self.add(node, f"expected a whole number from {least:,} to {most:,}; found {node.value!r}")
        return None

    def choice(self, node: Node, options: Collection[str], *, later: Collection[str] = ()) -> str | None:
        """One of a few words."""
        if node.value in later:
            self.add(node, f"`{node.value}` is part of the language but not supported by this version")
            return None
        if isinstance(node.value, str) and node.value in options:
            return node.value
        self.add(node, f"expected one of {', '.join(options)}; found {node.plain()!r}")
        return None


def read_documents(texts: Mapping[str, str], problems: Problems) -> list[Node]:
    """Read YAML 1.2 texts by file name; each becomes the node of its top value. Empty files are left out."""
    documents = []
    for name, text in texts.items():
        top = Node(None, name, 1, "")
        try:
            tree = YAML(typ="safe", pure=True).compose(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            problems.add(Node(None, name, line, ""), f"not YAML: {error.problem or error.context}")
        except YAMLError as error:
            problems.add(top, f"not YAML: {error}")
        except RecursionError:
            problems.add(top, "nested too deeply to be read")
        else:
            if tree is not None:
                documents.append(_node(tree, name, "", problems, 0))
    return documents


def _node(tree: YamlNode, file: str, path: str, problems: Problems, depth: int) -> Node:
    line = tree.start_mark.line + 1
    node = Node(None, file, line, path)
    if depth > MAX_DEPTH:
        node.path = f"{path[:40]}…"
        problems.add(node, f"nested more than {MAX_DEPTH} deep (does an alias contain itself?)")
    elif isinstance(tree, ScalarNode):
        node.value = _scalar(tree, node, problems)
    elif isinstance(tree, SequenceNode):
        node.value = [
            _node(item, file, f"{path}[{index}]", problems, depth + 1) for index, item in enumerate(tree.value)
        ]
    elif isinstance(tree, MappingNode):
        node.value = {}
        for key_tree, value_tree in tree.value:
            key_line = key_tree.start_mark.line + 1
            if not isinstance(key_tree, ScalarNode):
                problems.add(Node(None, file, key_line, path), "a key must be text")
                continue
            key = str(key_tree.value)
            child = _node(value_tree, file, f"{path}.{key}" if path else key, problems, depth + 1)
            child.line = key_line
            if key in node.value:
                problems.add(child, f"`{key}` is written twice")
            node.value[key] = child
    return node


def _scalar(tree: ScalarNode, node: Node, problems: Problems) -> Any:
    tag, text = str(tree.tag).rpartition(":")[2], tree.value
    try:
        if tag == "int":
            return int(text, 0 if text[:2] in ("0x", "0o") else 10)
        if tag == "float":
            number = float(text.replace(".inf", "inf").replace(".nan", "nan").replace(".NaN", "nan"))
            if math.isfinite(number):
                return number
    except ValueError:
        pass
    if tag in ("int", "float"):
        problems.add(node, f"not a finite number: {text}")
        return None
    if tag == "bool":
        return text.lower() == "true"
    return None if tag == "null" else text
