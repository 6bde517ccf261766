"""Convert the rows of a request to a booster's features: columns, categories, missing values."""

import json
import logging
import math
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from xgboost import Booster, XGBModel
from xgboost_file import Loaded

from prepackaged import ClientError, Column, Columns, Table
from prepackaged.arrays import Array
from prepackaged.casting import expected
from prepackaged.cells import is_null, shown
from prepackaged.estimators.columns import READERS
from prepackaged.estimators.ranges import Ranges, far_from
from prepackaged.estimators.steps import has_own_methods
from prepackaged.signature import Kind

logger = logging.getLogger(__name__)

# XGBoost's column types. It computes in float32, so wider floats become float32 as well.
KINDS: dict[str, Kind] = {
    "float": "float32",
    "q": "float32",
    "int": "int64",
    "i": "bool",
    "c": "category",
}
LARGEST = float(np.finfo(np.float32).max)  # XGBoost computes in float32
MOST_TREES = 100  # the most trees read for ranges, which takes half a second for large trees


class Features:
    """The columns that a booster was trained on, and the codes of their categories.

    A categorical column accepts labels if the booster knows them, else codes. If `allow_extra` is
    true, unknown columns of a request are ignored, else refused.
    """

    def __init__(self, loaded: Loaded, *, allow_extra: bool = True) -> None:
        self.missing = loaded.missing
        self.inputs = _inputs(loaded)
        casts = tuple(replace(each, kind=_cast_kind(each)) for each in self.inputs)
        self.columns = Columns.of(casts, allow_extra=allow_extra)
        self.has_categories = any(each.kind == "category" for each in self.inputs)
        self.codes = {
            number: {label: float(code) for code, label in enumerate(each.categories)}
            for number, each in enumerate(self.inputs)
            if each.categories is not None
        }

    def prepare(self, X: Any, names: Iterable[str] | None = None) -> Array | Table:
        """Return the rows as numbers: columns in training order, categories as codes.

        The result is a `Table` if the booster has categorical columns, else an array of shape
        [rows, columns]. Raises `ClientError` for rows that `Columns` refuses, for an unknown
        category, and for a number that is too large for float32.
        """
        if isinstance(X, Table):
            return X
        if not self.has_categories:
            array = self.columns.array(X, names)
            self._check_size(array)
            return array
        table = self.columns.table(X, names)
        columns = enumerate(zip(table.facts, table.arrays, strict=True))
        coded = [
            self._coded(array, place) if fact.kind == "category" else array
            for place, (fact, array) in columns
        ]
        self._check_size(np.column_stack(coded))
        return Table(table.facts, tuple(coded))

    def labels(self) -> dict[str, list[Any]]:
        """The labels of each categorical column whose labels the booster knows.

        The keys are the columns' names or, if it has none, their positions as text.
        """
        names = self.columns.names
        return {names[at] if names else str(at): [*codes] for at, codes in self.codes.items()}

    def _coded(self, values: Array, place: int) -> Array:
        codes = np.empty(len(values))
        for row, value in enumerate(values.tolist()):
            try:
                codes[row] = self._code(value, place)
            except (KeyError, OverflowError, TypeError, ValueError):
                raise self._wrong(self._expected(place), row, place, value) from None
        return codes

    def _code(self, value: Any, place: int) -> float:
        if is_null(value) or value == self.missing:
            return math.nan
        if place in self.codes:
            return self.codes[place][value]
        if float(value) < 0 or float(value) % 1:
            raise ValueError
        return float(value)

    def _expected(self, place: int) -> str:
        if place not in self.codes:
            return "the code of a category, 0 for the first (the model knows no labels)"
        return expected(replace(self.inputs[place], open=False))

    def _check_size(self, table: Array) -> None:
        too_large = np.abs(table) > LARGEST
        if too_large.any() and not math.isinf(self.missing):
            row, place = np.argwhere(too_large)[0].tolist()
            raise self._wrong("a number within 32 bits", row, place, table[row, place].item())

    def _wrong(self, wanted: str, row: int, place: int, value: Any) -> ClientError:
        label = self.inputs[place].label(place)
        return ClientError(f"row {row}, column {label}: expected {wanted}, got {shown(value)}")


