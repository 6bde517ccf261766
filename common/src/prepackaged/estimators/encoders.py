"""Read the facts about columns that encoders and imputers keep."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.preprocessing import OrdinalEncoder

from prepackaged.cells import LARGEST_EXACT, is_null
from prepackaged.estimators.facts import ANY, Facts, aligned
from prepackaged.signature import NO_CATEGORIES, UNKNOWN, Column, Kind

MOST_CATEGORIES = 1000  # the most categories; with more, any value is allowed
PLAIN = str | bool | int | float | np.integer | np.floating | np.bool_  # types that JSON has
KINDS: dict[str, Kind] = {"i": "int64", "u": "int64", "f": "float64", "b": "bool"}


def of_encoder(encoder: Any, behind: Facts, count: int) -> Facts:
    """The facts about the columns of an encoder, with its categories."""
    is_open = getattr(encoder, "handle_unknown", "") != "error"
    takes_nan = all(fact.nullable for fact in behind)
    del count  # there is one list of categories per column
    return [
        encoded(values, may_be_null=takes_nan or not _passes_nan(encoder, values), is_open=is_open)
        for values in encoder.categories_
    ]


def _passes_nan(encoder: Any, categories: Any) -> bool:
    """Whether the encoder passes a missing value to later steps as NaN.

    An OrdinalEncoder treats None, unlike NaN, as an ordinary category if it occurred in training.
    """
    known = [value for value in categories.tolist() if is_null(value)]
    if not isinstance(encoder, OrdinalEncoder) or None in known:
        return False
    encoded_missing = getattr(encoder, "encoded_missing_value", None)  # since scikit-learn 1.1
    return is_null(encoded_missing if known else encoder.unknown_value)


def encoded(values: Any, *, may_be_null: bool, is_open: bool) -> Column:
    """A column with these categories, the last of which may be the missing value."""
    if values.dtype.kind == "M":
        may_be_null = may_be_null and (is_open or bool(np.isnat(values).any()))
        return Column(kind="datetime", nullable=may_be_null, open=is_open)
    known = [value for value in values.tolist() if not is_null(value)]
    missing = next((value for value in values.tolist() if is_null(value)), UNKNOWN)
    is_plain = all(isinstance(value, PLAIN) for value in known)
    kind = kind_of(known, values.dtype) if is_plain else "any"
    is_of_numbers = values.dtype == object and kind != "text"
    return Column(
        kind=kind,
        categories=_categories(known, is_of_numbers=is_of_numbers) if is_plain else NO_CATEGORIES,
        missing=None if is_of_numbers and missing is UNKNOWN else missing,
        nullable=may_be_null and (is_open or missing is not UNKNOWN),
        open=is_plain and (is_open or len(known) > MOST_CATEGORIES),
    )


def _categories(known: list[Any], *, is_of_numbers: bool) -> tuple[Any, ...] | None:
    """The categories; if there are too many, only that numbers were objects in training."""
    if len(known) <= MOST_CATEGORIES:
        return tuple(known)
    return NO_CATEGORIES if is_of_numbers else None


def kind_of(values: Sequence[Any], dtype: Any = None) -> Kind:
    """The kind of a column with these values."""
    if dtype is not None and dtype.kind in KINDS:
        return _number_kind(values, dtype)
    types = set(map(type, values))
    if types == {str}:
        return "text"
    return "bool" if types == {bool} else "any"


def _number_kind(values: Sequence[Any], dtype: Any) -> Kind:
    if dtype == np.float32:
        return "float32"
    is_beyond = dtype.kind == "u" and max(values, default=0) >= LARGEST_EXACT
    return "any" if is_beyond else KINDS[dtype.kind]


def of_imputer(imputer: Any, behind: Facts, count: int) -> Facts:
    """The facts about the columns of an imputer: those of later steps, with its missing value."""
    known = aligned(behind, count)
    if imputer.add_indicator and len(behind) != count:
        known = (behind[:count] + [ANY] * count)[:count]
    return [
        _imputed(imputer, fact, statistic)
        for fact, statistic in zip(known, imputer.statistics_, strict=True)
    ]


def _imputed(imputer: Any, behind: Column, statistic: Any) -> Column:
    marker = imputer.missing_values
    dtype = getattr(imputer, "_fit_dtype", None)
    kind = behind.kind
    if dtype is not None and dtype.kind not in "OU":
        trained: Kind = "float32" if dtype == np.float32 else "float64"
        kind = kind if kind in ("int64", "float32") else trained
    elif marker is None and kind in ("float64", "float32", "int64"):
        kind = "any"  # numbers with None among them have dtype object
    elif kind == "any" and behind.categories is None and not is_null(statistic):
        kind = kind_of([statistic])
    fills_null = is_null(marker) or type(marker).__name__ == "NAType"
    missing = (None if marker is None else np.nan) if fills_null else UNKNOWN
    return replace(
        behind,
        kind=kind,
        # If the next step knows a missing value, the imputer has let it pass.
        missing=missing if behind.missing is UNKNOWN else behind.missing,
        nullable=fills_null,
        open=behind.open or not fills_null,  # the marker is not a category
        value_range=behind.value_range if fills_null else None,  # nor is it in the range
        used=True,  # the imputer requires all columns of training
    )
