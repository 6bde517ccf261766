"""Convert columns to a pandas DataFrame; imports pandas on first use, as some images lack it."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from prepackaged.arrays import Array
from prepackaged.signature import Column

if TYPE_CHECKING:
    from pandas import DataFrame


def frame_of(facts: Sequence[Column], arrays: Sequence[Array]) -> "DataFrame":
    """A DataFrame of the columns' arrays, each [rows]; columns without a name get a number.

    Text has pandas' dtype for text, or object if None meant "no value" in training, because object
    keeps None. A column with categories is categorical.
    """
    from pandas import DataFrame

    series = {number: _series(*each) for number, each in enumerate(zip(facts, arrays, strict=True))}
    frame = DataFrame(series, copy=False)
    if all(fact.name is not None for fact in facts):
        frame.columns = [fact.name for fact in facts]
    return frame


def _series(fact: Column, array: Array) -> Any:
    from pandas import Categorical, Series

    if fact.kind == "category" and fact.categories is not None:
        codes = {category: code for code, category in enumerate(fact.categories)}
        known = [codes.get(value, -1) for value in array.tolist()]  # -1 is pandas' missing value
        return Series(Categorical.from_codes(known, categories=list(fact.categories)))
    if array.dtype != object or (fact.kind == "any" and not fact.is_of_objects):
        return Series(array)
    keeps_none = fact.missing is None or fact.kind != "text"
    return Series(array, dtype=object if keeps_none else _text_dtype())


@cache
def _text_dtype() -> Any:
    """The dtype that this pandas gives to text: object before version 3."""
    from pandas import Series

    return Series(["text"]).dtype
