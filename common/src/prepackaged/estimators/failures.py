"""Decide whether the data or the model caused an estimator's failure."""

import logging
import re
import traceback
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from prepackaged.cells import find_cell, shown
from prepackaged.errors import ClientError, ModelError, describe
from prepackaged.estimators.boosters import CATBOOST, LIGHTGBM
from prepackaged.signature import UNKNOWN
from prepackaged.tables import Table

logger = logging.getLogger(__name__)

# Packages whose ValueError means invalid data, not a mistake in an author's own step.
VALIDATING_PACKAGES = {"sklearn", "numpy", "scipy", "pandas", "xgboost", LIGHTGBM}


def blame(error: Exception, rows: Any, advice: str = "") -> ClientError | ModelError:
    """The error to raise: a `ClientError` if scikit-learn's own checks refused the data.

    `advice` is added if another version saved the model, because that may be the cause.
    """
    if _is_of_data(error):
        why = describe(error).rstrip(".:")
        return ClientError(f"the model refuses the data: {why}{_cell_at_fault(error, rows)}")
    logger.error("The model failed", exc_info=error)
    why = f"the model failed: {describe(error)}"
    return ModelError("; ".join(filter(None, (why, advice))))


def _is_of_data(error: Exception) -> bool:
    if _innermost_package(error) == CATBOOST:  # whatever the type: it refuses a value
        return True
    return isinstance(error, ValueError) and _innermost_package(error) in VALIDATING_PACKAGES


def _innermost_package(error: Exception) -> str:
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _cell_at_fault(error: Exception, rows: Any) -> str:
    """A sentence that locates, in the request, the value that scikit-learn's message is about."""
    if text := re.search(r"could not convert string to float: .*?'(.*)'", str(error)):
        return _found(rows, lambda value: value == text[1])
    if "NaN" in str(error) or "infinity" in str(error):
        return _found(rows, _is_not_finite)
    return ""


def _found(rows: Any, is_wrong: Callable[[Any], bool]) -> str:
    """The first wrong cell, in columns that are not known to allow missing values."""
    if isinstance(rows, Table):
        suspects = [
            (fact.label(place), array)
            for place, (fact, array) in enumerate(zip(rows.facts, rows.arrays, strict=True))
            if fact.missing is UNKNOWN
        ]
        cells = zip(*(array.tolist() for _, array in suspects), strict=True)
        cell, labels = find_cell(list(cells), is_wrong), [label for label, _ in suspects]
    else:
        cell, labels = find_cell(rows, is_wrong), None
    if cell is None:
        return ""
    row, column, value = cell
    return f"; row {row}, column {labels[column] if labels else column} is {shown(value)}"


def _is_not_finite(value: Any) -> bool:
    # Trees convert to float32, in which a larger number is infinite; NaN compares false.
    return isinstance(value, Real) and not abs(float(value)) <= np.finfo(np.float32).max
