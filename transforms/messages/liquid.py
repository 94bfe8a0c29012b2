"""Liquid as messages use it: strict, bounded, and without a clock of its own.

A missing variable is nil in conditions and loops, as everywhere in Liquid. Where it would be shown, or is an argument
of a filter, it is an error, except before `| default`. Other ways to print something wrong are closed here: JSON null
and what a filter could not find count as missing, `size`, `first` and `last` never answer for a mapping's missing key,
dates use the scope's `now` and the user's zone, and numbers are rounded as people do.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, tzinfo
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import lru_cache, wraps
from typing import Any, NamedTuple

from liquid import BoundTemplate, Environment, Markup, RenderContext, Undefined
from liquid.exceptions import (
    FilterArgumentError,
    LiquidError,
    OutputStreamLimitError,
    TemplateNotFoundError,
    UndefinedError,
)
from liquid.filter import flatten, math_filter, num_arg, with_context
from liquid.span import Span
from liquid.token import Token
from liquid.undefined import UNDEFINED

from transforms.events.plain import quoted
from transforms.messages.definitions import Partials
from transforms.messages.liquid_parts import CALL, PARTIAL, TURN, Steps, rendered_by, replaced, text_of_value, weight
from transforms.messages.scope import RECOMMENDATIONS, SCOPE

__all__ = ["Mistake", "fill", "mistakes", "parsed", "paths_of"]

#: Mail clients clip long before: Gmail shows 102 kB of HTML.
OUTPUT_BYTES = 1_000_000
LOOP_ITERATIONS = 10_000

#: Floats have at most 324 places, and 309 digits before them.
_MOST_PLACES, _MOST_DIGITS = 330, 700

#: Integers of more than 4,300 digits cannot be printed.
_MOST_BITS = 14_000

_PATTERN = 1_000

_SECONDS = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_SECRET = re.compile(r"[A-Za-z0-9_]+")
_WIDE = re.compile(r"%[-_0^#]*[0-9]{3}")
_OWN = re.compile(r"%[-_0^#]*([sL%])")

#: Filters whose value and arguments are text.
_OF_TEXT = {
    *("append", "base64_decode", "base64_encode", "base64_url_safe_decode", "base64_url_safe_encode", "capitalize"),
    *("downcase", "escape", "escape_once", "lstrip", "newline_to_br", "prepend", "remove", "remove_first"),
    *("remove_last", "replace", "replace_first", "replace_last", "rstrip", "slice", "split", "squish", "strip"),
    *("strip_html", "strip_newlines", "truncate", "truncatewords", "upcase", "url_decode", "url_encode"),
}

#: Errors that python-liquid's filters raise on strange values, besides its own.
_RUNTIME_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class _Missing(Undefined):
    """A missing value: nil in conditions and loops, and an error where it would be shown."""

    def __str__(self) -> str:
        raise UndefinedError(self.hint or f"{quoted(self.name)} is undefined", token=self.token)

    __int__ = __str__  # type: ignore[assignment]


class _Context(RenderContext):
    def __init__(self, template: BoundTemplate, *, parent_context: RenderContext | None = None, **more: Any) -> None:
        super().__init__(template, parent_context=parent_context, **more)
        self.steps: Steps = parent_context.steps if isinstance(parent_context, _Context) else Steps()
        self.steps.take(PARTIAL)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        super().raise_for_loop_limit(length)
        self.steps.take(TURN * length)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        function = super().filter(name, token)

        def counted(value: object, *arguments: object, **options: object) -> object:
            if name == "uniq" and isinstance(value, list | tuple):  # it compares each with each
                self.steps.take(len(flatten(value)) ** 2 // 10)
            self.steps.take(CALL + weight(value, *arguments, *options.values()))
            if name in _OF_TEXT:
                value, *arguments = (self.as_text(given, name) for given in (value, *arguments))  # type: ignore[assignment]
            elif name == "join" and isinstance(value, list | tuple):
                value = [item if item is None else self.as_text(item, name) for item in flatten(value)]
            found = function(value, *arguments, **options)
            self.steps.take(weight(found))
            return found

        return counted

    def as_text(self, value: object, name: str) -> object:
        """A filter's argument as the text that would be printed; the library's filters take Python's `True` and `{'a':
        1}`.
        """
        if type(value) is bool:
            return str(value).lower()
        if isinstance(value, dict) or (isinstance(value, list | tuple) and name != "slice" and None not in value):
            text = text_of_value(value, self)
            return text.unescape() if isinstance(text, Markup) else text
        return value

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

    def __init__(self, partials: Partials, *, autoescape: bool) -> None:
        super().__init__(undefined=_Missing, autoescape=autoescape)
        del self.tags["include"]  # which would see and change whatever the template around it has
        self.partials = dict(partials)
        self.parsed: dict[str, BoundTemplate] = {}
        self.filters |= {"date": _date, "round": _round}
        self.filters = {name: _strict(self, name, function) for name, function in self.filters.items()}

    def from_string(self, *source: Any, **more: Any) -> BoundTemplate:
        return replaced(super().from_string(*source, **more))

    def get_template(self, name: str, **_: Any) -> BoundTemplate:
        """A partial by its name; all are parsed once."""
        if name not in self.parsed:
            if name not in self.partials:
                raise TemplateNotFoundError(f"there is no file `{name}` to render beside the definitions", token=None)
            try:
                self.parsed[name] = self.from_string(self.partials[name], name=name)
            except LiquidError as error:
                error.template_name = name
                raise
        return self.parsed[name]


def _strict(environment: Environment, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same filter, for which nothing is missing rather than empty text, and numbers and texts are bounded."""

    @wraps(function)
    def bounded(value: object, *arguments: Any, **options: Any) -> Any:
        for missing in (value, *arguments, *options.values()) if name != "default" else ():
            if isinstance(missing, Undefined):
                str(missing)
        for number in (value, *arguments):
            if isinstance(number, int) and number.bit_length() > _MOST_BITS:
                raise FilterArgumentError(f"`{name}` of a number of more than {_MOST_BITS:,} bits", token=None)
        if name in ("replace", "join") and _length(name, value, *arguments) > OUTPUT_BYTES:
            raise OutputStreamLimitError(f"`{name}` of more than {OUTPUT_BYTES:,} characters", token=None)
        if type(value) is list and None in value and name not in ("compact", "default", "size"):
            raise FilterArgumentError(f"`{name}` of a list with missing values; put `| compact` before it", token=None)
        found = function(value, *arguments, **options)
        if name == "map" and None in found:
            raise FilterArgumentError("`map`: an item has no such property; put `| where` before it", token=None)
        return environment.undefined(name, hint=f"`{name}` found nothing", token=None) if found is None else found

    return bounded


def _length(name: str, value: object, first: object = " ", second: object = "", *_: object) -> int:
    """How long a text `replace` or `join` is going to make: what users wrote, times what users wrote."""
    if name == "replace":
        text, new = str(value), str(second)
        return len(text) + text.count(str(first)) * len(new)
    items = value if isinstance(value, list | tuple | range) else [value]
    length = 0
    for item in items:
        length += len(str(item)) + len(str(first))
        if length > OUTPUT_BYTES:
            break
    return length


@with_context
def _date(value: object, pattern: object, *, context: RenderContext) -> str:
    """strftime, in the user's zone, of `now` (also written 'now' or 'today'), an ISO 8601 time, or seconds since 1970.

    A time without a zone is in the user's. `%L` is milliseconds, as in Ruby. The library's own filter reads the
    machine's clock and zone, and prints what it cannot read unchanged.
    """
    now, form = context.resolve("now"), str(pattern)
    if len(form) > _PATTERN or _WIDE.search(form):
        raise FilterArgumentError("`date` with a form of more than 1,000 characters, or a width above 99", token=None)
    try:
        moment = now if value in ("now", "today") else _moment(value, now.tzinfo)
        return str(moment.strftime(_OWN.sub(lambda match: _own(match, moment), form)))
    except (ValueError, OverflowError, OSError) as error:
        raise FilterArgumentError(f"not a date: {quoted(value)} ({error})", token=None) from error


def _moment(value: object, zone: tzinfo) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, zone)
    text = str(value)
    if _SECONDS.fullmatch(text) and len(text) != len("YYYYMMDD"):
        return datetime.fromtimestamp(float(text), zone)
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def _own(match: re.Match[str], moment: datetime) -> str:
    """The codes that strftime lacks (`%L`), or reads in the machine's zone (`%s`)."""
    match match[1]:
        case "s":
            return str(math.floor(moment.timestamp()))
        case "L":
            return f"{moment.microsecond // 1000:03}"
    return match[0]


@math_filter
def _round(number: float, digits: object = None) -> float:
    """A number rounded to decimal digits; of two nearest, the one further from zero, as in Ruby (1.005 is 1.01).

    The library's own filter takes the even one, and rounds the binary number.
    """
    places = 0 if digits is None else int(num_arg(digits))
    if isinstance(number, int) and places >= 0:
        return number
    with localcontext(prec=_MOST_DIGITS) as context:
        context.rounding = ROUND_HALF_UP
        step = Decimal(1).scaleb(-max(-_MOST_PLACES, min(places, _MOST_PLACES)))
        rounded = Decimal(str(number)).quantize(step)
    return int(rounded) if places <= 0 else float(rounded)


@lru_cache(maxsize=1024)
def _environment(partials: Partials, escape: bool) -> _Environment:
    return _Environment(partials, autoescape=escape)


@lru_cache(maxsize=16384)
def _compiled(source: str, escape: bool, partials: Partials = ()) -> BoundTemplate:
    return _environment(partials, escape).from_string(source)


def parsed(source: str, partials: Partials) -> BoundTemplate:
    """A template without mistakes, as nodes and expressions."""
    return _compiled(source, False, partials)


class Mistake(NamedTuple):
    """A mistake in a template, and where: in a line of the partial `name`, or if that is empty, of the text itself.

    `more` goes on after the place.
    """

    cause: str
    name: str
    line: int
    more: str = ""


def mistakes(
    source: str, names: Collection[str] = (), *, secrets: bool = False, partials: Partials = ()
) -> Iterator[Mistake]:
    """The mistakes of a template that may use `names` besides `SCOPE`, as far as they can be found without data.

    With `secrets` it may use `secrets.NAME`, too.
    """
    texts = {"": source, **dict(partials)}

    def at(cause: str, span: Span, more: str = "") -> Mistake:
        name = span.template_name if span.template_name in texts else ""
        return Mistake(f"Liquid: {cause}", name, texts[name].count("\n", 0, max(span.index, 0)) + 1, more)

    try:
        template = _compiled(source, False, partials)
        analysis = template.analyze()
    except LiquidError as error:
        index = error.token.start_index if error.token else 0
        yield at(str(error.message), Span(str(error.template_name or ""), index))
        return
    if found := _round_trip(template):
        yield at("a partial that renders itself, at last, would never end", found)
    for name, spans in analysis.filters.items():
        if name not in template.env.filters:
            yield at(f"unknown filter `{name}`", spans[0])
    for name, variables in analysis.globals.items():
        span = variables[0].span
        if name == "secrets":
            if not secrets:
                yield at("`secrets` are for `url` and `headers` of webhooks alone", span)
            elif not all(_names_a_secret(variable.segments) for variable in variables):
                yield at("write {{ secrets.NAME }} for what stands in TODOKE_SECRET_NAME", span)
        elif name == RECOMMENDATIONS and name not in names:
            yield at(f"`{name}` are for messages, beside a section `recommend` that says what is counted", span)
        elif name not in SCOPE and name not in names:
            yield at(f"unknown variable `{name}`", span, f"; known are {', '.join(sorted({*SCOPE, *names}))}")


def _round_trip(template: BoundTemplate) -> Span | None:
    """Where partials lead back to one that is being rendered."""
    done: set[str] = set()

    def walk(name: str, inside: BoundTemplate, around: tuple[str, ...]) -> Span | None:
        for partial, index in rendered_by(inside):
            if partial in around:
                return Span(name, index)
            if partial not in done:
                if found := walk(partial, inside.env.get_template(partial), (*around, partial)):
                    return found
                done.add(partial)
        return None

    return walk("", template, ())


def _names_a_secret(path: list[Any]) -> bool:
    return len(path) == 2 and isinstance(path[1], str) and _SECRET.fullmatch(path[1]) is not None


def paths_of(source: str, partials: Partials = ()) -> Iterator[list[Any]]:
    """The variables that a sound template takes from its scope, each as a path of names."""
    for variables in _compiled(source, False, partials).analyze().globals.values():
        for variable in variables:
            yield list(variable.segments)


def fill(source: str, scope: Mapping[str, object], *, escape: bool, partials: Partials = ()) -> str:
    """Render a template; with `escape`, values are escaped for HTML unless the template says `| safe`.

    Raises:
      ValueError: a variable is missing, or something else went wrong; the text is one line.
    """
    try:
        filled = _compiled(source, escape, partials).render(scope)
        filled.encode()  # half a surrogate is no text, and no channel can send it
    except LiquidError as error:
        raise ValueError(f"{error.message}{_place(error, source, partials)}") from error
    except _RUNTIME_ERRORS as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return filled


def _place(error: LiquidError, source: str, partials: Partials) -> str:
    """The place in a text of several lines, or in a partial."""
    name = str(error.template_name or "")
    text = dict(partials).get(name, source)
    index = error.token.start_index if error.token else -1
    line = f" in line {text.count(chr(10), 0, index) + 1}" if "\n" in text and index >= 0 else ""
    return f"{line} of `{name}`" if text is not source else f"{line} of the text" if line else ""
