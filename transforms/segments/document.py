"""Definition files as trees that know their file, line and path, so that every mistake is shown where it is."""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode
from ruamel.yaml.reader import ReaderError

from transforms.events.channels import GROUP, installed
from transforms.events.plain import quoted
from transforms.segments.compose import compose
from transforms.segments.synonyms import meant

__all__ = ["ID_FORM", "Document", "Node", "Problem", "Problems", "read_documents"]

#: Nesting beyond this is refused, so that no file can exhaust the stack (conditions stop at 32 long before).
MAX_DEPTH = 200
#: A file may hold this many values once its aliases are written out; 10,000 segments have some 200,000.
MAX_VALUES = 500_000

#: The form of ids.
ID_FORM = r"[a-z][a-z0-9_]*"
_ID = re.compile(ID_FORM)

#: Text that never needs quotes, and how much of a value is shown.
_PLAIN = re.compile(r"[0-9]+[smhdw]|[^\W\d][\w.-]*( [\w.-]+)*")
_SHOWN = 60
#: Words that other versions of YAML read as true or false.
_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}

Document = dict[str, "Node"]


class Problem(msgspec.Struct, frozen=True, order=True):
    """One mistake (or, with `warning`, something legal that surprises people), and where it is; line 0 if there is no
    file.
    """

    file: str
    line: int
    path: str
    cause: str
    warning: bool = False

    def __str__(self) -> str:
        kind = "warning" if self.warning else "error"
        if not self.line:  # there is no such file
            return f"todoke: {self.file}: {self.cause}"
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
    def written(self) -> str:
        """A short value as people write it; the beginning of a longer one."""
        value = self.value
        if isinstance(value, list):
            return f"[{', '.join(each.written for each in value[:5])}{', …' if len(value) > 5 else ''}]"
        if isinstance(value, dict):
            return "{…}"
        if isinstance(value, str) and _PLAIN.fullmatch(value) and len(value) <= _SHOWN:
            return value
        text = msgspec.json.encode(value).decode()
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

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
        #: How many mistakes were noted so far, repetitions included: it grows whenever something is wrong.
        self.mistakes = 0

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
        self.note(Problem(node.file, node.line, node.path, cause, warning))

    def note(self, problem: Problem) -> None:
        """Note a problem that something else found."""
        self.found.append(problem)
        self.mistakes += not problem.warning

    def mapping(
        self,
        node: Node,
        allowed: Collection[str],
        *,
        required: Collection[str] = (),
        shown: Collection[str] | None = None,
        instead: str = "",
    ) -> Document | None:
        """The fields of a mapping; unknown and missing keys are problems.

        `shown` are the keys that mistakes name, if not all that are allowed; `instead` says what to write where there
        is no mapping.
        """
        offered = ", ".join(sorted(allowed if shown is None else shown))
        if not isinstance(node.value, dict):
            hint = f"; write {instead}" if instead else ""
            self.add(node, f"expected a mapping with {offered}; found {node.kind}{hint}")
            return None
        for key, child in node.value.items():
            if key not in allowed:
                word = meant(key, allowed)
                hint = f"; did you mean `{word}`?" if word else ""
                self.add(child, f"unknown key `{key}`; allowed are {offered}{hint}")
        for key in required:
            if key not in node.value:
                self.add(node, f"`{key}` is missing")
        return {key: child for key, child in node.value.items() if key in allowed}

    def one_key(self, node: Node, fields: Document, keys: Collection[str]) -> str | None:
        """The one of these keys that a mapping has. Where `mapping` noted another key, no more is noted."""
        found = [key for key in keys if key in fields]
        if len(found) == 1:
            return found[0]
        if found or len(fields) == len(node.value):
            self.add(node, f"expected one of {', '.join(keys)}; found {' and '.join(found) or 'none'}")
        return None

    def named(self, node: Node, expected: str) -> Document:
        """What stands below a node by names that are ids; empty, with a mistake noted, where there is nothing."""
        if not isinstance(node.value, dict) or not node.value:
            self.add(node, f"expected {expected}; found {node.kind}")
            return {}
        for name, child in node.value.items():
            self.check_id(name, child)
        return dict(node.value)

    def sequence(self, node: Node, what: str, instead: str = "") -> list[Node] | None:
        """The items of a list that is not empty; `instead` says what to write where there is no list."""
        if isinstance(node.value, list) and node.value:
            return node.value
        found = "an empty list" if isinstance(node.value, list) else node.kind
        self.add(node, f"expected a list of {what}; found {found}{f'; write {instead}' if instead else ''}")
        return None

    def check_id(self, name: str, node: Node) -> None:
        """Check that a name is allowed as an id."""
        if not _ID.fullmatch(name):
            self.add(node, f"`{name}` is not an id: small letters, digits and _, beginning with a letter")

    def text(self, node: Node, instead: str = "") -> str | None:
        """Text that is not empty; `instead` says what to write where there is no text."""
        if isinstance(node.value, str) and node.value:
            return node.value
        found = "empty text" if node.value == "" else node.kind
        self.add(node, f"expected text; found {found}{f'; write {instead}' if instead else ''}")
        return None

    def boolean(self, node: Node) -> bool | None:
        """true or false."""
        if isinstance(node.value, bool):
            return node.value
        word = _BOOLEANS.get(str(node.value).lower())
        self.add(node, f"expected true or false; found {node.kind}{f'; write {word}' if word else ''}")
        return None

    def integer(self, node: Node, least: int, most: int) -> int | None:
        """A whole number in [least, most]; 5.0 is one."""
        value = node.value
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if whole and not isinstance(value, bool) and least <= value <= most:
            return int(value)
        self.add(
            node,
            f"expected a whole number from {least:,} to {most:,}; found {quoted(node.plain())}{_number_meant(value)}",
        )
        return None

    def number(self, node: Node, least: float, most: float) -> int | float | None:
        """A number in [least, most]."""
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.add(
            node, f"expected a number from {least:,} to {most:,}; found {quoted(node.plain())}{_number_meant(value)}"
        )
        return None

    def channel(self, node: Node) -> str | None:
        """The name of an installed channel."""
        packages = ", ".join(sorted({place.package for place in installed().values()}))
        other = f"these come with {packages}; install the package of another one, which has an entry point in `{GROUP}`"
        return self.choice(node, installed(), otherwise=other)

    def choice(
        self,
        node: Node,
        options: Collection[str],
        *,
        instead: str = "",
        otherwise: str = "",
    ) -> str | None:
        """One of a few words; `instead` says what to write where there is another value, `otherwise` what to do if it
        is like none of the words."""
        if isinstance(node.value, str) and node.value in options:
            return node.value
        word = instead or meant(str(node.value), options)
        hint = f"; write {word}" if word else f"; {otherwise}" if otherwise and isinstance(node.value, str) else ""
        self.add(node, f"expected one of {', '.join(options)}; found {quoted(node.plain())}{hint}")
        return None


