"""What a mapping says of a table's columns, and a row as the calls that it stands for.

Times are microseconds UTC. Every call is history (`historical: true`), so that none of them sends anything.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from transforms.events.decode import Cause, Refused, decode
from transforms.events.imports.cells import READERS, is_empty, read_moment
from transforms.events.plain import quoted
from transforms.events.times import write_time

__all__ = ["Column", "Csv", "Rejected", "Table", "calls_of", "columns_of", "read_mapping"]

#: The cause of a reject that says nothing: neither an event nor an attribute.
_EMPTY = "empty"
_encode = msgspec.json.Encoder(order="sorted").encode


class Rejected(Exception):
    """A row that cannot be imported. `cause` is one of `decode.Cause`, or `empty`."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(cause, detail)
        self.cause = cause
        self.detail = detail


class Csv(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a file of text is written; `encoding` is one that Python knows."""

    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8"


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value of a row: of the first of some columns that says something, or a constant.

    `values` says what words stand for; then what it lacks is rejected, as is a `required` value that is missing.
    `zone` and `format` are of times and dates, `separator` of lists, `decimal` of numbers.
    """

    column: str | list[str] | None = None
    constant: Any = None
    type: Literal["text", "integer", "number", "boolean", "time", "date", "json", "list"] = "text"
    format: str | None = None
    zone: str | None = None
    separator: str = ","
    decimal: Literal[".", ","] = "."
    values: dict[str, Any] | None = None
    required: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, best first."""
        if self.column is None:
            return ()
        return (self.column,) if isinstance(self.column, str) else tuple(self.column)


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping. A text in place of a `Column` names a column; `event` alone names the event itself.

    With `event` a row is a track call, with `attributes` an identify call; with both it is both. `only` leaves out rows
    whose column has none of these values. `id` are the columns that tell rows apart: without them, and where they are
    empty, all that is mapped does.
    """

    user: str | Column | None = None
    anonymous: str | Column | None = None
    time: str | Column | None = None
    id: str | list[str] | None = None
    event: str | Column | None = None
    properties: dict[str, str | Column] = {}
    attributes: dict[str, str | Column] = {}
    only: dict[str, str | list[str]] = {}
    zone: str | None = None
    csv: Csv = Csv()


def read_mapping(plain: Any) -> Table:
    """A mapping of plain data.

    Raises:
      ValueError: it is none; the text says where and what is wrong.
    """
    try:
        table = msgspec.convert(plain, Table)
    except msgspec.ValidationError as error:
        raise ValueError(_mistake(plain) or str(error)) from None
    if table.user is None and table.anonymous is None:
        raise ValueError("name the column of the user id (`user`), or of the anonymous id (`anonymous`)")
    if table.event is None and not table.attributes:
        raise ValueError("say what a row is: an `event`, `attributes` of the user, or both")
    if table.properties and table.event is None:
        raise ValueError("`properties` are of an event: name it in `event`")
    for where, column in _columns(table):
        if (column.column is None) == (column.constant is None):
            raise ValueError(f"`{where}`: name either a `column` or a `constant`")
        _check_zone(where, column.zone)
    _check_zone("zone", table.zone)
    if len(table.csv.delimiter) != 1 or len(table.csv.quote) != 1:
        raise ValueError("`csv`: `delimiter` and `quote` are one character each")
    return _whole(table)


def _mistake(plain: Any) -> str:
    """The first word of a mapping that is none of the language, with those that it may be; empty where all are."""
    if not isinstance(plain, dict):
        return ""
    parts: list[tuple[str, Any, type[msgspec.Struct]]] = [("", plain, Table), ("csv", plain.get("csv"), Csv)]
    parts += ((name, plain.get(name), Column) for name in ("user", "anonymous", "time", "event"))
    for kind in ("properties", "attributes"):
        columns = plain.get(kind)
        parts += (
            (f"{kind}.{name}", said, Column) for name, said in (columns if isinstance(columns, dict) else {}).items()
        )
    for where, said, struct in parts:
        fields = {field.name: field.type for field in msgspec.structs.fields(struct)}
        for name, value in said.items() if isinstance(said, dict) else ():
            begin = f"`{where}`: " if where else ""
            if name not in fields:
                return f"{begin}unknown field `{name}`; expected one of {', '.join(fields)}"
            if get_origin(fields[name]) is Literal and value not in (words := get_args(fields[name])):
                return f"{begin}`{name}`: expected one of {', '.join(words)}; found {quoted(value)}"
    return ""


def _whole(table: Table) -> Table:
    """The same with a `Column` for each name of one, in the zone of the table where it has none of its own."""

    def whole(said: str | Column) -> Column:
        column = _column(said)
        return msgspec.structs.replace(column, zone=column.zone or table.zone)

    fields: dict[str, Any] = {name: getattr(table, name) for name in ("user", "anonymous", "time")}
    found: dict[str, Any] = {name: whole(said) for name, said in fields.items() if said is not None}
    if isinstance(table.event, Column):
        found["event"] = whole(table.event)
    for kind in ("properties", "attributes"):
        found[kind] = {name: whole(said) for name, said in getattr(table, kind).items()}
    return msgspec.structs.replace(table, **found)


def _check_zone(where: str, zone: str | None) -> None:
    try:
        _ = zone and ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"`{where}`: {quoted(zone)} is no time zone; expected UTC, Europe/Berlin and the like"
        ) from None


