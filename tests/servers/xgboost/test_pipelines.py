"""scikit-learn estimators that contain a booster, and pickles that refer to a script."""

import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import skops.io
import xgboost
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from xgboost import DMatrix, XGBClassifier, XGBRegressor

import uv
from prepackaged import ClientError, DeploymentError

Array = np.ndarray[Any, np.dtype[Any]]


def small(**more: Any) -> XGBClassifier:
    """A small classifier that trains fast."""
    return XGBClassifier(n_estimators=3, max_depth=2, **more)


ESTIMATORS = {
    "pipeline": make_pipeline(StandardScaler(), small(n_jobs=-1)),
    "calibrated": CalibratedClassifierCV(small(), cv=2),
    "stacking": StackingClassifier([("x", small()), ("l", LogisticRegression())], cv=2),
    "voting": VotingClassifier([("x", small()), ("l", LogisticRegression())], voting="soft"),
    "bagging": BaggingClassifier(small(), 2, random_state=0),
    "search": GridSearchCV(small(), {"max_depth": [1, 2]}, cv=2),
    "several outputs": MultiOutputClassifier(small(), n_jobs=-1),
    "nested": make_pipeline(
        make_pipeline(StandardScaler()), VotingClassifier([("x", small())], voting="soft")
    ),
}


