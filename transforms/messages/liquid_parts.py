"""Parts of Liquid that replace the library's: ranges, equality with blank, output, and a limit of steps.

The library has no hooks for most of them. So each parsed template is walked once, and nodes and expressions are
replaced by those of this module, which have the same layout.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

import msgspec
from liquid import BoundTemplate, Markup, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions.logical import ContainsExpression, EqExpression, NeExpression, _eq
from liquid.builtin.expressions.primitive import Blank, RangeLiteral, StringLiteral
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.case_tag import _AnyExpression
from liquid.builtin.tags.echo_tag import EchoNode
from liquid.builtin.tags.render_tag import RenderNode
from liquid.exceptions import LoopIterationLimitError
from liquid.expression import Expression
from liquid.stringify import to_liquid_string
from liquid.undefined import is_undefined

__all__ = [
    "CALL",
    "MOST_STEPS",
    "PARTIAL",
    "RANGE_NUMBERS",
    "TURN",
    "Steps",
    "rendered_by",
    "replaced",
    "text_of_value",
    "weight",
]

#: The most steps of one text. A step is a character or item that a filter, a comparison or an output walks; other work
#: costs as many steps as it takes time (`TURN`, `CALL`, `PARTIAL`). Ten million take some seconds, a mail of 100 kB
#: 200,000.
MOST_STEPS = 10_000_000
TURN, CALL, PARTIAL = 5, 20, 200
RANGE_NUMBERS = 10_000


class Steps:
    """How many steps a text has taken, including its partials."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self, steps: int) -> None:
        """Take some.

        Raises:
          LoopIterationLimitError: the text has taken too many.
        """
        self.taken += steps
        if self.taken > MOST_STEPS:
            raise LoopIterationLimitError(f"more than {MOST_STEPS:,} steps", token=None)


def weight(*values: object) -> int:
    """How many steps it takes to walk values once; counting stops just above the bound."""
    steps, left = 0, list(values)
    while left and steps <= MOST_STEPS:
        value = left.pop()
        steps += 1
        if isinstance(value, str | range):
            steps += len(value)
        elif isinstance(value, list | tuple):
            steps += len(value)
            left += value
        elif isinstance(value, dict):
            steps += len(value)
            left += value.values()
        elif isinstance(value, int):
            steps += value.bit_length() // 8
    return steps


def text_of_value(value: object, context: RenderContext) -> str:
    """The printed text of a value: for a list, its items without nil, in a row; for a mapping, its JSON."""
    if isinstance(value, list | tuple):
        items = [text_of_value(item, context) for item in value]
        return Markup("").join(items) if context.autoescape else "".join(items)
    if isinstance(value, dict):
        _take(context, weight(value))
        value = msgspec.json.encode(value, enc_hook=str).decode()
    text = to_liquid_string(value, context.autoescape)
    _take(context, TURN + len(text))
    return text


def _take(context: RenderContext, steps: int) -> None:
    context.steps.take(steps)  # type: ignore[attr-defined]


class _Range(RangeLiteral):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> range:
        made = super().evaluate(context)
        if made.stop - made.start > RANGE_NUMBERS:  # len() cannot return more than 64 bits
            raise LoopIterationLimitError(f"a range of more than {RANGE_NUMBERS:,}", token=self.token)
        return made


def _equal(left: object, right: object, context: RenderContext) -> bool:
    """Whether two values are equal. Nil and false are blank, as in Ruby on Rails, but not empty."""
    _take(context, CALL + weight(left, right))
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Blank) and (other is None or other is False or is_undefined(other)):
            return True
    return _eq(left, right)


class _Eq(EqExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        return _equal(self.left.evaluate(context), self.right.evaluate(context), context)


class _Ne(NeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        return not _equal(self.left.evaluate(context), self.right.evaluate(context), context)


class _When(_AnyExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> list[bool]:
        left = self.left.evaluate(context)
        return [_equal(left, right.evaluate(context), context) for right in self.expressions]


class _Contains(ContainsExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        _take(context, CALL + weight(self.left.evaluate(context), self.right.evaluate(context)))
        return super().evaluate(context)


class _Shown(OutputNode):
    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(text_of_value(self.expression.evaluate(context), context))


class _Echo(EchoNode):
    __slots__ = ()

    render_to_output = _Shown.render_to_output


_PARTS: Mapping[type, type] = {
    RangeLiteral: _Range,
    EqExpression: _Eq,
    NeExpression: _Ne,
    _AnyExpression: _When,
    ContainsExpression: _Contains,
    OutputNode: _Shown,
    EchoNode: _Echo,
}


def replaced(template: BoundTemplate) -> BoundTemplate:
    """A parsed template with the parts of this module; its partials are templates of their own."""
    for part in _parts(template.nodes, RenderContext(template)):
        if type(part) in _PARTS:
            part.__class__ = _PARTS[type(part)]
    return template


def rendered_by(template: BoundTemplate) -> Iterator[tuple[str, int]]:
    """The partials that a template itself renders, each with its place."""
    for part in _parts(template.nodes, RenderContext(template)):
        if isinstance(part, RenderNode) and isinstance(part.name, StringLiteral):
            yield part.name.value, part.token.start_index


def _parts(nodes: Iterable[Node], context: RenderContext) -> Iterator[Any]:
    for node in nodes:
        yield node
        for expression in node.expressions():
            yield from _inner(expression)
        yield from _parts(node.children(context, include_partials=False), context)


def _inner(expression: Expression) -> Iterator[Expression]:
    yield expression
    for child in expression.children():
        yield from _inner(child)
