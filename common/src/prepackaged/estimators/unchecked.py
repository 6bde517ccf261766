"""Run common scikit-learn steps without the checks of their input.

For a few rows, the checks take nearly all of a step's time, 0.1 to 0.5 ms per step. The functions
here compute the same as the steps for usual values, in the same order. They pass anything else,
such as infinity, another dtype or an unexpected missing value, to the step itself, whose checks
then refuse or convert it. `Compiled` checks that the answers are bit-identical.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model._base import LinearClassifierMixin, LinearModel
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from prepackaged.arrays import Array
from prepackaged.cells import is_null
from prepackaged.estimators.steps import has_own_methods

Call = Callable[[Any], Any]

FLOAT = np.dtype(np.float64)
OBJECT = np.dtype(object)
UNKNOWN = -1  # the code of a category that did not occur in training
MOST_CELLS = 1 << 20  # the most cells of a sparse matrix that is made dense for trees
FOREST_CLASSIFIERS = RandomForestClassifier | ExtraTreesClassifier
FOREST_REGRESSORS = RandomForestRegressor | ExtraTreesRegressor


def transform_of(step: Any) -> Call:
    """The step's `transform`, without checks if possible."""
    make = TRANSFORMS.get(type(step))
    quick: Call | None = make(step) if make else None
    return quick or step.transform


def method_of(model: Any, method: str) -> Call:
    """A method of a pipeline's last step as a function of arrays, without checks if possible."""
    quick = copy.copy(model)
    if isinstance(model, FOREST_CLASSIFIERS | FOREST_REGRESSORS) and not has_own_methods(model):
        _give_forest(quick, model)
    elif isinstance(model, LinearClassifierMixin | LinearModel):
        _give_scores(quick, model)
    call: Call = getattr(quick, method)
    return call


def joined(parts: list[Any]) -> Any:
    """Arrays and CSR matrices side by side, as one CSR matrix."""
    return sparse.hstack([_as_csr(part) for part in parts], format="csr")


def _as_csr(part: Any) -> Any:
    if sparse.issparse(part) or part.dtype.kind not in "fiub":
        return part
    rows, width = part.shape
    indices = np.tile(np.arange(width, dtype=np.int32), rows)
    indptr = np.arange(0, rows * width + 1, width, dtype=np.int32)
    return sparse.csr_matrix((part.ravel(), indices, indptr), part.shape)


def _imputing(imputer: SimpleImputer) -> Call | None:
    """The transform of a SimpleImputer for floats or objects, with NaN as missing value."""
    substitutes, dtype = imputer.statistics_, imputer._fit_dtype
    marker = imputer.missing_values
    is_usual = isinstance(marker, float) and is_null(marker) and dtype in (FLOAT, OBJECT)
    if not is_usual or imputer.add_indicator or any(map(is_null, substitutes.tolist())):
        return None

    def transform(rows: Array) -> Any:
        if rows.dtype != dtype or (dtype == FLOAT and np.isinf(rows).any()):
            return imputer.transform(rows)
        missing = np.not_equal(rows, rows)
        return np.where(missing, substitutes, rows) if missing.any() else rows

    return transform


def _scaling(scaler: StandardScaler) -> Call:
    mean = scaler.mean_ if scaler.with_mean else None
    scale = scaler.scale_

    def transform(rows: Any) -> Any:
        if sparse.issparse(rows) or rows.dtype != FLOAT or np.isinf(rows).any():
            return scaler.transform(rows)
        centred = rows if mean is None else rows - mean
        return centred if scale is None else centred / scale

    return transform


def _encoding(encoder: OneHotEncoder) -> Call | None:
    """The transform of a OneHotEncoder that ignores unknown categories and drops none."""
    categories = encoder.categories_
    is_plain = encoder.handle_unknown == "ignore" and encoder._drop_idx_after_grouping is None
    has_rest = getattr(encoder, "_infrequent_enabled", False)
    if not is_plain or has_rest or any(each.dtype != OBJECT for each in categories):
        return None
    ends = np.cumsum([0, *map(len, categories)]).tolist()
    codes = [
        {_key(value): code for code, value in enumerate(values.tolist(), start=start)}
        for values, start in zip(categories, ends, strict=False)
    ]

    def transform(rows: Array) -> Any:
        if rows.dtype != OBJECT:
            return encoder.transform(rows)
        found = [
            [known.get(_key(value), UNKNOWN) for value in column]
            for known, column in zip(codes, rows.T.tolist(), strict=True)
        ]
        encoded = _ones_at(np.array(found).T, ends[-1], encoder.dtype)
        return encoded if encoder.sparse_output else encoded.toarray()

    return transform


def _key(value: Any) -> Any:
    """The key for looking up a category; NaN needs another one, as it is not equal to itself."""
    return value if value == value else float


def _ones_at(places: Array, width: int, dtype: Any) -> Any:
    """A CSR matrix with ones at these positions of each row, except where they are UNKNOWN."""
    is_known = places != UNKNOWN
    indices = places[is_known]
    indptr = np.zeros(len(places) + 1, dtype=np.int32)
    np.cumsum(is_known.sum(axis=1), out=indptr[1:])
    ones = np.ones(len(indices), dtype)
    return sparse.csr_matrix((ones, indices.astype(np.int32), indptr), (len(places), width))


TRANSFORMS: dict[type, Callable[[Any], Call | None]] = {
    SimpleImputer: _imputing,
    StandardScaler: _scaling,
    OneHotEncoder: _encoding,
}


def _give_scores(quick: Any, model: Any) -> None:
    """Replace a linear model's score function, which all its methods use, by an unchecked one."""
    is_classifier = isinstance(model, LinearClassifierMixin)
    name = "decision_function" if is_classifier else "_decision_function"
    if getattr(type(model), name) not in (
        LinearClassifierMixin.decision_function,
        LinearModel._decision_function,
    ):
        return
    own, weights, intercept = getattr(model, name), model.coef_.T, model.intercept_

    def scores(rows: Any) -> Any:
        values = rows.data if sparse.issparse(rows) else rows
        if values.dtype != FLOAT or not np.isfinite(values).all():
            return own(rows)
        products = rows @ weights + intercept
        is_column = is_classifier and products.ndim > 1 and products.shape[1] == 1
        return products.reshape(-1) if is_column else products

    setattr(quick, name, scores)


def _give_forest(quick: Any, model: Any) -> None:
    """Let a forest sum the results of its trees without joblib's scheduler."""
    if model.n_outputs_ != 1 or model.n_jobs not in (None, 1):
        return
    name = "predict_proba" if isinstance(model, FOREST_CLASSIFIERS) else "predict"
    own = getattr(model, name)
    trees = [each.tree_ for each in model.estimators_]
    leaves = [tree.value[:, 0, :] for tree in trees]

    def mean(rows: Any) -> Any:
        numbers = _for_trees(rows)
        if numbers is None:
            return own(rows)
        total = np.zeros((len(numbers), leaves[0].shape[1]))
        for tree, values in zip(trees, leaves, strict=True):
            total += values.take(tree.apply(numbers), axis=0)
        total /= len(trees)
        return total if name == "predict_proba" else total[:, 0]

    setattr(quick, name, mean)


def _for_trees(rows: Any) -> Array | None:
    """The rows as the 32-bit numbers that trees use; None if a number does not fit."""
    if sparse.issparse(rows):
        if np.prod(rows.shape) > MOST_CELLS:
            return None
        rows = rows.toarray()
    if rows.dtype != FLOAT:
        return None
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(rows, np.float32)
    return numbers if np.isfinite(numbers).all() else None
