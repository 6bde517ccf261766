"""Find out what a fitted estimator knows about its training columns.

scikit-learn keeps no table of dtypes, but its steps keep what they need: an encoder its
categories, an imputer the dtype and the missing value, a model the precision of its
coefficients. Each step describes the columns that reach it; if it passes a column through, the
steps after it describe that column.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, TargetEncoder
from sklearn.utils import get_tags

from prepackaged.estimators.boosters import facts_of_booster, names_of_booster, package_of
from prepackaged.estimators.encoders import encoded, of_encoder, of_imputer
from prepackaged.estimators.facts import ANY, Facts, aligned, both, common, merged
from prepackaged.estimators.members import facts_of_members
from prepackaged.estimators.ranges import with_ranges
from prepackaged.estimators.steps import (
    first_step,
    has_own_methods,
    inner_estimators,
    is_dropped,
    is_of_sklearn,
    is_passthrough,
    item_kind,
)
from prepackaged.signature import Column, Kind

logger = logging.getLogger(__name__)

Read = Callable[[Any, Facts, int], Facts]

DOCUMENTS = (Column(kind="text", nullable=False),)
ENCODERS = OneHotEncoder | OrdinalEncoder | TargetEncoder
# Attributes that keep the target or its dtype.
OF_TARGET = {"classes_", "_y", "y_train_", "constant_", "transduction_"}
BOOSTING = HistGradientBoostingClassifier | HistGradientBoostingRegressor


def columns_of(estimator: Any) -> tuple[Column, ...] | None:
    """The columns in the order of training; None if not even their number is known.

    They have names if the estimator was trained on a DataFrame and its first step stored them.
    A list of documents, which is not a table, is one column of text.
    """
    names, count = names_of(estimator), _count_of(estimator)
    if names is None and count is None:
        return DOCUMENTS if item_kind(first_step(estimator)) == "text" else None
    if names is None:  # without names, no column can be omitted
        return tuple(replace(fact, used=True) for fact in _known_facts(estimator, count or 0))
    facts = _known_facts(estimator, len(names))
    return tuple(replace(fact, name=name) for fact, name in zip(facts, names, strict=True))


def _known_facts(estimator: Any, count: int) -> Facts:
    """The facts about the input columns; no facts if they cannot be read from the estimator."""
    try:
        facts = facts_of(estimator, [ANY] * count, count)
        return facts if len(facts) == count else [ANY] * count
    except Exception:  # facts are optional: the model may work without them
        logger.warning("The facts about the model's columns cannot be read", exc_info=True)
        return [ANY] * count


def names_of(estimator: Any) -> list[str] | None:
    """The names of the columns, if the first step stored them."""
    first = _first(estimator)
    if package_of(first):
        return names_of_booster(first)
    names = _noted(first, "feature_names_in_")
    return None if names is None else [str(name) for name in names]


def _count_of(estimator: Any) -> int | None:
    count = _noted(estimator, "n_features_in_")
    return None if count is None else int(count)


def _noted(estimator: Any, attribute: str) -> Any:
    """An attribute of the first step that stores any."""
    try:
        return getattr(_first(estimator), attribute, None)
    except Exception:  # a property of an author's class may fail
        return None


def _first(estimator: Any) -> Any:
    """The first step that stores attributes: passthrough steps store none."""
    if not isinstance(estimator, Pipeline):
        return estimator
    return _first(next((step for _, step in estimator.steps if not is_passthrough(step)), None))


def facts_of(estimator: Any, behind: Facts, count: int) -> Facts:
    """The facts about `count` input columns of an estimator.

    `behind` are the facts about its output columns, from the steps after it.
    """
    return with_ranges(estimator, _facts_of(estimator, behind, count), behind)


def _facts_of(estimator: Any, behind: Facts, count: int) -> Facts:
    if is_passthrough(estimator):
        return aligned(behind, count)
    for kind, read in READERS.items():
        if isinstance(estimator, kind):
            return read(estimator, behind, count)
    if package_of(estimator) and not has_own_methods(estimator):
        return facts_of_booster(estimator, count)
    if inner := inner_estimators(estimator):
        return facts_of_members(estimator, inner, count, _seen)
    if is_numeric(estimator):
        return [_numeric(estimator, fact) for fact in aligned(behind, count)]
    return [ANY] * count


def _seen(member: Any, count: int) -> tuple[int, Facts]:
    """The number of columns that a member sees (`count` if unknown) and the facts about them."""
    seen = _count_of(member) or count
    return seen, facts_of(member, [ANY], seen)


def is_numeric(estimator: Any) -> bool:
    """Whether an estimator is scikit-learn's own and converts its input to numbers."""
    if not (isinstance(estimator, BaseEstimator) and is_of_sklearn(estimator)):
        return False
    tags = get_tags(estimator)
    takes = tags.input_tags
    is_any = takes.categorical or takes.string or takes.dict or tags.no_validation
    return bool(takes.two_d_array and not is_any)


def is_table_encoder(estimator: Any) -> bool:
    """Whether an estimator is scikit-learn's own and accepts columns of any kind."""
    return type(estimator) in (OneHotEncoder, OrdinalEncoder, TargetEncoder, SimpleImputer)


def _numeric(estimator: Any, behind: Column) -> Column:
    takes_nan = bool(get_tags(estimator).input_tags.allow_nan)
    passes_nan = hasattr(estimator, "transform") and "sklearn.impute" not in str(type(estimator))
    kind: Kind = "float32" if _has_float32(estimator, behind) else "float64"
    return Column(kind=kind, nullable=takes_nan and (behind.nullable or not passes_nan))


