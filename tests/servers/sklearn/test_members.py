"""Estimators made of others, whose members see other columns, or those of one place only."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import RFE
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

random = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {"a": random.normal(size=60), "b": random.normal(size=60), "k": random.integers(0, 4, 60)}
)
TARGET = (TABLE.a + TABLE.k > 1).astype(int)
TARGETS = np.column_stack([TARGET, 1 - TARGET])


def scaled(*columns: Any) -> Any:
    """A model of some scaled columns, that drops the others."""
    chosen = ColumnTransformer([("scaled", StandardScaler(), list(columns))])
    return make_pipeline(chosen, LogisticRegression())


def imputed() -> Any:
    """A model of all columns, with an imputer."""
    return make_pipeline(SimpleImputer(), LogisticRegression())


def encoded() -> Any:
    """A model of all columns as categories."""
    return make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())


def agrees(served: Callable[..., Any], model: Any, table: Any) -> None:
    """Check that rows of a table get the model's own answer."""
    rows = np.asarray(table[:3])
    answer = served(model)({"data": {"ndarray": rows.tolist()}})
    np.testing.assert_allclose(answer, model.predict_proba(table[:3]), rtol=1e-12)


@pytest.mark.parametrize("table", [TABLE.to_numpy(), TABLE.set_axis([0, 1, 2], axis=1)])
def test_unused_columns_stay_in_place_for_a_model_that_counts(
    served: Callable[..., Any], table: Any
) -> None:
    """A model without column names gets all columns, since it selects some by their place."""
    agrees(served, scaled(2).fit(table, TARGET), table)


def test_a_step_before_the_selection_gets_all_columns(served: Callable[..., Any]) -> None:
    """An imputer gets all columns of training, also those that a later step drops."""
    agrees(served, make_pipeline(SimpleImputer(), scaled(0)).fit(TABLE, TARGET), TABLE)


BAGGED = {
    "boosting": HistGradientBoostingClassifier(max_iter=3),
    "pipeline": imputed(),
    "selection": scaled(0),
}


@pytest.mark.parametrize("name", BAGGED)
def test_members_of_a_bag_are_its_fitted_ones(served: Callable[..., Any], name: str) -> None:
    """An ensemble's facts come from its fitted members, not from the template beside them."""
    agrees(served, BaggingClassifier(BAGGED[name], 2).fit(TABLE, TARGET), TABLE)


def test_members_of_a_bag_tell_about_the_columns_that_they_see(
    served: Callable[..., Any],
) -> None:
    """Members with a sample of the features describe these, in their order."""
    bag = BaggingClassifier(imputed(), 4, max_features=2, bootstrap_features=True, random_state=0)
    agrees(served, bag.fit(TABLE, TARGET), TABLE)


FITTED = {
    "search": GridSearchCV(BaggingClassifier(imputed(), 2), {"n_estimators": [2]}, cv=2),
    "voting": VotingClassifier(
        [("calibrated", CalibratedClassifierCV(encoded(), cv=2))], voting="soft"
    ),
}


@pytest.mark.parametrize("name", FITTED)
def test_a_member_that_has_members_is_read_itself(served: Callable[..., Any], name: str) -> None:
    """A member with an unfitted template in it is read as a whole."""
    agrees(served, FITTED[name].fit(TABLE, TARGET), TABLE)


@pytest.mark.parametrize("name", ["imputed", "scaled"])
def test_a_chain_loads_although_its_members_see_more_columns(
    served: Callable[..., Any], name: str
) -> None:
    """The later members of a chain also see the earlier answers, and say nothing of the rest."""
    chain = ClassifierChain(imputed() if name == "imputed" else scaled(0))
    agrees(served, chain.fit(TABLE, TARGETS), TABLE)


def test_a_selection_loads_although_its_member_sees_fewer_columns(
    served: Callable[..., Any],
) -> None:
    """The estimator in a feature selection only sees the selected columns."""
    getter = "named_steps.logisticregression.coef_"
    agrees(
        served,
        RFE(imputed(), n_features_to_select=2, importance_getter=getter).fit(TABLE, TARGET),
        TABLE,
    )


def test_a_passthrough_hands_all_columns_to_the_last_estimator(
    served: Callable[..., Any],
) -> None:
    """A column that no member of a stack uses is still used by a final estimator that sees it."""
    stack = StackingClassifier([("scaled", scaled("a"))], passthrough=True, cv=2)
    agrees(served, stack.fit(TABLE, TARGET), TABLE)


class Odd(SimpleImputer):
    """An author's imputer that does not keep statistics as scikit-learn's own does."""

    def fit(self, X: Any, y: Any = None) -> "Odd":
        """Keep the statistics elsewhere."""
        super().fit(X, y)
        self.means_, self.statistics_ = self.statistics_, np.array([])
        return self

    def transform(self, X: Any) -> Any:
        """Fill in the means."""
        return np.where(np.isnan(X), self.means_, np.asarray(X))


def test_an_estimator_whose_facts_cannot_be_read_is_served(served: Callable[..., Any]) -> None:
    """Facts that are not as expected keep no model from its answers."""
    model = make_pipeline(Odd(), LogisticRegression())
    agrees(served, model.fit(TABLE, TARGET), TABLE)


@pytest.mark.parametrize("kind", [OneVsOneClassifier, OneVsRestClassifier])
def test_the_precision_of_members_for_pairs_of_classes_is_that_of_training(
    served: Callable[..., Any], kind: Any
) -> None:
    """Members tell that training had 32 bits, whether they are in a list or in a tuple."""
    rows = random.random((60, 3)).astype(np.float32)
    model = kind(RidgeClassifier()).fit(rows, np.arange(60) % 3)

    answer = served(model, method="decision_function")({"data": {"ndarray": rows[:9].tolist()}})

    assert not np.array_equal(answer, model.decision_function(rows[:9].astype(float)))
    np.testing.assert_array_equal(answer, model.decision_function(rows[:9]))
