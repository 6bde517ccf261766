"""Requests have the precision of the training data, whatever the target's is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import KernelPCA
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
)

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.random((60, 3)).astype(np.float32)
CLASSES = (ROWS[:, 0] > 0.5).astype(int)
IN_32_BITS = {
    "network, classes": MLPClassifier(4, max_iter=5, random_state=0),
    "network": MLPRegressor(hidden_layer_sizes=4, max_iter=5, random_state=0),
    "stochastic gradient": SGDRegressor(random_state=0),
    "robust scaler": make_pipeline(RobustScaler(), LogisticRegression()),
    "kernel components": make_pipeline(KernelPCA(2, kernel="rbf"), LogisticRegression()),
    "naive Bayes": GaussianNB(),
    "polynomials": make_pipeline(PolynomialFeatures(), LogisticRegression()),
    "lengths": make_pipeline(Normalizer(), SelectKBest(k=2), LogisticRegression()),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", IN_32_BITS)
def test_a_model_trained_in_32_bits_answers_as_to_32_bits(
    served: Callable[..., Any], name: str
) -> None:
    """Numbers become float32 if the training had it, wherever the model shows that."""
    model = IN_32_BITS[name].fit(ROWS, CLASSES)
    method = "predict_proba" if hasattr(model, "predict_proba") else "predict"

    answer = served(model)({"data": {"ndarray": ROWS[:7].astype(float).tolist()}})

    expected = getattr(model, method)(ROWS[:7])
    assert not np.array_equal(expected, getattr(model, method)(ROWS[:7].astype(float)))
    np.testing.assert_array_equal(answer, expected)


WITH_TARGET_OF_32_BITS = {
    "neighbours": KNeighborsRegressor(1),
    "nearest class": KNeighborsClassifier(1),
    "stochastic gradient": SGDClassifier(random_state=0),
    "Gaussian process": GaussianProcessRegressor(alpha=1.0),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", WITH_TARGET_OF_32_BITS)
def test_a_target_of_32_bits_does_not_round_the_columns(
    served: Callable[..., Any], name: str
) -> None:
    """Large whole numbers keep their digits if only the target was float32."""
    rows = 2**30 + np.arange(12).reshape(12, 1)
    target = np.array([0, 1] * 6, dtype=np.float32)
    model = WITH_TARGET_OF_32_BITS[name].fit(rows, target)

    answer = served(model, method="predict")({"data": {"ndarray": rows.tolist()}})

    np.testing.assert_array_equal(answer, model.predict(rows))


def test_categories_of_32_bits_are_found(served: Callable[..., Any]) -> None:
    """A number is the category that training had in 32 bits, as 0.1 is there another number."""
    table = pd.DataFrame({"x": np.array([0.1, 0.7, 0.3] * 4, np.float32), "y": [1.0, 2, 3, 4] * 3})
    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    imputed = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    for encoder in (OneHotEncoder(), OrdinalEncoder(**unknown), imputed):
        columns = make_column_transformer((encoder, ["x"]), remainder="passthrough")
        pipeline = make_pipeline(columns, LogisticRegression()).fit(table, [0, 1, 1] * 4)

        answer = served(pipeline)({"jsonData": [{"x": 0.1, "y": 1}, {"x": 0.7, "y": 2}]})

        np.testing.assert_array_equal(answer, pipeline.predict_proba(table[:2]))
