"""Read the ranges of the training data from fitted estimators.

Scalers, discretizers and nearest-neighbour models store the range itself. Trees store thresholds
between the values that they saw, so only numbers far outside the thresholds are certainly new.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, takewhile
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import KNNImputer
from sklearn.neighbors._base import NeighborsBase
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import BaseDecisionTree

from prepackaged.estimators.steps import has_own_methods, has_trees
from prepackaged.signature import Column, RangeSource, ValueRange

Ranges = list[ValueRange | None]
Numbers = npt.NDArray[np.floating[Any]]

DEVIATIONS = 6  # standard deviations around the mean; at most 1 value in 36 is further away
FEWEST_THRESHOLDS = 10  # the fewest distinct thresholds that tell the span of the values
FAR = 3  # the margin on each side of the thresholds, in multiples of their span
MOST_NODES = 1_000_000  # no further trees are read after this number of nodes
BEST_FIRST = get_args(RangeSource)
SCALERS = MinMaxScaler | StandardScaler | RobustScaler | MaxAbsScaler
BOOSTING = HistGradientBoostingClassifier | HistGradientBoostingRegressor


def with_ranges(estimator: Any, facts: Sequence[Column], behind: Sequence[Column]) -> list[Column]:
    """The facts about an estimator's input columns, with the ranges that are known.

    `behind` are the facts about its output columns; their ranges are scaled back if the estimator
    is a scaler.
    """
    if hasattr(estimator, "estimators_features_"):  # its members see columns in another order
        return [replace(fact, value_range=None) for fact in facts]
    own = ranges_of(estimator, len(facts))
    later = _scaled_back(estimator, behind) if len(behind) == len(facts) else []
    later = later or [None] * len(facts)
    return [
        replace(fact, value_range=better(better(fact.value_range, first), second))
        for fact, first, second in zip(facts, own, later, strict=True)
    ]


def better(first: ValueRange | None, second: ValueRange | None) -> ValueRange | None:
    """The range with the more exact source; for equal sources, the range that covers both."""
    if first is None or second is None:
        return first or second
    if first.source != second.source:
        return min(first, second, key=lambda each: BEST_FIRST.index(each.source))
    return replace(first, low=min(first.low, second.low), high=max(first.high, second.high))


def ranges_of(estimator: Any, count: int) -> Ranges:
    """The ranges that the estimator itself stores for its `count` inputs, ignoring later steps."""
    is_known = not has_own_methods(estimator)
    for kinds, attribute, read in READERS:
        if isinstance(estimator, kinds) and hasattr(estimator, attribute) and is_known:
            ranges = read(estimator)
            return ranges if len(ranges) == count else [None] * count
    return _of_forest(estimator, count) if has_trees(estimator) else [None] * count


def between(lows: Iterable[Any], highs: Iterable[Any], source: RangeSource) -> Ranges:
    """A range for each column; None if one of its ends is not finite."""
    ends = zip(map(float, lows), map(float, highs), strict=True)
    return [ValueRange(*pair, source) if np.isfinite(pair).all() else None for pair in ends]


def far_from(places: npt.NDArray[Any], thresholds: npt.NDArray[Any], count: int) -> Ranges:
    """The ranges far around the thresholds of trees; `places` has the column of each threshold."""
    is_usual = np.isfinite(thresholds)
    order = np.argsort(places[is_usual], kind="stable")
    ends = np.searchsorted(places[is_usual][order], np.arange(1, count))
    return [_far_around(np.unique(each)) for each in np.split(thresholds[is_usual][order], ends)]


def _far_around(thresholds: Numbers) -> ValueRange | None:
    if len(thresholds) < FEWEST_THRESHOLDS:
        return None
    low, high = float(thresholds[0]), float(thresholds[-1])
    margin = FAR * (high - low)
    return ValueRange(low - margin, high + margin, "thresholds")


def _scaled_back(scaler: Any, behind: Sequence[Column]) -> Ranges:
    """Scale the ranges of a scaler's outputs back to its inputs; empty for other estimators."""
    known = [each.value_range for each in behind]
    if not isinstance(scaler, SCALERS) or has_own_methods(scaler) or not any(known):
        return []
    ends = [[each.low, each.high] if each else [np.nan, np.nan] for each in known]
    lows, highs = np.asarray(scaler.inverse_transform(np.array(ends).T))
    return [
        each and replace(each, low=float(low), high=float(high))
        for each, low, high in zip(known, lows, highs, strict=True)
    ]


def _of_min_max(scaler: Any) -> Ranges:
    return between(scaler.data_min_, scaler.data_max_, "training")


def _of_standard(scaler: Any) -> Ranges:
    if scaler.mean_ is None or scaler.var_ is None:
        return []
    margin = DEVIATIONS * np.sqrt(scaler.var_)
    return between(scaler.mean_ - margin, scaler.mean_ + margin, "deviation")


def _of_bins(discretizer: Any) -> Ranges:
    edges = discretizer.bin_edges_
    return between((each[0] for each in edges), (each[-1] for each in edges), "training")


def _of_neighbours(model: Any) -> Ranges:
    rows = model._fit_X
    is_table = isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype.kind in "biuf"
    if not is_table or model.metric == "precomputed":  # its columns are distances, not inputs
        return []
    return between(np.fmin.reduce(rows), np.fmax.reduce(rows), "training")


def _of_bin_thresholds(model: Any) -> Ranges:
    """The ranges of histogram boosting, which puts categorical columns before the others."""
    is_category = model.is_categorical_
    bins = model._bin_mapper.bin_thresholds_
    if is_category is None:
        is_category = np.zeros(len(bins), bool)
    order = np.argsort(~is_category, kind="stable")
    found = {place: each for place, each in zip(order, bins, strict=True) if not is_category[place]}
    none = np.empty(0)
    return [_far_around(np.unique(found.get(place, none))) for place in range(len(bins))]


def _of_tree(model: Any) -> Ranges:
    return _of_trees([model.tree_], model.n_features_in_)


def _of_forest(model: Any, count: int) -> Ranges:
    trees = getattr(model, "estimators_", None)
    if trees is None or getattr(model, "n_features_in_", None) != count:
        return [None] * count
    return _of_trees([each.tree_ for each in np.ravel(trees)], count)


def _of_trees(trees: Sequence[Any], count: int) -> Ranges:
    sizes = accumulate(tree.node_count for tree in trees[1:])
    few = 1 + sum(1 for _ in takewhile(lambda nodes: nodes < MOST_NODES, sizes))
    inner = [(tree.feature, tree.threshold, tree.feature >= 0) for tree in trees[:few]]
    places = np.concatenate([features[is_inner] for features, _, is_inner in inner])
    thresholds = np.concatenate([values[is_inner] for _, values, is_inner in inner])
    return far_from(places, thresholds, count)


#: Estimators, the attribute that each has once it is fitted, and the function that reads ranges.
READERS: tuple[tuple[Any, str, Callable[[Any], Ranges]], ...] = (
    (MinMaxScaler, "data_min_", _of_min_max),
    (StandardScaler, "mean_", _of_standard),
    (KBinsDiscretizer, "bin_edges_", _of_bins),
    (NeighborsBase | KNNImputer, "_fit_X", _of_neighbours),
    (BOOSTING, "_bin_mapper", _of_bin_thresholds),
    (BaseDecisionTree, "tree_", _of_tree),
)
