"""Convert a request's payload to the table that a framework needs, or raise `ClientError`.

A payload is what `predict` gets: an ndarray (`data`), a string (`strData`), bytes (`binData`) or
a JSON value (`jsonData`). The module `sheets` decides which of these are tables.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from prepackaged.arrays import Array, count_words, packed_numbers
from prepackaged.casting import ABSENT, Values, cast
from prepackaged.column_names import names_are_unknown, wrong_names
from prepackaged.errors import ClientError
from prepackaged.frames import frame_of
from prepackaged.records import plain_arrays, record_in
from prepackaged.sheets import Sheet, numbered_places, read_sheet
from prepackaged.signature import Column, Facts

if TYPE_CHECKING:
    from pandas import DataFrame

NUMBERS = "biuf"  # numpy's dtype kinds for numbers
# Dtypes of the array if all columns have the same kind; object means that numbers stay unchanged.
DTYPES: dict[str, Any] = dict(zip(("float64", "float32", "any"), map(np.dtype, "dfO"), strict=True))
MOMENTS = np.dtype("datetime64[ns]")
LEFT_OUT = -1  # the position of a column that the request does not contain


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The rows of a request, cast by column: the result of `Columns.table`.

    `facts` describe the columns that the model uses; `arrays` are their values, one array of shape
    [rows] for each column.

    >>> table = Columns(names=("area", "city")).table([{"city": "Taipei", "area": 85}])
    >>> len(table), [fact.name for fact in table.facts]
    (1, ['area', 'city'])
    >>> table.array()
    array([[85, 'Taipei']], dtype=object)
    """

    facts: tuple[Column, ...]
    arrays: tuple[Array, ...]

    def __len__(self) -> int:
        return len(self.arrays[0])

    @property
    def batch_key(self) -> Hashable:
        """The names and types of the columns: tables with equal keys can be stacked."""
        names = tuple(fact.name for fact in self.facts)
        return names, tuple(map(_key, self.facts, self.arrays))

    def stacked(self, others: "Sequence[Table]") -> "Table":
        """The rows of this table, followed by those of other tables with the same `batch_key`."""
        stacks = zip(self.arrays, *(other.arrays for other in others), strict=True)
        return Table(self.facts, tuple(map(np.concatenate, stacks)))

    def array(self) -> Array:
        """The values as an array [rows, columns]; its dtype is object if a column has text."""
        dtypes = {array.dtype for array in self.arrays}
        if all(dtype.kind in NUMBERS for dtype in dtypes) or dtypes == {MOMENTS}:
            return np.column_stack(self.arrays)
        columns = map(_objects_of, self.facts, self.arrays)
        objects = np.column_stack(list(columns))
        is_packed = not any(fact.is_of_objects for fact in self.facts)
        if is_packed and all(isinstance(value, Real) for value in objects.flat):
            return packed_numbers(objects.tolist())
        return objects

    def frame(self) -> "DataFrame":
        """A pandas DataFrame with the columns' names and a dtype for each column."""
        return frame_of(self.facts, self.arrays)


