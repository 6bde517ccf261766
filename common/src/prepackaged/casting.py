"""Cast a column of a request to the type that the model was trained on.

Values are a list, as in JSON, or a one-dimensional array. A value that does not fit raises
`ClientError` with the row, the column, the expected value and the value that it got.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from prepackaged.arrays import Array, packed_numbers
from prepackaged.cells import flag, is_null, moment_in, number, number_in, shown, string, whole
from prepackaged.errors import ClientError
from prepackaged.signature import Column

Values = list[Any] | Array


STRUCTURE = "expected rows of plain values; a row holds a list or an object"


class Absent:
    """The type of `ABSENT`, the value of a record that lacks the column."""

    def __repr__(self) -> str:
        return "no value"


ABSENT: Final = Absent()

EXPECTED = {
    "float64": "a number",
    "float32": "a number",
    "int64": "a whole number",
    "bool": "true or false",
    "text": "text",
    "datetime": "a date and time as in ISO 8601",
}
SHOWN = 20  # the most categories in an error
NUMBERS = "biuf"  # numpy's dtype kinds for numbers
FLOATS = {float, int}


def cast(values: Values, column: Column, label: str) -> Array:
    """The values of a column as an array of shape [rows]; `label` names the column in errors.

    The dtype follows the column's kind: numbers, or object for text and for types that have no
    missing value in numpy. Null becomes the missing value of training, or NaN if that is unknown.
    For the kind `any`, `inferred` decides; a column of nulls becomes NaN if NaN is the missing
    value.
    """
    try:
        array = CASTS[column.kind](values, column)
        if column.categories is not None and not column.open:
            _check_categories(array.tolist(), column)
        return array
    except WrongValueError as wrong:
        raise ClientError(
            f"row {wrong.row}, column {label}: expected {expected(column)}, got {wrong.got}"
        ) from None


def expected(column: Column) -> str:
    """The values that a column accepts, for errors."""
    if column.categories is None or column.open:
        is_of_numbers = column.kind == "any" and column.categories
        return EXPECTED.get(column.kind, "a number" if is_of_numbers else "a plain value")
    if not column.categories:
        return "one of the model's categories, of which none is a JSON value"
    shown = ", ".join(map(repr, column.categories[:SHOWN]))
    more = len(column.categories) - SHOWN
    return f"one of {shown}{f' and {more} more' if more > 0 else ''}"


class WrongValueError(ValueError):
    """The column cannot accept the value in this row."""

    def __init__(self, row: int, value: Any) -> None:
        self.row, self.got = row, shown(value)
        super().__init__(f"row {row}: {self.got}")


def inferred(values: Values) -> Array:
    """The array that numpy creates from integers, booleans, or floats with null as NaN.

    Text and mixed types become objects, unchanged; so does a column that contains only null.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in NUMBERS:
        return values
    values = _listed(values)
    kinds = set(map(type, values))
    if not kinds <= {int, float, bool, type(None)} or (bool in kinds and len(kinds) > 1):
        return _plain_objects(values)
    if kinds == {type(None)}:
        return _objects(values)
    return packed_numbers([math.nan if value is None else value for value in values])


def _float(dtype: Any) -> Callable[[Values, Column], Array]:
    def cast_to_float(values: Values, column: Column) -> Array:
        if isinstance(values, np.ndarray) and values.dtype.kind in NUMBERS:
            return _without_nan(values.astype(dtype, copy=False), column)
        values = _listed(values)
        if set(map(type, values)) <= FLOATS:
            return _without_nan(_packed(values, dtype), column)
        return np.array(_each(values, column, number), dtype)

    return cast_to_float


def _float32(values: Values, column: Column) -> Array:
    with np.errstate(over="ignore"):  # numpy casts large values to infinity; do not warn
        return _float(np.float32)(values, column)


def _int(values: Values, column: Column) -> Array:
    if isinstance(values, np.ndarray) and values.dtype.kind in "bi":
        return values.astype(np.int64, copy=False)
    values = _listed(values)
    if set(map(type, values)) == {int}:
        return _packed(values, np.int64)
    numbers = _each(values, column, whole)
    return np.array(numbers, np.float64 if any(map(is_null, numbers)) else np.int64)


