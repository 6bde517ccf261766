"""Subclasses of XGBoost's wrappers answer with the methods that their author wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import LabelEncoder
from xgboost import XGBClassifier, XGBRegressor

Array = np.ndarray[Any, np.dtype[Any]]


class Labelled(XGBClassifier):
    """A classifier of text labels."""

    def fit(self, X: Any, y: Any, **more: Any) -> Any:
        """Train on the numbers of the labels."""
        self.labels_ = LabelEncoder().fit(y)
        return super().fit(X, self.labels_.transform(y), **more)

    def predict(self, X: Any, **more: Any) -> Any:
        """Return labels."""
        return self.labels_.inverse_transform(super().predict(X, **more))


class Calibrated(XGBClassifier):
    """A classifier that is less sure than its trees."""

    def predict_proba(self, X: Any, **more: Any) -> Any:
        """Return probabilities nearer to each other."""
        return (super().predict_proba(X, **more) + 0.5) / 2


class Doubled(XGBRegressor):
    """A regressor that looks at its whole numbers."""

    def predict(self, X: Any, **more: Any) -> Any:
        """Add the digits of a column, which "7" has one of and "7.0" two."""
        return super().predict(X, **more) + X["district"].map(lambda each: len(str(each)))


class Stopped(XGBClassifier):
    """A classifier with training of its own."""

    def fit(self, X: Any, y: Any, **more: Any) -> Any:
        """Train on the first rows."""
        return super().fit(X[:60], y[:60], **more)


def saved(model: Any, directory: Path) -> Path:
    """The directory, with the model saved in it."""
    joblib.dump(model, directory / "model.joblib")
    return directory


def test_own_methods_answer(
    rows: Array, classes: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The answer is that of the method in the subclass, not that of the booster."""
    labels = np.array(["late", "early", "never"])[classes]
    labelled = Labelled(n_estimators=3).fit(rows, labels)
    calibrated = Calibrated(n_estimators=3).fit(rows, classes)

    answer = model_of(saved(labelled, tmp_path), method="predict").predict(rows, [])
    assert answer.tolist() == labelled.predict(rows).tolist()
    answer = model_of(saved(calibrated, tmp_path)).predict(rows, [])
    np.testing.assert_array_equal(answer, calibrated.predict_proba(rows))


@pytest.mark.usefixtures("since_3_1")
def test_own_methods_get_the_types_of_training(
    flats: pd.DataFrame, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A subclass gets a DataFrame with the categories of training, and numbers as they are."""
    table = flats.assign(district=flats["district"].astype(int))
    model = Doubled(n_estimators=3, enable_categorical=True).fit(table, table["area"])
    records = [{"city": "Tainan", "district": 7, "area": 40}, {"city": None, "district": 10}]
    records[1]["area"] = 80.5

    answer = model_of(saved(model, tmp_path)).predict(records)

    sent = pd.DataFrame(records).astype({"city": table["city"].dtype})
    np.testing.assert_array_equal(answer, model.predict(sent))


def test_a_subclass_with_its_own_training_alone_is_served_as_its_booster(
    rows: Array, classes: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Training does not change the answers, so that such a model has a booster's methods."""
    model = Stopped(n_estimators=3).fit(rows, classes)

    loaded = model_of(saved(model, tmp_path), method="margin")

    np.testing.assert_array_equal(loaded.predict(rows, []), model.predict(rows, output_margin=True))