@pytest.fixture(scope="module")
def full(rows: Array) -> Array:
    """The rows without missing values, which some estimators do not accept."""
    return np.nan_to_num(rows)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_with_a_booster_inside_answers_as_it_does_itself(
    name: str, full: Array, classes: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """An estimator that contains a booster anywhere answers with scikit-learn's default method."""
    target = np.column_stack([classes, classes > 0]) if name == "several outputs" else classes
    estimator = ESTIMATORS[name].fit(full, target)
    joblib.dump(estimator, tmp_path / "model.joblib", compress=3)

    answer = model_of(tmp_path).predict(full, [])

    expected = estimator.predict_proba(full)
    if isinstance(expected, list):  # outputs with unequal numbers of classes
        assert answer == {"outputs": [each.tolist() for each in expected]}
    else:
        assert np.array_equal(answer, expected)


@pytest.mark.parametrize("name", ["wrapper", "pipeline"])
def test_a_skops_file_answers_as_its_estimator(
    name: str, full: Array, classes: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A wrapper answers as its booster, anything around it as scikit-learn; no type is listed."""
    estimator = (ESTIMATORS | {"wrapper": small()})[name].fit(full, classes)
    skops.io.dump(estimator, tmp_path / "model.skops")

    model = model_of(tmp_path, method="predict_proba")

    assert np.array_equal(model.predict(full, []), estimator.predict_proba(full))


def test_other_types_in_a_skops_file_are_trusted_by_the_operator_alone(
    full: Array, classes: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A type of neither XGBoost's nor scikit-learn's is refused by name until it is listed."""
    estimator = make_pipeline(FunctionTransformer(halved), small()).fit(full, classes)
    skops.io.dump(estimator, tmp_path / "model.skops")

    with pytest.raises(DeploymentError, match=f"set the parameter trusted_types to {__name__}"):
        model_of(tmp_path)

    model = model_of(tmp_path, trusted_types=f"{__name__}.halved")
    assert np.array_equal(model.predict(full, []), estimator.predict_proba(full))


def halved(features: Any) -> Any:
    """A function of this module, which the server does not have."""
    return features / 2


@pytest.mark.usefixtures("since_3_1")
def test_categories_of_pandas_are_those_of_training(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A booster in a pipeline knows its labels, so requests may contain them."""
    table = pd.DataFrame(
        {
            "city": pd.Categorical(["Taipei", "Tainan", "Hualien", "Taipei", "Tainan"] * 8),
            "area": np.arange(40.0),
        }
    )
    booster = small(enable_categorical=True, tree_method="hist")
    pipeline = Pipeline([("booster", booster)]).fit(table, [0, 1, 1, 0, 1] * 8)
    joblib.dump(pipeline, tmp_path / "model.joblib")
    model = model_of(tmp_path)

    answer = model.predict([{"area": 3, "city": "Tainan"}, {"area": None, "city": None}])

    city = pd.Categorical(["Tainan", None], categories=table["city"].cat.categories)
    sent = pd.DataFrame({"city": city, "area": [3.0, np.nan]})
    assert np.array_equal(answer, pipeline.predict_proba(sent))
    with pytest.raises(ClientError, match="row 0, column 'city': expected one of 'Hualien', "):
        model.predict([{"area": 3, "city": "Taichung"}])


def test_a_regressor_inside_another_is_served(full: Array, tmp_path: Path, model_of: Any) -> None:
    """A regressor in a TransformedTargetRegressor is served."""
    inside = XGBRegressor(n_estimators=3)
    estimator = TransformedTargetRegressor(inside, func=np.log1p, inverse_func=np.expm1)
    joblib.dump(estimator.fit(full, np.abs(full[:, 0])), tmp_path / "model.joblib")

    assert np.array_equal(model_of(tmp_path).predict(full, []), estimator.predict(full))


@pytest.fixture(scope="module")
def table_pipeline(flats: pd.DataFrame) -> Any:
    """A pipeline that was trained on a DataFrame with text and numbers."""
    frame = flats.astype({"city": str, "district": int})
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city"]), (SimpleImputer(), ["area"])
    )
    return make_pipeline(columns, small()).fit(frame, frame["district"] > 10)


def test_a_pipeline_takes_records_over_http(
    flats: pd.DataFrame, table_pipeline: Any, tmp_path: Path, serve_model: Callable[..., Any]
) -> None:
    """A pipeline answers records over HTTP with probabilities."""
    joblib.dump(table_pipeline, tmp_path / "model.joblib")
    frame = flats.astype({"city": str, "district": int})

    server = serve_model(tmp_path)
    answer = server.post({"jsonData": frame.to_dict("records")})

    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["tensor"]["values"] == (
        table_pipeline.predict_proba(frame).astype(float).ravel().tolist()
    )


def test_the_metadata_of_a_pipeline_has_both_versions(
    table_pipeline: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The metadata has the versions of both packages, on which a pickle depends."""
    joblib.dump(table_pipeline, tmp_path / "model.joblib")

    metadata = model_of(tmp_path).init_metadata()

    assert metadata["inputs"][0]["schema"]["names"] == ["city", "district", "area"]
    assert metadata["outputs"][0]["schema"]["names"] == ["0", "1"]
    assert metadata["custom"] == {
        "device": "cpu",
        "method": "predict_proba",
        "saved_with": sklearn.__version__,
        "scikit-learn": sklearn.__version__,
        "xgboost": xgboost.__version__,
    }


def test_another_method_of_a_pipeline_is_asked(
    full: Array, classes: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The parameter selects a method of the estimator; a booster's methods are refused."""
    estimator = make_pipeline(StandardScaler(), small()).fit(full, classes)
    joblib.dump(estimator, tmp_path / "model.joblib")

    answer = model_of(tmp_path, method="predict").predict(full, [])

    assert np.array_equal(answer, estimator.predict(full))
    with pytest.raises(DeploymentError, match="to be one of predict_proba, decision_function"):
        model_of(tmp_path, method="leaf")


def test_a_pipeline_that_was_never_fitted_stops_the_start(tmp_path: Path, model_of: Any) -> None:
    """A pipeline that is not fitted stops the start."""
    joblib.dump(make_pipeline(StandardScaler(), small()), tmp_path / "model.joblib")

    with pytest.raises(DeploymentError, match=r"this model cannot answer: .*not fitted"):
        model_of(tmp_path)


def test_a_pipeline_that_mlflow_saved_is_served(
    full: Array, classes: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A pipeline that MLflow saved is served, although its flavor is `sklearn`."""
    estimator = make_pipeline(StandardScaler(), small()).fit(full, classes)
    script = tmp_path / "save.py"
    script.write_text(
        "import sys, joblib, mlflow.sklearn\n"
        "model = joblib.load(sys.argv[1])\n"
        "mlflow.sklearn.save_model(model, sys.argv[2], pip_requirements=['xgboost'])\n"
    )
    joblib.dump(estimator, tmp_path / "saved.joblib")
    versions = {"xgboost-cpu": xgboost, "scikit-learn": sklearn, "pandas": pd, "numpy": np}
    same = [f"{name}=={module.__version__}" for name, module in versions.items()]
    wanted = [word for each in ("mlflow-skinny==2.22.5", *same) for word in ("--with", each)]
    run = ("run", "--quiet", "--no-project", "--python", "3.11", *wanted, "python", "-W", "ignore")
    uv.run(*run, script, tmp_path / "saved.joblib", tmp_path / "model")

    model = model_of(tmp_path / "model")

    assert np.array_equal(model.predict(full, []), estimator.predict_proba(full))


# Objects that a pickle only names, because the script or notebook that saved it defined them.


@contextmanager
def script() -> Iterator[ModuleType]:
    """In this block, `__main__` is a new module, as while a script saves its model."""
    module = ModuleType("__main__")
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "__main__", module)
        yield module


def of_script(module: ModuleType, source: str) -> dict[str, Any]:
    """Run this source in the script's module; returns the names that it defines."""
    exec(source, vars(module))
    return vars(module)


METRIC = """
def rmsle(true, predicted):
    return float(((true - predicted) ** 2).mean())
"""


@pytest.mark.parametrize("first", [(), (StandardScaler(),)], ids=["alone", "in a pipeline"])
def test_a_metric_of_the_script_does_not_keep_a_model_from_serving(
    first: tuple[Any, ...], full: Array, tmp_path: Path, model_of: Any
) -> None:
    """A model is served without its training metric, which the script defined."""
    with script() as module:
        metric = of_script(module, METRIC)["rmsle"]
        model: Any = XGBRegressor(n_estimators=3, eval_metric=metric)
        model = make_pipeline(*first, model) if first else model
        model.fit(full, full[:, 0])
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))

    answer = model_of(tmp_path).predict(full, [])

    assert answer == pytest.approx(model.predict(full), abs=1e-6)


def saved_with_function(module: ModuleType, full: Array, path: Path) -> Any:
    """Save and return a pipeline whose first step is a function of the script."""
    doubled = of_script(module, "def doubled(rows):\n    return rows * 2\n")["doubled"]
    model = make_pipeline(FunctionTransformer(doubled), XGBRegressor(n_estimators=3))
    path.write_bytes(pickle.dumps(model.fit(full, full[:, 0])))
    return model


def test_a_function_that_answers_need_stops_the_start(
    full: Array, tmp_path: Path, model_of: Any
) -> None:
    """A missing function that predictions need is refused; the message names it and a solution."""
    with script() as module:
        saved_with_function(module, full, tmp_path / "model.pkl")

    with pytest.raises(DeploymentError, match=r"needs doubled of the notebook .*beside the model"):
        model_of(tmp_path)


def test_a_file_beside_the_model_may_define_what_the_script_did(
    full: Array, tmp_path: Path, model_of: Any
) -> None:
    """A file of any name beside the model may define the script's function."""
    with script() as module:
        model = saved_with_function(module, full, tmp_path / "model.pkl")
    (tmp_path / "my_functions.py").write_text("def doubled(rows):\n    return rows * 2\n")
    (tmp_path / "others.py").write_text("def tripled(rows):\n    return rows * 3\n")

    assert np.array_equal(model_of(tmp_path).predict(full, []), model.predict(full))


def test_a_class_of_the_script_stops_the_start(full: Array, tmp_path: Path, model_of: Any) -> None:
    """A missing class of the script is refused, because no placeholder can replace it."""
    with script() as module:
        names = {"TransformerMixin": TransformerMixin, "BaseEstimator": BaseEstimator}
        vars(module).update(names)
        source = (
            "class Same(TransformerMixin, BaseEstimator):\n"
            "    def fit(self, X, y=None):\n        return self\n"
            "    def transform(self, X):\n        return X\n"
        )
        same = of_script(module, source)["Same"]()
        model = make_pipeline(same, XGBRegressor(n_estimators=3)).fit(full, full[:, 0])
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))

    with pytest.raises(DeploymentError, match="needs Same of the notebook or script"):
        model_of(tmp_path)


# Missing values


def test_the_parameter_missing_names_a_value_that_means_none(
    full: Array, classes: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The parameter missing sets the missing value of training, which save_model does not store."""
    marked = np.where(np.abs(full) < 0.3, -999.0, full)
    model = small(missing=-999.0).fit(marked, classes)
    model.save_model(tmp_path / "model.json")

    answer = model_of(tmp_path, missing="-999").predict(marked, [])

    data = DMatrix(marked, missing=-999.0)
    assert np.array_equal(answer, model.get_booster().predict(data))
    assert not np.array_equal(answer, model_of(tmp_path).predict(marked, []))


def test_a_pickled_wrapper_keeps_its_own_missing_value(
    full: Array, classes: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A pickled wrapper, also in a pipeline, keeps its missing value unless a parameter sets it."""
    marked = np.where(np.abs(full) < 0.3, -999.0, full)
    wrapper = small(missing=-999.0).fit(marked, classes)
    pipeline = make_pipeline(FunctionTransformer(), small(missing=-999.0)).fit(marked, classes)
    joblib.dump(wrapper, tmp_path / "wrapper.joblib")
    joblib.dump(pipeline, tmp_path / "pipeline.joblib")

    for name in ("wrapper", "pipeline"):
        answer = model_of(tmp_path / f"{name}.joblib").predict(marked, [])
        other = model_of(tmp_path / f"{name}.joblib", missing="nan").predict(marked, [])
        assert np.array_equal(answer, wrapper.predict_proba(marked))
        assert not np.array_equal(other, answer)


def test_a_missing_value_that_is_not_a_number_stops_the_start(
    classifier_file: Path, model_of: Callable[..., Any]
) -> None:
    """If missing is not a number, the message names the parameter."""
    with pytest.raises(DeploymentError, match="parameter missing to be a number, got 'none'"):
        model_of(classifier_file, missing="none")


def test_a_model_of_a_sparse_matrix_takes_zeros_with_missing_0(
    full: Array, classes: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A model of a sparse matrix treats nulls, and zeros with missing=0, as missing values."""
    sparse = np.where(np.abs(full) < 0.5, 0.0, full)
    model = small().fit(csr_matrix(sparse), classes)
    model.save_model(tmp_path / "model.json")
    expected = model.predict_proba(csr_matrix(sparse))

    answer = model_of(tmp_path, missing="0").predict(sparse, [])
    of_null = model_of(tmp_path).predict(np.where(sparse == 0, np.nan, sparse), [])

    assert np.array_equal(answer, expected)
    assert np.array_equal(of_null, expected)
    assert not np.array_equal(model_of(tmp_path).predict(sparse, []), expected)
