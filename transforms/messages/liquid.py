"""Liquid as messages use it: strict, bounded, and without a clock of its own.

python-liquid's `StrictDefaultUndefined` refuses a missing variable everywhere but before `| default`. Four things that
would still print something wrong are closed here: JSON null and what a filter could not find count as missing,
`size`, `first` and `last` never answer for a mapping's missing key, and dates know no "today" but the scope's `now`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from functools import lru_cache, wraps
from typing import Any

from liquid import BoundTemplate, Environment, RenderContext, StrictDefaultUndefined
from liquid.exceptions import FilterArgumentError, LiquidError, LoopIterationLimitError
from liquid.filter import with_context
from liquid.token import Token
from liquid.undefined import UNDEFINED

from transforms.messages.scope import SCOPE

__all__ = ["fill", "mistakes"]

#: Mail clients clip long before: Gmail shows 102 kB of HTML.
OUTPUT_BYTES = 1_000_000
LOOP_ITERATIONS = 10_000

#: What filters of python-liquid let through on strange values, beside its own errors.
_RUNTIME_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class _Context(RenderContext):
    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        found = super().get(path, token=token, default=default)
        if found is None:
            return self.env.undefined(str(path[0]), hint=f"{'.'.join(map(str, path))} is null", token=token)
        return found

    def get_item(self, obj: Any, key: Any) -> object:
        # The library answers `event.size` with the number of properties when there is none called size.
        return obj[key] if isinstance(obj, Mapping) else super().get_item(obj, key)


class _Template(BoundTemplate):
    context_class = _Context


class _Environment(Environment):
    template_class = _Template
    loop_iteration_limit = LOOP_ITERATIONS
    output_stream_limit = OUTPUT_BYTES
    local_namespace_limit = OUTPUT_BYTES

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(undefined=StrictDefaultUndefined, autoescape=autoescape)
        for name in ("include", "render"):  # there is nothing to include
            del self.tags[name]
        self.filters["date"] = _date
        self.filters = {name: _strict(self, name, function) for name, function in self.filters.items()}


def _strict(environment: Environment, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same filter, for which nothing is missing rather than empty text, and ranges are bounded."""

    @wraps(function)
    def bounded(value: object, *arguments: Any, **options: Any) -> Any:
        if type(value) is range and len(value) > LOOP_ITERATIONS:
            raise LoopIterationLimitError(f"a range of more than {LOOP_ITERATIONS:,}", token=None)
        if type(value) is list and None in value and name not in ("compact", "default", "size"):
            raise FilterArgumentError(f"`{name}` of a list with missing values; put `| compact` before it", token=None)
        found = function(value, *arguments, **options)
        if name == "map" and None in found:
            raise FilterArgumentError("`map`: an item has no such property; put `| where` before it", token=None)
        return environment.undefined(name, hint=f"`{name}` found nothing", token=None) if found is None else found

    return bounded


@with_context
def _date(value: object, pattern: object, *, context: RenderContext) -> str:
    """strftime of `now` (also written 'now' or 'today'), ISO 8601 text as it was written, or seconds since 1970.

    The library's own filter reads the machine's clock and zone, and prints what it cannot read unchanged.
    """
    now = context.resolve("now")
    try:
        if isinstance(value, datetime):
            moment = value
        elif value in ("now", "today"):
            moment = now
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value, now.tzinfo)
        else:
            moment = datetime.fromisoformat(str(value))
        return str(moment.strftime(str(pattern)))
    except (ValueError, OverflowError, OSError) as error:
        raise FilterArgumentError(f"not a date: {value!r} ({error})", token=None) from error


_PLAIN = _Environment(autoescape=False)
_ESCAPING = _Environment(autoescape=True)


@lru_cache(maxsize=16384)
def _compiled(source: str, escape: bool) -> BoundTemplate:
    return (_ESCAPING if escape else _PLAIN).from_string(source)


def mistakes(source: str, names: Collection[str] = ()) -> Iterator[str]:
    """What is wrong with a template that may use `names` beside `SCOPE`, as far as can be seen without data."""
    try:
        template = _compiled(source, False)
    except LiquidError as error:
        yield f"Liquid: {error.message}{_place(source, error.token.start_index if error.token else -1)}"
        return
    analysis = template.analyze()
    for name, spans in analysis.filters.items():
        if name not in template.env.filters:
            yield f"Liquid: unknown filter `{name}`{_place(source, spans[0].index)}"
    for name, variables in analysis.globals.items():
        if name not in SCOPE and name not in names:
            known = ", ".join(sorted({*SCOPE, *names}))
            yield f"Liquid: unknown variable `{name}`{_place(source, variables[0].span.index)}; known are {known}"


def fill(source: str, scope: Mapping[str, object], *, escape: bool) -> str:
    """Render a template; with `escape`, values are escaped for HTML unless the template says `| safe`.

    Raises:
      ValueError: a variable is missing, or anything else went wrong, in one line.
    """
    try:
        return _compiled(source, escape).render(scope)
    except LiquidError as error:
        raise ValueError(f"{error.message}{_place(source, error.token.start_index if error.token else -1)}") from error
    except _RUNTIME_ERRORS as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _place(source: str, index: int) -> str:
    """Where in a text of several lines; the line of the file is known to the caller."""
    return f" in line {source.count(chr(10), 0, index) + 1} of the text" if "\n" in source and index >= 0 else ""