@dataclass(frozen=True)
class Columns:
    """The columns that a model was trained on.

    `names` are the names in the order of training, or None if the model knows no names. `count` is
    the number of columns, or None if it is unknown. `facts` describe each column in detail. Unknown
    columns in a request are ignored or, if `allow_extra` is False, cause a `ClientError`.

    >>> columns = Columns(names=("area", "rooms"))
    >>> columns.array([{"rooms": 2, "area": 100.0}])
    array([[100.,   2.]])
    >>> columns.array([{"rooms": 2}])
    Traceback (most recent call last):
    prepackaged.errors.WrongNamesError: column names are wrong: missing: area; expected area, rooms
    """

    names: tuple[str, ...] | None = None
    count: int | None = None
    facts: tuple[Column, ...] | None = field(default=None, compare=False)
    allow_extra: bool = True

    @classmethod
    def of(cls, inputs: Facts | None, *, allow_extra: bool = True) -> "Columns":
        """The columns in the `inputs` of a signature; if these are None, any number of columns.

        >>> Columns.of((Column("area"), Column("rooms"))).names
        ('area', 'rooms')
        """
        facts = tuple(each for each in inputs or () if isinstance(each, Column))
        names = tuple(each.name for each in facts if each.name is not None)
        is_named = bool(names) and len(names) == len(facts)
        count = None if inputs is None else len(inputs)
        return cls(names if is_named else None, count, facts or None, allow_extra)

    def array(self, payload: Any, names: Iterable[str] | None = None) -> Array:
        """The payload as an array of shape [rows, columns], columns in the order of training.

        Numbers become a numeric array, in which null is NaN. If any value is text, the result is an
        array of objects with unchanged values. Columns that the model does not use are left out.
        Raises `ClientError` for a payload without rows, rows of unequal length, a wrong number of
        columns, missing names, and values that do not fit their column.

        >>> import numpy as np
        >>> Columns(count=2).array(np.array([[1, 2], [3, 4]]))
        array([[1, 2],
               [3, 4]])
        """
        array = self.numbers(payload, names) if isinstance(payload, np.ndarray) else None
        if array is not None:
            return array
        sheet = read_sheet(payload, names)
        if sheet.is_by_name and not (self.names or self._known):
            raise names_are_unknown(sheet.names)
        return self._table(sheet).array()

    def numbers(self, array: Array, names: Iterable[str] | None = None) -> Array | None:
        """Fast path of `array` for numbers in the order of training; None for other payloads."""
        dtype, width = self._one_dtype
        if dtype is None or array.ndim != 2 or not array.size or self._chooses(names):
            return None
        if array.dtype.kind not in NUMBERS or (width and array.shape[1] != width):
            return None
        if array.dtype is not dtype and dtype.kind != "O":
            array = array.astype(dtype)
        if self._refuses_null:
            values = array.ravel()
            if math.isnan(values.dot(values)):  # NaN if any value is; the slow path finds it
                return None
        return array

    def _chooses(self, names: Iterable[str] | None) -> bool:
        """Whether the request's names may determine the order of the columns."""
        is_numbered = isinstance(names, list) and bool(names) and str(names[0]).isdecimal()
        return bool(names) and (bool(self.names) or is_numbered)

    def frame(self, payload: Any, names: Iterable[str] | None = None) -> "DataFrame":
        """The payload as a pandas DataFrame with the names of training and a dtype per column.

        Raises `ClientError` like `array`.
        """
        return self.table(payload, names).frame()

    def table(self, payload: Any, names: Iterable[str] | None = None) -> Table:
        """The payload with each column cast to its type.

        If the model's columns are unknown, the table has the names of the request. Raises
        `ClientError` like `array`.
        """
        record = record_in(payload) if self._is_plain else None
        if record is not None and len(record) == len(self._known):
            arrays = plain_arrays(record, self._known)
            if arrays is not None:
                return Table(self._known, tuple(arrays))
        return self._table(read_sheet(payload, names))

    def _table(self, sheet: Sheet) -> Table:
        facts = self._known or tuple(map(Column, sheet.names or (None,) * sheet.width))
        places = self._places(sheet)
        used = [(fact, place) for fact, place in zip(facts, places, strict=True) if fact.used]
        arrays = (
            cast(
                self._values(sheet, place),
                fact,
                str(place) if fact.name is None else repr(fact.name),
            )
            for fact, place in used
        )
        return Table(self.used if self._known else facts, tuple(arrays))

    def _values(self, sheet: Sheet, place: int) -> Values:
        """A column's values; if the columns are unknown, null where a record lacks one."""
        values = [None] * sheet.rows if place == LEFT_OUT else sheet.values(place)
        if self._known or isinstance(values, np.ndarray):
            return values
        return [None if value is ABSENT else value for value in values]

    @cached_property
    def _known(self) -> tuple[Column, ...]:
        if self.facts:
            return self.facts
        return tuple(map(Column, self.names or (None,) * (self.count or 0)))

    @cached_property
    def used(self) -> tuple[Column, ...]:
        """The columns that the model uses, in the order of training."""
        return tuple(fact for fact in self._known if fact.used)

    @cached_property
    def _is_plain(self) -> bool:
        """Whether all columns have names and are used, so that a record has exactly these names."""
        return bool(self.names) and all(fact.name and fact.used for fact in self._known)

    @cached_property
    def _one_dtype(self) -> tuple[np.dtype[Any] | None, int]:
        """The common dtype of all columns and their number; 0 means any number.

        The dtype is object if numbers stay unchanged, and None if columns differ or some are
        unused.
        """
        kinds = {fact.kind for fact in self._known} or {"any"}
        is_one = len(kinds) == 1 and len(self.used) == len(self._known)
        is_one = is_one and not any(fact.is_of_objects for fact in self._known)
        kind = next(iter(kinds & DTYPES.keys()), None) if is_one else None
        return DTYPES[kind] if kind else None, len(self._known)

    @cached_property
    def _refuses_null(self) -> bool:
        return not all(fact.nullable for fact in self.used)

    def _places(self, sheet: Sheet) -> Sequence[int]:
        """The position in the sheet of each known column; all positions if columns are unknown."""
        if sheet.names is not None and self.names:
            return self._places_by_name(sheet.names, sheet.width, self.names)
        numbered = numbered_places(sheet) if self._known else None
        if sheet.is_by_name and self._known and numbered is None:
            raise names_are_unknown(sheet.names)
        if self._known and sheet.width != len(self._known):
            raise ClientError(
                f"expected rows of {count_words(len(self._known))}, got rows of {sheet.width}"
                f" (shape {[sheet.rows, sheet.width]})"
            )
        return numbered or range(sheet.width)

    def _places_by_name(
        self, sent: Sequence[str], width: int, names: tuple[str, ...]
    ) -> Sequence[int]:
        if len(sent) != width:
            raise ClientError(
                f"expected one name for each column, got {len(sent)} names, {width} columns"
            )
        place = {name: number for number, name in enumerate(sent)}
        needed = [fact.name for fact in self.used if not fact.optional]
        missing = [name for name in needed if name not in place]
        extra = len(place) > len(names) or not place.keys() <= set(names)
        if missing or len(place) < len(sent) or (extra and not self.allow_extra):
            raise wrong_names(sent, names, [name for name in missing if name is not None])
        return [place.get(name, LEFT_OUT) for name in names]


def _key(fact: Column, array: Array) -> Hashable:
    """The dtype; for an unknown column, the types of its values, which pandas examines."""
    if array.dtype == object and fact.kind == "any":
        return frozenset(map(type, array))
    return array.dtype


def _objects_of(fact: Column, array: Array) -> Array:
    """A column as objects, with NaN for null unless the column's missing value is None."""
    if array.dtype.kind == "M":  # nanoseconds would become integers
        array = array.astype("datetime64[us]")
    objects = array.astype(object)
    if fact.kind == "any" and fact.missing is not None:
        objects[objects == np.array(None)] = np.nan
    return objects


def texts(payload: Any) -> list[str] | None:
    """The payload as a list of strings, one for each document; None for any other payload.

    Accepts a string, a list of strings, and a table of strings with a single column.

    >>> texts("good food"), texts([["good food"], ["bad food"]]), texts([1, 2])
    (['good food'], ['good food', 'bad food'], None)
    """
    if isinstance(payload, str):
        return [payload]
    if not isinstance(payload, list | np.ndarray):
        return None
    values = np.array(payload, dtype=object)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 1 and values.size and all(isinstance(value, str) for value in values):
        return [str(value) for value in values]
    return None