def _has_float32(estimator: Any, behind: Column) -> bool:
    """Whether the estimator was trained on float32, judging by its own numbers and later steps.

    scikit-learn trains in 64 bits unless all columns have 32 bits; even then, some of the numbers
    that it stores may have 64.
    """
    learned = [value for name, value in vars(estimator).items() if _is_of_columns(name)]
    if any(map(_is_in_32_bits, learned)) and not _counts_in_32_bits(estimator):
        return True
    # Only a `dtype` parameter lets a transformer convert 64 bits to 32; not all have the tag.
    preserves = hasattr(estimator, "transform") and getattr(estimator, "dtype", None) is None
    return preserves and behind.kind == "float32"


def _is_of_columns(attribute: str) -> bool:
    """Whether fitting sets this attribute, with a dtype that does not come from the target."""
    is_fitted = attribute.startswith("_") or attribute.endswith("_")
    return is_fitted and attribute not in OF_TARGET


def _is_in_32_bits(value: Any) -> bool:
    """Whether the value is an array of float32, or a list that contains one."""
    if isinstance(value, list | tuple):
        return any(map(_is_in_32_bits, value))
    return isinstance(value, np.ndarray) and value.dtype == np.float32


def _counts_in_32_bits(estimator: Any) -> bool:
    """Whether the estimator computes in 32 bits regardless of its input, as trees do."""
    return type(estimator).__module__.startswith(("sklearn.tree", "sklearn.ensemble"))


def _of_pipeline(pipeline: Any, behind: Facts, count: int) -> Facts:
    steps = [step for _, step in pipeline.steps if not is_passthrough(step)]
    for step in reversed(steps[1:]):
        behind = facts_of(step, behind, _count_of(step) or len(behind))
    return facts_of(steps[0], behind, count) if steps else aligned(behind, count)


def _of_column_transformer(transformer: Any, behind: Facts, count: int) -> Facts:
    facts: Facts = [Column(used=False)] * count
    for name, step, columns in transformer.transformers_:
        places = transformer._transformer_to_input_indices.get(name, [])
        if is_dropped(step):
            continue
        is_series = isinstance(columns, str) or (type(columns) is int)
        after = _part_behind(transformer, behind, name)
        found = [_document(step)] if is_series else facts_of(step, after, len(places))
        for place, fact in zip(places, found, strict=True):
            facts[place] = both(facts[place], replace(fact, used=True))  # it requires them all
    return facts


def _part_behind(transformer: Any, behind: Facts, name: str) -> Facts:
    """The facts about the output columns that the step `name` of a ColumnTransformer creates.

    Columns of an array share one dtype, so only their ranges differ; in a DataFrame, each column
    has its own dtype.
    """
    shared, places = common(behind), transformer.output_indices_
    if len(behind) != max((each.stop for each in places.values()), default=0):
        return [shared]
    part: Facts = behind[places[name]]
    if part and _makes_frames(transformer):
        return part
    return [replace(shared, value_range=each.value_range) for each in part] or [shared]


def _makes_frames(transformer: Any) -> bool:
    return getattr(transformer, "_sklearn_output_config", {}).get("transform") == "pandas"


def _of_union(union: Any, behind: Facts, count: int) -> Facts:
    steps = [step for _, step in union.transformer_list if not is_dropped(step)]
    return merged([facts_of(step, behind, count) for step in steps], count)


def _document(vectorizer: Any) -> Column:
    """The column of a step that gets a single column as a list of values."""
    takes = get_tags(vectorizer).input_tags if hasattr(vectorizer, "get_params") else None
    is_text = bool(takes and takes.string) and isinstance(getattr(vectorizer, "analyzer", ""), str)
    return DOCUMENTS[0] if is_text else ANY


def _of_boosting(model: Any, behind: Facts, count: int) -> Facts:
    del behind  # boosting is the last step
    mask = model.is_categorical_
    facts = [Column(kind="float64")] * count
    if mask is None:
        return facts
    encoder = model._preprocessor.named_transformers_["encoder"]
    places = np.flatnonzero(mask)
    for place, values in zip(places, encoder.categories_, strict=True):
        facts[place] = encoded(values, may_be_null=True, is_open=True)
    return facts


def _of_function(function: Any, behind: Facts, count: int) -> Facts:
    del behind  # a function may change anything
    fact = Column(missing=np.nan) if _is_of_numbers(function.func) else ANY
    return [Column(kind="float64") if function.validate else fact] * count


def _is_of_numbers(function: Any) -> bool:
    """Whether it is a NumPy function that accepts only numbers, such as `np.log1p`."""
    return isinstance(function, np.ufunc) and "d->d" in function.types


def _unless_own(read: Read) -> Read:
    """The reader, but without facts about subclasses that override the methods that get rows."""

    def facts(estimator: Any, behind: Facts, count: int) -> Facts:
        return [ANY] * count if has_own_methods(estimator) else read(estimator, behind, count)

    return facts


READERS: dict[Any, Read] = {
    Pipeline: _of_pipeline,
    ColumnTransformer: _of_column_transformer,
    FeatureUnion: _of_union,
    ENCODERS: _unless_own(of_encoder),
    SimpleImputer: _unless_own(of_imputer),
    BOOSTING: _unless_own(_of_boosting),
    FunctionTransformer: _unless_own(_of_function),
}
