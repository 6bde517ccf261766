"""The signature's columns have the ranges of training, as far as the estimator keeps them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import RFE, SelectKBest
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    LocalOutlierFactor,
    RadiusNeighborsRegressor,
)
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from prepackaged.server.inference.anomalies import Anomalies
from prepackaged.signature import Column, ValueRange

Signed = Callable[[Any], Any]

NEAR = KNeighborsClassifier
TRAINING, DEVIATION, THRESHOLDS = ["training"] * 3, ["deviation"] * 3, ["thresholds"] * 3
UNKNOWN = [None] * 3
COLUMNS = make_column_transformer(
    (MinMaxScaler(), ["large"]), (StandardScaler(), ["small"]), remainder="passthrough"
)
ZOO: dict[str, tuple[Any, list[str | None]]] = {
    "scaled to 0 and 1": (make_pipeline(MinMaxScaler(), LogisticRegression()), TRAINING),
    "scaled by deviation": (make_pipeline(StandardScaler(), LogisticRegression()), DEVIATION),
    "by deviation alone": (
        make_pipeline(StandardScaler(with_mean=False), LogisticRegression()),
        DEVIATION,
    ),
    "by mean alone": (
        make_pipeline(StandardScaler(with_std=False), LogisticRegression(max_iter=5000)),
        UNKNOWN,
    ),
    "bins": (
        make_pipeline(KBinsDiscretizer(strategy="uniform"), LogisticRegression()),
        TRAINING,
    ),
    "neighbours": (NEAR(), TRAINING),
    "neighbours' values": (RadiusNeighborsRegressor(radius=1e9), TRAINING),
    "outliers": (LocalOutlierFactor(novelty=True), TRAINING),
    "scaled neighbours": (make_pipeline(StandardScaler(), NEAR()), TRAINING),
    "robust neighbours": (make_pipeline(RobustScaler(), NEAR()), TRAINING),
    "neighbours after several": (
        make_pipeline(MaxAbsScaler(), "passthrough", RobustScaler(), NEAR()),
        TRAINING,
    ),
    "a forest": (RandomForestClassifier(20, random_state=0), THRESHOLDS),
    "extra trees": (ExtraTreesRegressor(20, random_state=0), THRESHOLDS),
    "boosting": (GradientBoostingClassifier(random_state=0), THRESHOLDS),
    "boosting of histograms": (HistGradientBoostingClassifier(max_iter=5), THRESHOLDS),
    "a tree": (DecisionTreeRegressor(random_state=0), THRESHOLDS),
    "a small tree": (DecisionTreeClassifier(max_depth=2), UNKNOWN),
    "a scaled forest": (
        make_pipeline(RobustScaler(), RandomForestClassifier(20, random_state=0)),
        THRESHOLDS,
    ),
    "a forest whose scaler knows more": (
        make_pipeline(MinMaxScaler(), RandomForestClassifier(20, random_state=0)),
        TRAINING,
    ),
    "bagging": (BaggingClassifier(NEAR(), random_state=0), UNKNOWN),
    "bagging of shuffled columns": (
        BaggingClassifier(NEAR(), bootstrap_features=True, random_state=0),
        UNKNOWN,
    ),
    "bagging of few columns": (BaggingClassifier(NEAR(), max_features=2), UNKNOWN),
    "isolation": (IsolationForest(n_estimators=20, random_state=0), UNKNOWN),
    "boosted stumps": (AdaBoostClassifier(n_estimators=5), UNKNOWN),
    "voting": (VotingClassifier([("n", NEAR()), ("t", RandomForestClassifier(5))]), TRAINING),
    "stacking": (StackingClassifier([("n", NEAR())], cv=2), TRAINING),
    "search": (
        GridSearchCV(
            make_pipeline(StandardScaler(), NEAR()), {"kneighborsclassifier__p": [1, 2]}, cv=2
        ),
        TRAINING,
    ),
    "one against the rest": (OneVsRestClassifier(NEAR()), TRAINING),
    "calibrated": (CalibratedClassifierCV(NEAR(), cv=5), TRAINING),
    "transformed target": (TransformedTargetRegressor(KNeighborsRegressor()), TRAINING),
    "some columns of a wrapper": (RFE(DecisionTreeRegressor(), n_features_to_select=2), UNKNOWN),
    "selected columns": (make_pipeline(SelectKBest(k=2), NEAR()), UNKNOWN),
    "all columns selected": (make_pipeline(SelectKBest(k=3), NEAR()), UNKNOWN),
    "components": (make_pipeline(PCA(3), NEAR()), UNKNOWN),
    "products": (make_pipeline(PolynomialFeatures(), NEAR()), UNKNOWN),
    "rows of length 1": (make_pipeline(Normalizer(), NEAR()), UNKNOWN),
    "quantiles": (make_pipeline(QuantileTransformer(n_quantiles=50), NEAR()), UNKNOWN),
    "a function": (make_pipeline(FunctionTransformer(np.cbrt), NEAR()), UNKNOWN),
    "no function": (make_pipeline(FunctionTransformer(), NEAR()), TRAINING),
    "imputed by neighbours": (
        make_pipeline(KNNImputer(), RandomForestClassifier(20, random_state=0)),
        TRAINING,
    ),
    "imputed": (make_pipeline(SimpleImputer(), NEAR()), TRAINING),
    "imputed with an indicator": (
        make_pipeline(SimpleImputer(add_indicator=True), NEAR()),
        TRAINING,
    ),
    "another marker": (make_pipeline(SimpleImputer(missing_values=-1), NEAR()), UNKNOWN),
    "columns in another order": (make_pipeline(COLUMNS, NEAR()), TRAINING),
    "columns of a line": (
        make_pipeline(COLUMNS, LogisticRegression(max_iter=5000)),
        ["deviation", "training", None],
    ),
    "columns of a forest": (
        make_pipeline(COLUMNS, RandomForestClassifier(20, random_state=0)),
        ["deviation", "training", "thresholds"],
    ),
    "dropped columns": (
        make_pipeline(make_column_transformer((RobustScaler(), ["large", "small"])), NEAR()),
        ["training", "training", None],
    ),
    "a union": (
        make_pipeline(
            FeatureUnion([("s", StandardScaler()), ("m", MinMaxScaler())]),
            LogisticRegression(),
        ),
        TRAINING,
    ),
    "a union before neighbours": (
        make_pipeline(
            FeatureUnion([("r", RobustScaler()), ("p", PCA(2))]),
            NEAR(),
        ),
        UNKNOWN,
    ),
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Three columns of very different size, so that ranges of another column are noticed."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "small": random.random(150),
            "large": random.normal(1e6, 1e4, 150),
            "negative": -random.integers(1000, 2000, 150).astype(float),
        }
    )


@pytest.fixture
def signature_of(tmp_path: Path, model_of: Callable[..., Any]) -> Signed:
    """A function from an estimator to the signature of the Model that serves it."""

    def load(estimator: Any) -> Any:
        joblib.dump(estimator, tmp_path / "model.joblib")
        return model_of(tmp_path, method="predict").signature

    return load


def fitted(name: str, frame: pd.DataFrame) -> Any:
    """The estimator, fitted to tell whether `small` is above its middle, with some mistakes."""
    estimator = ZOO[name][0]
    target = (frame["small"] > 0.5) ^ (np.random.default_rng(1).random(len(frame)) < 0.3)
    return estimator.fit(frame, target.astype(int))


@pytest.mark.parametrize("name", ZOO)
def test_ranges_are_known_from_what_the_estimator_keeps(
    name: str, frame: pd.DataFrame, signature_of: Signed
) -> None:
    """Exact ranges end at the least and the largest value of training, and no range is narrower.

    Values that are a hundred times as large are outside of every range.
    """
    columns = signature_of(fitted(name, frame)).inputs

    ranges = [column.value_range for column in columns]
    assert [each and each.source for each in ranges] == ZOO[name][1]
    for (_, values), found in zip(frame.items(), ranges, strict=True):
        if found and found.source == "training":
            assert (found.low, found.high) == pytest.approx((values.min(), values.max()))
        if found and found.source == "deviation":
            ends = values.mean() + np.array([-6, 6]) * values.std(ddof=0)
            assert (found.low, found.high) == pytest.approx(tuple(ends))
    assert anomalies(columns, frame) == {}
    kinds = {"small": "above_range", "large": "above_range", "negative": "below_range"}
    assert anomalies(columns, frame * 100 + np.sign(frame) * 50) == {
        (column.name, kinds[column.name]): 150 for column in columns if column.value_range
    }


def anomalies(columns: Any, frame: pd.DataFrame) -> dict[tuple[str, str], int]:
    """The anomalies of a table by name and kind."""
    used = [column for column in columns if column.used]
    found = Anomalies(used)(frame[[column.name for column in used]].to_numpy().T)
    return {(used[place].name, kind): count for place, kind, count in found}


def test_values_that_are_missing_in_training_are_in_no_range(
    frame: pd.DataFrame, signature_of: Signed
) -> None:
    """NaN in training leaves the range of the other values; a column of NaN has none."""
    holes = frame.assign(empty=np.nan)
    holes.iloc[::7, 0] = np.nan

    imputer = KNNImputer(keep_empty_features=True)
    small, *_, empty = signature_of(
        make_pipeline(imputer, LogisticRegression(max_iter=5000)).fit(holes, frame["small"] > 0.5)
    ).inputs

    known = holes["small"].dropna()
    assert small.value_range == ValueRange(known.min(), known.max(), "training")
    assert empty.value_range is None


def test_distances_are_not_columns(signature_of: Signed) -> None:
    """Neighbours that were given distances know no range of any column."""
    distances = np.abs(np.subtract.outer([1.0, 2, 3], [1, 2, 3]))

    signature = signature_of(NEAR(1, metric="precomputed").fit(distances, [0, 1, 1]))

    assert [column.value_range for column in signature.inputs] == UNKNOWN


def test_categories_and_ranges_stand_side_by_side(signature_of: Signed) -> None:
    """Of a table, each column has what its own step knows."""
    table = pd.DataFrame({"age": [20.0, 35, 64], "floor": [1, 2, 3], "city": ["a", "b", "a"]})
    steps = make_column_transformer(
        (make_pipeline(SimpleImputer(), MinMaxScaler()), ["age"]),
        (OneHotEncoder(handle_unknown="ignore"), ["floor", "city"]),
    )

    age, floor, city = signature_of(
        make_pipeline(steps, LogisticRegression()).fit(table, [0, 1, 1])
    ).inputs

    assert age.value_range == ValueRange(20, 64, "training")
    assert (floor.categories, floor.value_range) == ((1, 2, 3), None)
    assert (city.categories, city.value_range) == (("a", "b"), None)
    assert str(age) == "age (float64 of 20 to 64, missing: nan)"


def test_histogram_boosting_knows_ranges_except_of_categories(
    frame: pd.DataFrame, signature_of: Signed
) -> None:
    """Categories come first in the model, whatever their place in the table."""
    table = frame.assign(floor=pd.Categorical(np.arange(150) % 20))
    model = HistGradientBoostingClassifier(max_iter=3, categorical_features=[1, 3])
    table["large"] = table["large"].astype(int) % 5

    small, large, negative, floor = signature_of(model.fit(table, frame["small"] > 0.5)).inputs

    assert small.value_range.low < 0 < 1 < small.value_range.high < 10
    assert negative.value_range.low < -2000 < -1000 < negative.value_range.high < 5000
    assert large.value_range is None
    assert floor.value_range is None


def test_ranges_make_columns_no_different() -> None:
    """Retraining moves ranges, and requests for both models stack and compare as before."""
    first, second = (
        Column("x", "float64", value_range=ValueRange(0, high, "training")) for high in (1, 2)
    )
    assert first == second
    assert hash(first) == hash(second)
