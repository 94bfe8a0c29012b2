"""What templates need: the values that a message cannot be made without."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from liquid import BoundTemplate, Node, RenderContext
from liquid.builtin.expressions import FilteredExpression, LoopExpression, Path
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.echo_tag import EchoNode
from liquid.expression import Expression

from transforms.messages.definitions import Partials
from transforms.messages.liquid import parsed

__all__ = ["Need", "needed"]


class Need(NamedTuple):
    """A variable that a message needs, and where: `root` is `user`, `event` or a name under `with`."""

    message: str
    root: str
    name: str
    file: str
    line: int
    path: str


def needed(source: str, partials: Partials) -> Iterator[tuple[str, str, str, int]]:
    """The variables of a sound template that are shown, or are arguments of filters, without `default`.

    Each is there once, as (`user`, its name, the partial or nothing, the place in the text). Variables that a condition
    or a loop of the template asks for may be missing.
    """
    walk = _Walk(parsed(source, partials))
    for (root, name), (partial, index) in walk.used.items():
        if (root, name) not in walk.guarded:
            yield root, name, partial, index


class _Walk:
    """A walk through a template and its partials."""

    def __init__(self, template: BoundTemplate) -> None:
        self.used: dict[tuple[str, str], tuple[str, int]] = {}
        self.guarded: set[tuple[str, str]] = set()
        self.seen: set[str] = set()
        self.context = RenderContext(template)
        self.nodes(template.nodes, "")

    def nodes(self, nodes: Iterable[Node], partial: str) -> None:
        """Look at nodes and at those inside them."""
        for node in nodes:
            for expression in node.expressions():
                self.expression(expression, partial, shown=isinstance(node, OutputNode | EchoNode))
            inner = node.partial_scope()
            name = partial if inner is None else str(inner.name)
            if inner is not None and name in self.seen:
                continue
            self.seen |= set() if inner is None else {name}
            self.nodes(node.children(self.context), name)

    def expression(self, expression: Expression, partial: str, *, shown: bool) -> None:
        """Note what an expression needs; `shown`: as the text that it stands for."""
        if not isinstance(expression, FilteredExpression):
            self.guard(expression)
            return
        filters = expression.filters or []
        strict = not any(each.name == "default" for each in filters) and (shown or bool(filters))
        if strict and isinstance(expression.left, Path):
            self.use(expression.left, partial)
        for each in filters:
            for argument in each.args if each.name != "default" else ():
                if isinstance(argument.value, Path):
                    self.use(argument.value, partial)

    def guard(self, expression: Expression) -> None:
        """Note what a condition or a loop asks for."""
        if isinstance(expression, Path) and (pair := _pair(expression)):
            self.guarded.add(pair)
        inner = [expression.iterable] if isinstance(expression, LoopExpression) else expression.children()
        for each in inner:
            self.guard(each)

    def use(self, path: Path, partial: str) -> None:
        """Note a variable that must be there."""
        if pair := _pair(path):
            self.used.setdefault(pair, (partial, path.token.start_index))


def _pair(path: Path) -> tuple[str, str] | None:
    head = path.path[:2]
    return (str(head[0]), str(head[1])) if len(head) == 2 and all(isinstance(part, str) for part in head) else None