def _mistake(error: MarkedYAMLError) -> str:
    """What the reader of YAML says; it writes a token that it did not expect as Python's tuple of it."""
    return re.sub(r"\('(.*?)',\)", r"'\1'", str(error.problem or error.context))


def _number_meant(value: object) -> str:
    """A hint for a number that is text, for its quotes or for a percent sign."""
    match = re.fullmatch(r"([0-9]+([.][0-9]+)?) ?%?", value) if isinstance(value, str) else None
    return f"; write {match[1]}" if match else ""


def read_documents(texts: Mapping[str, str], problems: Problems) -> list[Node]:
    """Read YAML 1.2 texts by file name; each becomes the node of its top value. Empty files are left out."""
    documents = []
    for name, text in texts.items():
        try:
            tree = compose(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            problems.add(Node(None, name, line, ""), f"not YAML: {_mistake(error)}")
        except ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            problems.add(Node(None, name, line, ""), f"not YAML: a control character, #x{error.character:04x}")
        except (YAMLError, ValueError, OverflowError) as error:  # such as an escape beyond the last character
            problems.add(Node(None, name, 1, ""), f"not YAML: {error}")
        except RecursionError:
            problems.add(Node(None, name, 1, ""), "nested too deeply to be read")
        else:
            if tree is not None and (document := _Reader(name, problems).read(tree)) is not None:
                documents.append(document)
    return documents


class _TooMany(Exception):
    """A file whose aliases stand for more values than anybody would write."""


class _Reader:
    """Makes nodes from the YAML of one file."""

    def __init__(self, file: str, problems: Problems) -> None:
        self.file = file
        self.problems = problems
        self.values = 0
        self.above: list[YamlNode] = []

    def read(self, tree: YamlNode) -> Node | None:
        """The top node; None if the file is too large."""
        try:
            if _written_out(tree, 0, {}) > MAX_VALUES:
                raise _TooMany
            return self._node(tree, "", tree.start_mark.line + 1)
        except _TooMany:
            cause = f"more than {MAX_VALUES:,} values, aliases written out"
            self.problems.add(Node(None, self.file, 1, ""), cause)
            return None

    def _node(self, tree: YamlNode, path: str, line: int) -> Node:
        node = Node(None, self.file, line, path)
        self.values += 1
        if self.values > MAX_VALUES:
            raise _TooMany
        if isinstance(tree, ScalarNode):
            node.value = _scalar(tree, node, self.problems)
        elif any(tree is other for other in self.above):
            self.problems.add(node, "an alias contains itself")
        elif len(self.above) > MAX_DEPTH:
            node.path = f"{path[:40]}…"
            self.problems.add(node, f"nested more than {MAX_DEPTH} deep")
        else:
            self.above.append(tree)
            if isinstance(tree, SequenceNode):
                node.value = [
                    self._node(item, f"{path}[{index}]", item.start_mark.line + 1)
                    for index, item in enumerate(tree.value)
                ]
            elif isinstance(tree, MappingNode):
                node.value = self._fields(tree, path)
            self.above.pop()
        return node

    def _fields(self, tree: MappingNode, path: str) -> Document:
        fields: Document = {}
        for key_tree, value_tree in tree.value:
            line = key_tree.start_mark.line + 1
            place = Node(None, self.file, line, path)
            if not isinstance(key_tree, ScalarNode):
                self.problems.add(place, "a key must be text")
                continue
            key = _unicode(str(key_tree.value), place, self.problems)
            child = self._node(value_tree, f"{path}.{key}" if path else key, line)
            if key in fields:
                self.problems.add(child, f"`{key}` is written twice")
            fields[key] = child
        return fields


def _written_out(tree: YamlNode, depth: int, known: dict[int, int]) -> int:
    """How many values a tree stands for, each alias counted once; what is refused for its depth or a circle is 1."""
    if isinstance(tree, ScalarNode) or depth > MAX_DEPTH:
        return 1
    if id(tree) not in known:
        known[id(tree)] = 1
        inner = [value for _, value in tree.value] if isinstance(tree, MappingNode) else tree.value
        known[id(tree)] = 1 + sum(_written_out(each, depth + 1, known) for each in inner)
    return known[id(tree)]


def _scalar(tree: ScalarNode, node: Node, problems: Problems) -> Any:
    """A scalar as YAML 1.2 means it, whatever a `%YAML` line at the top says."""
    tag, text = str(tree.tag).rpartition(":")[2], str(tree.value)
    if tag in ("int", "float"):
        number = _number(tag, text)
        if number is None:
            problems.add(node, f"not a finite number: {text}")
        return text if number is None else number
    if tag == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    return None if tag == "null" else _unicode(text, node, problems)


def _number(tag: str, text: str) -> int | float | None:
    try:
        if tag == "int":
            return int(text, 0 if text.lstrip("+-")[:2] in ("0x", "0o", "0b") else 10)
        number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _unicode(text: str, node: Node, problems: Problems) -> str:
    """Text that can be encoded: an escape such as `\\ud800` is half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        problems.add(node, "text with half of a surrogate pair, which is no character")
        return text.encode(errors="surrogatepass").decode(errors="replace")
    return text
