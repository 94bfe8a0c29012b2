"""Values as columns, one for each kind, since values of different types compare false; and operators as expressions.

A path has four columns: `PATH#number` (doubles), `PATH#text`, `PATH#boolean`, and `PATH#other`, the JSON of everything
else: arrays, objects, and integers that a double cannot hold. A path with `[]` finds many values: it has one column,
`PATH#many`, the JSON of their list. A missing value is null in each column. A table leaves out columns without any
value.

An operator is an expression of polars where there is one. Every other operator, and every value in `other` and `many`,
is tested by the code of the rows, once for each distinct value.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
import polars as pl

from transforms.segments.operators import Operator

__all__ = ["any_element", "by_value", "columns_of", "either", "satisfies", "split"]

_KINDS: dict[str, Any] = {"number": pl.Float64, "text": pl.String, "boolean": pl.Boolean, "other": pl.String}
_MANY = {"many": pl.String}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def columns_of(path: str) -> dict[str, Any]:
    """The columns of a path, with their types."""
    return {f"{path}#{kind}": dtype for kind, dtype in (_MANY if "[]" in path else _KINDS).items()}


def split(path: str, values: list[Any]) -> tuple[Any, ...]:
    """The cells for the values at a path, in the order of `columns_of`."""
    if "[]" in path:
        return (_encode(values).decode() if values else None,)
    value = values[0] if values else None
    kind = _kind(value)
    if kind is None:
        return (None, None, None, None if value is None else _encode(value).decode())
    held = float(value) if kind == "number" else value  # type: ignore[arg-type]
    return tuple(held if name == kind else None for name in _KINDS)


def satisfies(
    path: str, operator: Operator, test: Callable[..., bool], present: Collection[str], beside: Sequence[str] = ()
) -> pl.Expr:
    """Whether the values at a path satisfy an operator: true or false, never null.

    Args:
      path: the path, as `columns_of` names its columns.
      operator: the operator.
      present: the columns that the table has.
      test: the same operator for rows; it takes the values, and one of each column of `beside`.
      beside: columns of the user that the operator depends on, as the time zone.
    """
    columns = {kind: f"{path}#{kind}" for kind in (*_KINDS, *_MANY) if f"{path}#{kind}" in present}
    if operator.name == "exists":
        found = either([pl.col(column).is_not_null() for column in columns.values()])
        return found if operator.operand else ~found
    exact = None if beside else _vectors(operator)
    tests = []
    for kind, column in columns.items():
        if kind == "many":
            tests.append(by_value(column, lambda text, *rest: test(_decode(text), *rest), beside))
        elif kind == "other":
            tests.append(by_value(column, lambda text, *rest: test([_decode(text)], *rest), beside))
        elif exact is None:
            tests.append(by_value(column, lambda value, *rest: test([value], *rest), beside))
        elif kind in exact:
            tests.append(exact[kind](pl.col(column)).fill_null(value=False))
    return either(tests)


def any_element(path: str, test: Callable[[list[Any]], bool], present: Collection[str]) -> pl.Expr:
    """Whether some element at a path that ends in `[]` satisfies a test; false without elements."""
    column = f"{path}#many"
    return by_value(column, lambda text: test(_decode(text))) if column in present else pl.lit(value=False)


def either(tests: list[pl.Expr]) -> pl.Expr:
    """Whether any test is true; false without tests."""
    return pl.any_horizontal(tests) if tests else pl.lit(value=False)


def by_value(columns: str | Sequence[str], test: Callable[..., bool], beside: Sequence[str] = ()) -> pl.Expr:
    """Test each distinct value of a column, or row of several columns, in Python, with each value `beside`.

    Where one of `columns` is null it is false.
    """
    names = [columns] if isinstance(columns, str) else [*columns]
    asked = [*names, *beside]

    def tested(rows: pl.Series) -> pl.Series:
        table = rows.struct.unnest()
        distinct = table.drop_nulls(names).unique()
        truths = pl.Series("#true", [test(*values) for values in distinct.rows()], dtype=pl.Boolean)
        true = distinct.filter(truths).with_columns(pl.lit(value=True).alias("#true"))
        return table.join(true, on=asked, how="left", maintain_order="left")["#true"].fill_null(value=False)

    return pl.struct(asked).map_batches(tested, return_dtype=pl.Boolean, is_elementwise=True)


def by_row(columns: Sequence[pl.Expr], test: Callable[..., bool]) -> pl.Expr:
    """Test each distinct row of columns in Python, None where one is null."""

    def tested(rows: pl.Series) -> pl.Series:
        table = rows.struct.unnest()
        distinct = table.unique()
        said = map(pl.Series.to_list, distinct.get_columns())
        truths = pl.Series(list(map(test, *said)), dtype=pl.Boolean)
        true = distinct.filter(truths).with_columns(pl.lit(value=True).alias("#true"))
        found = table.join(true, on=table.columns, how="left", nulls_equal=True, maintain_order="left")
        return found["#true"].fill_null(value=False)

    return pl.struct(columns).map_batches(tested, return_dtype=pl.Boolean, is_elementwise=True)


_SCALARS = ("number", "text", "boolean")
#: An expression for each kind of value for which an operator can be true.
_Vectors = dict[str, Callable[[pl.Expr], pl.Expr]]


def _kind(value: Any) -> str | None:
    """The kind of a scalar that its column holds exactly; None for everything else."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) <= 2**53):
        return "number"
    return None


def _vectors(operator: Operator) -> _Vectors | None:  # noqa: PLR0911 - one return an operator
    """An operator as expressions; None where there is none, or where a column cannot hold its operand exactly."""
    name, operand = operator.name, operator.operand
    operands = operand if isinstance(operand, tuple) else (operand,)
    kinds = {_kind(each) for each in operands}
    if None in kinds:
        return None
    by_kind = {kind: [each for each in operands if _kind(each) == kind] for kind in _SCALARS if kind in kinds}
    if "number" in by_kind:
        by_kind["number"] = [float(each) for each in by_kind["number"]]
    match name:
        case "is" | "in":
            return {kind: _equals(options) for kind, options in by_kind.items()}
        case "is_not" | "not_in":
            return {kind: _differs(options) for kind, options in by_kind.items()}
        case "between":
            return {kind: _between(*options) for kind, options in by_kind.items()}
        case "at_least" | "at_most" | "more_than" | "less_than":
            return {kind: _ORDERS[name](operand) for kind in by_kind}
        case "contains":
            return {"text": lambda column: column.str.contains(operand, literal=True)} if "text" in by_kind else {}
        case "starts_with":
            return {"text": lambda column: column.str.starts_with(operand)}
        case "ends_with":
            return {"text": lambda column: column.str.ends_with(operand)}
    return None


def _equals(options: list[Any]) -> Callable[[pl.Expr], pl.Expr]:
    return lambda column: column == options[0] if len(options) == 1 else column.is_in(options)


def _differs(options: list[Any]) -> Callable[[pl.Expr], pl.Expr]:
    return lambda column: column != options[0] if len(options) == 1 else ~column.is_in(options)


def _between(low: Any, high: Any) -> Callable[[pl.Expr], pl.Expr]:
    return lambda column: column.is_between(pl.lit(low), pl.lit(high))


_ORDERS: dict[str, Callable[[Any], Callable[[pl.Expr], pl.Expr]]] = {
    "at_least": lambda operand: lambda column: column >= operand,
    "at_most": lambda operand: lambda column: column <= operand,
    "more_than": lambda operand: lambda column: column > operand,
    "less_than": lambda operand: lambda column: column < operand,
}
