"""Facts about columns from the fitted members of an estimator, such as those of an ensemble."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from prepackaged.estimators.facts import ANY, Facts, both, merged
from prepackaged.signature import Column

# Estimators that pass on a DataFrame without checking its columns, so unused ones may be missing.
UNCHECKED = {
    *("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"),
    *("VotingClassifier", "VotingRegressor", "StackingClassifier", "StackingRegressor"),
    *("MultiOutputClassifier", "MultiOutputRegressor", "OneVsRestClassifier"),
    *("CalibratedClassifierCV", "TunedThresholdClassifierCV", "FixedThresholdClassifier"),
    *("TransformedTargetRegressor", "FrozenEstimator"),
}

Read = Callable[[Any, int], tuple[int, Facts]]


def facts_of_members(estimator: Any, members: Sequence[Any], count: int, read: Read) -> Facts:
    """The facts that the members of an estimator know about its `count` columns.

    `read` takes a member and the number of columns that it probably sees. It returns the number of
    columns that it actually sees, and the facts about them.
    """
    features = getattr(estimator, "estimators_features_", [range(count)] * len(members))
    several = [
        _in_place(read, member, places, count)
        for member, places in zip(members, features, strict=True)
    ]
    facts = merged(several, count)
    return facts if _ignores_unused(estimator) else [replace(each, used=True) for each in facts]


def _in_place(read: Read, member: Any, places: Sequence[int], count: int) -> Facts:
    """A member's facts at the positions of its columns; no facts if their number differs."""
    seen, known = read(member, len(places))
    if seen != len(places):
        return [ANY] * count
    facts: Facts = [Column(used=False)] * count
    for place, fact in zip(places, known, strict=True):
        facts[place] = both(facts[place], fact)
    return facts


def _ignores_unused(estimator: Any) -> bool:
    """Whether the estimator neither checks nor uses columns that no member uses."""
    is_unchecked = type(estimator).__name__ in UNCHECKED
    return is_unchecked and not getattr(estimator, "passthrough", False)
