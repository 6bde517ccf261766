"""Find the estimators inside an estimator, and the kind of rows that they get."""

from collections.abc import Iterable
from typing import Any

from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction import FeatureHasher
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

from prepackaged.estimators.answers import METHODS
from prepackaged.estimators.boosters import CATBOOST, LIGHTGBM
from prepackaged.estimators.trial import takes_items

# Attributes of scikit-learn's estimators with inner estimators that get the same columns. In an
# ensemble, `estimator_` is the unfitted template of `estimators_`, so it comes later.
INNER = ("best_estimator_", "estimators_", "estimator_", "regressor_", "calibrated_classifiers_")
# Estimators that pass their input on to inner estimators, which may need names.
MADE_OF_OTHERS = (MetaEstimatorMixin, ColumnTransformer, FeatureUnion, Pipeline)
# The methods of an estimator that get rows, and the packages of classes that are not an author's.
OF_ROWS = ("fit", "fit_transform", "transform", *METHODS)
FRAMEWORKS = {"sklearn", "xgboost", LIGHTGBM, CATBOOST}
# Sample items, to find out whether an author's vectorizer accepts items or a table.
ITEMS: dict[str, list[Any]] = {"text": ["a", "b"], "dict": [{"a": 1.0}, {"a": 2.0}]}
# Modules of trees that convert their whole input to float32.
TREES = ("sklearn.tree", "sklearn.ensemble._forest", "sklearn.ensemble._gb")


def is_of_sklearn(step: Any) -> bool:
    """Whether a step's class is scikit-learn's own."""
    return type(step).__module__.startswith("sklearn.")


def has_own_methods(step: Any, methods: Iterable[str] = OF_ROWS) -> bool:
    """Whether an author's class overrides one of the methods.

    Then the facts in the framework's base class may not apply to the rows that the step gets.
    """
    owners = (_owner(type(step), method) for method in methods)
    return not all(owner is None or _is_of_framework(owner) for owner in owners)


def may_add_columns(step: Any) -> bool:
    """Whether an author's class may have added columns before the framework's `fit` noted them.

    Then its other methods add them to the rows of a request, too.
    """
    return has_own_methods(step, ("fit",)) and has_own_methods(step, ("transform", *METHODS))


def _owner(kind: type, name: str) -> type | None:
    return next((each for each in kind.__mro__ if name in vars(each)), None)


def _is_of_framework(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in FRAMEWORKS


def is_passthrough(step: Any) -> bool:
    """Whether a step returns its input unchanged."""
    if isinstance(step, FunctionTransformer) and not has_own_methods(
        step
    ):  # as a fitted ColumnTransformer has it
        return step.func is None and not step.validate
    return step is None or (isinstance(step, str) and step == "passthrough")


def is_dropped(step: Any) -> bool:
    """Whether a step drops its input."""
    return isinstance(step, str) and step == "drop"


def inner_estimators(estimator: Any) -> list[Any]:
    """The fitted inner estimators that get this estimator's input unchanged."""
    if not is_of_sklearn(estimator) or has_trees(estimator):
        return []
    if frozen := getattr(estimator, "estimator", None) if _is_frozen(estimator) else None:
        return [frozen]
    for attribute in INNER:
        inner = vars(estimator).get(attribute)
        if inner is not None:  # an unfitted ensemble has no truth value
            found = inner if isinstance(inner, list | tuple) else [inner]  # OneVsOne has a tuple
            fitted = map(_fitted, found)
            return [each for each in fitted if hasattr(each, "get_params")]
    return []


def _fitted(member: Any) -> Any:
    """The member itself, or the estimator in a calibrated classifier, which is not an estimator."""
    return member if hasattr(member, "get_params") else getattr(member, "estimator", member)


def first_step(estimator: Any) -> Any:
    """The innermost first step, which gets the rows of a request."""
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if not is_passthrough(step)]
        return first_step(steps[0]) if steps else estimator
    inner = inner_estimators(estimator)
    return first_step(inner[0]) if inner else estimator


def _first_steps(union: FeatureUnion) -> list[Any]:
    """The first steps of a union's parts, all of which get the rows of a request."""
    return [first_step(step) for _, step in union.transformer_list if not is_dropped(step)]


def is_own(step: Any) -> bool:
    """Whether a step is an author's, or scikit-learn's with an author's step or function in it."""
    if isinstance(step, FeatureUnion):
        return any(map(is_own, _first_steps(step)))
    return not is_of_sklearn(step) or hasattr(step, "func")


def item_kind(step: Any) -> str:
    """The type of a row if the step accepts no table: `text`, `dict` or `any`; else empty."""
    if isinstance(step, FeatureUnion):
        kinds = {item_kind(each) for each in _first_steps(step)} - {""}  # empty for authors' steps
        return kinds.pop() if len(kinds) == 1 else ""
    kind = _tagged_kind(step) if isinstance(step, BaseEstimator) else ""
    is_sure = is_of_sklearn(step) or not has_own_methods(step)
    return kind if is_sure or (kind in ITEMS and takes_items(step, ITEMS[kind])) else ""


def _tagged_kind(step: Any) -> str:
    """The type of a row by the tags of scikit-learn's vectorizers, which subclasses inherit."""
    takes = get_tags(step).input_tags
    if isinstance(step, FeatureHasher):
        return "dict" if step.input_type == "dict" else "any"
    if takes.dict:
        return "dict"
    if not takes.string or takes.two_d_array:
        return ""
    return "text" if isinstance(getattr(step, "analyzer", ""), str) else "any"


def forget_names(model: Any) -> bool:
    """Remove column names from a model if its answers do not depend on them; return whether it did.

    That is certain for scikit-learn's own estimators that contain no other estimator and no
    function, and for pipelines of them: they first convert a DataFrame to an array, which takes
    four times as long as an answer to one row. They warn about arrays only if they know names.
    """
    parts = [step for _, step in model.steps] if type(model) is Pipeline else [model]
    if not all(is_passthrough(part) or _surely_ignores_names(part) for part in parts):
        return False
    for part in parts:
        getattr(part, "__dict__", {}).pop("feature_names_in_", None)
    return True


def _surely_ignores_names(part: Any) -> bool:
    if not (isinstance(part, BaseEstimator) and is_of_sklearn(part)):
        return False
    if has_trees(part):
        return "_sklearn_output_config" not in vars(part)
    return not (
        isinstance(part, MADE_OF_OTHERS)
        or "_sklearn_output_config" in vars(part)  # set_output adds names to answers
        or any(callable(each) or hasattr(each, "fit") for each in vars(part).values())
    )


def _is_frozen(estimator: Any) -> bool:
    return type(estimator).__name__ == "FrozenEstimator"


def has_trees(estimator: Any) -> bool:
    """Whether an estimator is a scikit-learn tree or consists only of such trees."""
    return type(estimator).__module__.startswith(TREES)
