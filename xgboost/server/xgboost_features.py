"""From a request to the numbers that a booster takes: columns, categories, missing values."""

import json
import logging
import math
import re
import reprlib
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from xgboost import Booster
from xgboost_file import Loaded

from prepackaged import ClientError, Column, Columns
from prepackaged.arrays import Array
from prepackaged.signature import Kind

logger = logging.getLogger(__name__)

# XGBoost's types of columns; it computes in 32 bits, so that wider floats are these, too.
KINDS: dict[str, Kind] = {
    "float": "float32",
    "q": "float32",
    "int": "int64",
    "i": "bool",
    "c": "category",
}
LARGEST = float(np.finfo(np.float32).max)  # XGBoost computes in 32 bits
NUMBERS = "biuf"  # numpy's kinds of dtype
SHOWN = 20  # labels in an error


class Features:
    """The columns that a booster was trained on, and the codes of their categories.

    A categorical column takes labels where the booster knows them, else their codes.
    """

    def __init__(self, loaded: Loaded) -> None:
        self.missing = loaded.missing
        self.inputs = _inputs(loaded)
        self.columns = Columns.of(self.inputs)
        kinds = [each.kind for each in self.inputs]
        self.categorical = [number for number, kind in enumerate(kinds) if kind == "category"]
        self.codes = {
            number: {label: float(code) for code, label in enumerate(each.categories)}
            for number, each in enumerate(self.inputs)
            if each.categories is not None
        }

    def rows(self, X: Any, names: Iterable[str] | None) -> Array:
        """The request's rows [n, features] as numbers, columns in the order of training.

        Raises `ClientError` for what `Columns` refuses, text where a number belongs, an unknown
        category, and a number beyond 32-bit floating point.
        """
        table = self.columns.array(X, names)
        if self.categorical or table.dtype.kind not in NUMBERS:
            table = np.column_stack([self._column(table, at) for at in range(table.shape[1])])
        too_large = np.abs(table) > LARGEST
        if too_large.any() and not math.isinf(self.missing):
            row, column = np.argwhere(too_large)[0].tolist()
            raise self._wrong("a number within 32 bits", row, column, table[row, column].item())
        return table

    def labels(self) -> dict[str, list[Any]]:
        """The labels of each categorical column, where the booster knows them."""
        names = self.columns.names
        return {names[at] if names else str(at): [*codes] for at, codes in self.codes.items()}

    def _column(self, table: Array, column: int) -> Array:
        is_category = column in self.categorical
        if not is_category and table.dtype.kind in NUMBERS:
            return table[:, column]
        numbers = np.empty(len(table))
        for row, value in enumerate(table[:, column].tolist()):
            try:
                numbers[row] = self._code(value, column) if is_category else value
            except (KeyError, OverflowError, TypeError, ValueError):
                raise self._wrong(self._expected(column), row, column, value) from None
        return numbers

    def _code(self, value: Any, column: int) -> float:
        if value != value or value == self.missing:
            return math.nan
        if column in self.codes:
            return self.codes[column][value]
        if float(value) < 0 or float(value) % 1:
            raise ValueError
        return float(value)

    def _expected(self, column: int) -> str:
        if column not in self.categorical:
            return "a number"
        if column not in self.codes:
            return "the code of a category, 0 for the first (the model knows no labels)"
        labels = [repr(label) for label in self.codes[column]]
        more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
        return f"one of {', '.join(labels[:SHOWN])}{more}"

    def _wrong(self, expected: str, row: int, column: int, value: Any) -> ClientError:
        name = f" ({self.columns.names[column]})" if self.columns.names else ""
        shown = reprlib.repr(value)
        return ClientError(f"expected {expected}; row {row}, column {column}{name} is {shown}")


def _inputs(loaded: Loaded) -> tuple[Column, ...]:
    """The columns as far as the booster knows them: those of a DataFrame have names and types."""
    booster, count = loaded.booster, loaded.booster.num_features()
    names = booster.feature_names or [None] * count
    kinds = [KINDS.get(each, "any") for each in booster.feature_types or [""] * count]
    labels = _labels(booster, [number for number, kind in enumerate(kinds) if kind == "category"])
    return tuple(
        Column(name, kind, tuple(labels[number]) if number in labels else None, loaded.missing)
        for number, (name, kind) in enumerate(zip(names, kinds, strict=True))
    )


def _labels(booster: Booster, categorical: list[int]) -> dict[int, list[Any]]:
    """By column the labels in the order of their codes, which boosters of DataFrames have."""
    if not categorical:
        return {}
    text = booster.save_raw("json")  # XGBoost's own way to them needs pyarrow
    stored = re.search(rb'"cats":(\{.*?\}),"gbtree_model_param"', text)
    encoded = json.loads(stored[1])["enc"] if stored else []
    found = {number: _decoded(encoded[number]) for number in categorical if encoded}
    if damaged := [number for number, labels in found.items() if labels is None]:
        logger.warning("XGBoost damaged the labels of categorical columns %s: send codes", damaged)
    return {number: labels for number, labels in found.items() if labels is not None}


def _decoded(column: dict[str, list[int]]) -> list[Any] | None:
    if "offsets" not in column:
        return column["values"]
    # XGBoost 3.1 to 3.3 cuts other than ASCII labels of pandas in the wrong places.
    if min(column["values"], default=0) < 0:
        return None
    text = bytes(column["values"]).decode("ascii")
    return [text[start:end] for start, end in pairwise(column["offsets"])]