def _columns(table: Table) -> Iterable[tuple[str, Column]]:
    for name in ("user", "anonymous", "time"):
        if (said := getattr(table, name)) is not None:
            yield name, _column(said)
    if isinstance(table.event, Column):
        yield "event", table.event
    for kind in ("properties", "attributes"):
        for name, said in getattr(table, kind).items():
            yield f"{kind}.{name}", _column(said)


def _column(said: str | Column) -> Column:
    return Column(column=said) if isinstance(said, str) else said


def columns_of(table: Table) -> list[tuple[str, ...]]:
    """The columns that a file must have: of each of these one at least."""
    listed = [column.names for _, column in _columns(table) if column.names]
    return [*listed, *((name,) for name in (*_id_columns(table), *table.only))]


def _id_columns(table: Table) -> tuple[str, ...]:
    return (table.id,) if isinstance(table.id, str) else tuple(table.id or ())


def calls_of(table: Table, row: Mapping[str, Any], time: int | None, now: int) -> list[dict[str, Any]] | None:
    """The calls that a row stands for; None where `only` leaves it out.

    Each has an id made of what is mapped, so that a row that is imported again is a duplicate.

    Args:
      table: the mapping.
      row: cells by column.
      time: when rows happened that have no time.
      now: nothing that is imported happens later.

    Raises:
      Rejected: it is no call.
    """
    for name, wanted in table.only.items():
        cell = row.get(name)
        if ("" if cell is None else READERS["text"](cell, None)) not in (
            [wanted] if isinstance(wanted, str) else wanted
        ):
            return None
    common = _common(table, row, time, now)
    calls: list[dict[str, Any]] = []
    if table.event is not None:
        name = table.event if isinstance(table.event, str) else _value("event", table.event, row)
        if name is not None:
            said = _values("properties", table.properties, row)
            calls.append({"type": "track", **common, "event": READERS["text"](name, None), "properties": said})
    if traits := _values("attributes", table.attributes, row):
        calls.append({"type": "identify", **common, "traits": traits})
    if not calls:
        raise Rejected(_EMPTY, "the row has neither an event nor an attribute")
    for call in calls:
        _complete(table, row, call)
    return calls


def _complete(table: Table, row: Mapping[str, Any], call: dict[str, Any]) -> None:
    """Give a call its id; what a job would refuse is refused here, where the line is known."""
    try:
        call["messageId"] = _message_id(table, row, call)
        decode(_encode(call))
    except Refused as refused:
        raise Rejected(refused.cause, refused.detail) from None
    except OverflowError:
        raise Rejected(Cause.UNSUPPORTED, "an integer beyond 64 bits") from None
    except RecursionError:
        raise Rejected(Cause.TOO_DEEP, "nested too deep") from None
    except UnicodeEncodeError as error:
        raise Rejected(Cause.NOT_UTF8, str(error)) from None


def _common(table: Table, row: Mapping[str, Any], time: int | None, now: int) -> dict[str, Any]:
    """Whose a row is, and when."""
    found: dict[str, Any] = {}
    for field, said in (("userId", table.user), ("anonymousId", table.anonymous)):
        if said is not None and (id_ := _value(field, _column(said), row)) is not None:
            found[field] = id_
    if table.time is not None:
        asked = _column(table.time)
        try:
            cell = _cell(asked, row)
            if not is_empty(cell):
                time = read_moment(cell, asked.format, asked.zone)
        except ValueError as error:
            raise Rejected(Cause.BAD_TIME, f"`time`: {error}") from None
    if time is None:
        raise Rejected(Cause.NO_TIME, "the row says no time")
    if time > now:
        raise Rejected(
            Cause.BAD_TIME, f"`time`: {write_time(time)} is in the future; an import takes only what has happened"
        )
    return found | {"timestamp": write_time(time), "historical": True}


def _values(kind: str, columns: Mapping[str, str | Column], row: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: _value(f"{kind}.{name}", _column(said), row) for name, said in columns.items()}
    return {name: value for name, value in found.items() if value is not None}


def _value(where: str, asked: Column, row: Mapping[str, Any]) -> Any:
    """A value of a row, None where it says nothing."""
    cell = _cell(asked, row)
    if asked.column is None:
        return cell
    if is_empty(cell):
        if asked.required:
            columns = ", ".join(f"`{name}`" for name in asked.names)
            raise Rejected(
                Cause.INVALID, f"`{where}` is missing: {columns} {'says' if len(asked.names) == 1 else 'say'} nothing"
            )
        return None
    try:
        if asked.values is not None:
            word = READERS["text"](cell, None).strip()
            if word not in asked.values:
                raise ValueError(f"expected one of {', '.join(asked.values)}; found {quoted(cell)}")
            return asked.values[word]
        if where in ("userId", "anonymousId") and isinstance(cell, float | bool | list | dict):
            raise ValueError(f"expected text or an integer; found {quoted(cell)}")
        return READERS[asked.type](cell, asked)
    except ValueError as error:
        raise Rejected(Cause.INVALID, f"`{where}`: {error}") from None


def _cell(asked: Column, row: Mapping[str, Any]) -> Any:
    if asked.column is None:
        return asked.constant
    return next((row[name] for name in asked.names if not is_empty(row.get(name))), None)


def _message_id(table: Table, row: Mapping[str, Any], call: Mapping[str, Any]) -> str:
    said: Any = call
    cells = [row.get(name) for name in _id_columns(table)]
    if not all(map(is_empty, cells)):  # else nothing but what is mapped tells the row from others
        said = [*(call.get(name) for name in ("type", "event", "userId", "anonymousId")), *cells]
    return f"import-{blake2b(_encode(said), digest_size=16).hexdigest()}"