def _cast_kind(column: Column) -> Kind:
    """`category` for a categorical column, else `float64`: a booster accepts any number."""
    return "category" if column.kind == "category" else "float64"


def columns_of_wrapper(model: XGBModel, behind: list[Column], count: int) -> list[Column]:
    """The columns of a wrapper inside a pipeline, with the labels of pandas categories.

    Returns `count` columns without facts if the wrapper has another number of them or does not
    know all labels. Unknown labels are refused, because pandas would convert them to missing
    values. If an author's own methods get the numbers, they stay unchanged.
    """
    del behind  # a wrapper passes nothing on
    found = _inputs(Loaded(model.get_booster(), missing=model.missing))
    known = [each.kind != "category" or each.categories is not None for each in found]
    columns = [
        replace(each, name=None, kind=_cast_kind(each), missing=math.nan, open=False)
        for each in found
    ]
    if has_own_methods(model):
        columns = [each if each.kind == "category" else Column() for each in columns]
    return columns if all(known) and len(found) == count else [Column()] * count


READERS[XGBModel] = columns_of_wrapper


def _inputs(loaded: Loaded) -> tuple[Column, ...]:
    """The columns as the booster describes them; it has names and types only from a DataFrame."""
    booster, count = loaded.booster, loaded.booster.num_features()
    names = booster.feature_names or [None] * count
    kinds = [KINDS.get(each, "any") for each in booster.feature_types or [""] * count]
    labels = _labels(booster, [number for number, kind in enumerate(kinds) if kind == "category"])
    columns = (
        Column(name, kind, tuple(labels[number]) if number in labels else None, loaded.missing)
        for number, (name, kind) in enumerate(zip(names, kinds, strict=True))
    )
    ranges = zip(columns, _ranges(booster, count), strict=True)
    return tuple(replace(column, value_range=known) for column, known in ranges)


def _ranges(booster: Booster, count: int) -> Ranges:
    """The ranges around the thresholds of the first trees; none for a booster without trees."""
    if not (trees := _first_trees(booster)):
        return [None] * count
    numbers = ("split_indices", "split_conditions", "left_children", "split_type")
    places, thresholds, children, types = (
        np.concatenate([np.array(tree[name]) for tree in trees]) for name in numbers
    )
    is_split = (children >= 0) & (types == 0)  # neither a leaf nor a set of categories
    return far_from(places[is_split], thresholds[is_split], count)


def _first_trees(booster: Booster) -> list[dict[str, Any]]:
    """The trees of the first rounds, as in XGBoost's JSON; a linear booster has none."""
    config = json.loads(booster.save_config())["learner"]["gradient_booster"]
    config = config.get("gbtree", config)  # dart's trees are one level below
    rounds = booster.num_boosted_rounds()
    if "gbtree_model_param" not in config or not rounds:
        return []
    in_a_round = int(config["gbtree_model_param"]["num_trees"]) // rounds
    few = booster[: min(rounds, max(MOST_TREES // max(in_a_round, 1), 1))]
    stored = json.loads(few.save_raw("json"))["learner"]["gradient_booster"]
    trees: list[dict[str, Any]] = stored.get("gbtree", stored)["model"]["trees"]
    return trees


def _labels(booster: Booster, categorical: list[int]) -> dict[int, list[Any]]:
    """The labels of each column, ordered by code, if the booster was trained on a DataFrame."""
    if not categorical:
        return {}
    text = booster.save_raw("json")  # XGBoost's own function for the labels needs pyarrow
    stored = re.search(rb'"cats":(\{.*?\}),"gbtree_model_param"', text)
    encoded = json.loads(stored[1])["enc"] if stored else []
    found = {number: _decoded(encoded[number]) for number in categorical if encoded}
    if damaged := [number for number, labels in found.items() if labels is None]:
        logger.warning(
            "XGBoost damaged the labels of columns %s: it only takes their codes", damaged
        )
    return {number: labels for number, labels in found.items() if labels is not None}


def _decoded(column: dict[str, list[int]]) -> list[Any] | None:
    if "offsets" not in column:
        return column["values"]
    # XGBoost 3.1 to 3.3 splits non-ASCII labels from pandas in the wrong places.
    if min(column["values"], default=0) < 0:
        return None
    text = bytes(column["values"]).decode("ascii")
    return [text[start:end] for start, end in pairwise(column["offsets"])]
