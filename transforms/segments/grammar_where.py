"""Conditions on an event's properties, read from a definition file."""

from collections.abc import Iterable
from datetime import date

import msgspec

from transforms.segments.conditions import Element, Where
from transforms.segments.document import Document, Node, Problems
from transforms.segments.operators import MOVING_OPERATORS, OPERATORS, Operator, check_path, read_operator

__all__ = ["WHERE_OPERATORS", "in_order", "read_where"]

#: An event is tested once, so operators that depend on the clock are not allowed.
WHERE_OPERATORS = tuple(name for name in OPERATORS if name not in MOVING_OPERATORS)


def read_where(node: Node, problems: Problems) -> Where:
    """Read `{PATH: {operator: value}}`; a path that ends in `[]` may have such a mapping in place of operators."""
    if not isinstance(node.value, dict) or not node.value:
        problems.add(node, f"expected {{PATH: {{operator: value}}}}; found {node.kind}")
        return ()
    asked: list[tuple[str, Operator | Element]] = []
    for path, inner in node.value.items():
        check_path(path, inner, problems)
        if _asks_elements(path, inner):
            asked.append((path, Element(_read_element(inner, problems))))
        else:
            asked += [(path, operator) for operator in _read_operators(path, inner, problems)]
    return in_order(asked)


def in_order(asked: Iterable[tuple[str, Operator | Element]]) -> Where:
    """Conditions in the one order in which they make keys of leaves."""
    return tuple(sorted(asked, key=lambda each: msgspec.json.encode([each[0], *each[1].canonical])))


def _asks_elements(path: str, node: Node) -> bool:
    """Whether a mapping asks for properties of one element: no operator has a mapping as its operand here."""
    asked = node.value.values() if isinstance(node.value, dict) else ()
    return path.endswith("[]") and any(isinstance(each.value, dict) for each in asked)


def _read_element(node: Node, problems: Problems) -> Where:
    beside = [name for name, each in node.value.items() if name in OPERATORS and not isinstance(each.value, dict)]
    for name in beside:
        cause = f"the operator `{name}` and properties of one element do not go together: write it in another condition"
        problems.add(node.value[name], cause)
    return () if beside else read_where(node, problems)


def _read_operators(path: str, node: Node, problems: Problems) -> list[Operator]:
    moving = tuple(name for name in MOVING_OPERATORS if isinstance(node.value, dict) and name in node.value)
    inside = [] if moving or not isinstance(node.value, dict) else _properties_inside(node.value)
    for name in inside:
        deeper = f"a property of it is `{path}.{name}`, and of one element of a list `{path}[]: {{{name}: …}}`"
        problems.add(node.value[name], f"`{name}` is no operator; {deeper}")
    if inside:
        return []
    fields = problems.mapping(node, (*WHERE_OPERATORS, *moving), shown=WHERE_OPERATORS, instead=_instead(node))
    if fields is not None and not node.value:
        problems.add(node, f"expected an operator: {', '.join(WHERE_OPERATORS)}")
    read = [_read_operator(name, operand, problems) for name, operand in (fields or {}).items()]
    return [operator for operator in read if operator is not None]


def _properties_inside(fields: Document) -> list[str]:
    return [name for name, each in fields.items() if name not in OPERATORS and isinstance(each.value, dict)]


def _instead(node: Node) -> str:
    if node.value is None:
        return "{exists: false}"
    return f"{{in: {node.written}}}" if isinstance(node.value, list) else f"{{is: {node.written}}}"


def _read_operator(name: str, node: Node, problems: Problems) -> Operator | None:
    if name in MOVING_OPERATORS:
        problems.add(node, f"`{name}` moves with the clock and is not for `where`; use the event's own window")
        return None
    operator = read_operator(name, node, problems)
    if operator is not None and isinstance(operator.operand, date):
        problems.add(node, "in `where` a time needs a zone, since an event is tested once; a date alone has none")
        return None
    return operator