def _bool(values: Values, column: Column) -> Array:
    values = _listed(values)
    if set(map(type, values)) == {bool} and not column.is_of_objects:
        return np.array(values)
    flags = _each(values, column, flag)
    is_of_objects = column.is_of_objects or any(map(is_null, flags))
    return _objects(flags) if is_of_objects else np.array(flags, dtype=bool)


def _text(values: Values, column: Column) -> Array:
    values = _listed(values)
    if set(map(type, values)) != {str}:
        values = _each(values, column, string)
    return _objects(values)


def _category(values: Values, column: Column) -> Array:
    values = _listed(values)
    _check_present(values)
    filled = [_missing(column, row) if is_null(each) else each for row, each in enumerate(values)]
    return _plain_objects(filled)


def _datetime(values: Values, column: Column) -> Array:
    values = _listed(values)
    return np.array(_each(values, column, moment_in), "datetime64[ns]")


def _any(values: Values, column: Column) -> Array:
    _check_present(values)
    if column.is_of_objects:
        return _plain_objects(_each(_listed(values), column, _object_of(column)))
    array = inferred(values)
    is_of_numbers = isinstance(column.missing, float) and column.categories is None
    if is_of_numbers and array.dtype == object and all(map(is_null, array)):
        return array.astype(np.float64)
    return array


CASTS: dict[str, Callable[[Values, Column], Array]] = {
    "float64": _float(np.float64),
    "float32": _float32,
    "int64": _int,
    "bool": _bool,
    "text": _text,
    "category": _category,
    "datetime": _datetime,
    "any": _any,
}


def _listed(values: Values) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else values


def _each(values: Sequence[Any], column: Column, one: Callable[[Any], Any]) -> list[Any]:
    """The values converted one by one, null as the column's missing value."""
    done = []
    for row, value in enumerate(values):
        if is_null(value):
            done.append(_missing(column, row))
            continue
        try:
            done.append(one(value))
        except (TypeError, ValueError, OverflowError):
            raise WrongValueError(row, value) from None
    return done


def _object_of(column: Column) -> Callable[[Any], Any]:
    """A converter of values for these categories; if none is text, a text must be a number."""
    if not column.categories or any(isinstance(each, str) for each in column.categories):
        return lambda value: value
    return lambda value: number_in(value) if isinstance(value, str) else value


def _missing(column: Column, row: int) -> Any:
    if not column.nullable:
        raise WrongValueError(row, None)
    if column.kind == "datetime":
        return np.datetime64("NaT")
    is_null_marker = column.missing is None and column.kind not in ("float64", "float32", "int64")
    return None if is_null_marker else math.nan


def _without_nan(numbers: Array, column: Column) -> Array:
    if not column.nullable and (missing := np.isnan(numbers)).any():
        raise WrongValueError(int(missing.argmax()), None)
    return numbers


def _check_categories(values: Sequence[Any], column: Column) -> None:
    for row, value in enumerate(values):
        if not is_null(value) and value not in column.categories_set:
            raise WrongValueError(row, value)


def _check_present(values: Values) -> None:
    if isinstance(values, list) and any(value is ABSENT for value in values):
        raise WrongValueError(values.index(ABSENT), ABSENT)


def _packed(values: list[Any], dtype: Any) -> Array:
    try:
        return np.array(values, dtype)
    except OverflowError:
        row = next(row for row, value in enumerate(values) if not _fits(value, dtype))
        raise WrongValueError(row, values[row]) from None


def _fits(value: Any, dtype: Any) -> bool:
    try:
        np.array(value, dtype)
    except OverflowError:
        return False
    return True


def _plain_objects(values: list[Any]) -> Array:
    if any(isinstance(value, list | dict) for value in values):
        raise ClientError(STRUCTURE)
    return _objects(values)


def _objects(values: Sequence[Any]) -> Array:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
