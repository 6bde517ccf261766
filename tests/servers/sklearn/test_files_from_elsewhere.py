"""Files from other programs: another Python, a notebook, an author's own code."""

import json
import pickle
import pickletools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pytest
import skops.io
from pickled_code import PICKLES
from serving import ROOT, fail_to_serve
from sklearn import __version__
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from prepackaged import DeploymentError
from prepackaged.bytecode import HERE

SERVER = ROOT / "sklearn/server"
ROW = {"data": {"ndarray": [[5.3, 3.5, 1.4, 0.2]]}}
FOREIGN = [key for key in PICKLES if key[0] != HERE and key != ("3.12", "arithmetic")]


class Reduced:
    """An object that is pickled as a function call."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        """Return the call to pickle."""
        return self.parts

    def __call__(self) -> None:
        """Do nothing; pickle requires a callable."""


# Code of another Python


@pytest.mark.parametrize("key", FOREIGN, ids="-".join)
def test_code_of_another_python_stops_the_start(
    key: tuple[str, str], tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Code of another Python is refused before it is loaded: calling it would crash the process."""
    (tmp_path / "model.pkl").write_bytes(PICKLES[key])
    told = "3.8 to 3.10" if key[0] == "3.10" else key[0]

    with pytest.raises(DeploymentError, match=rf"holds code of Python {told} .* runs {HERE}"):
        model_of(tmp_path)


def test_the_last_log_line_of_the_process_names_the_python(tmp_path: Path) -> None:
    """The server exits before it is ready; the last log line names the Python version."""
    (tmp_path / "model.pkl").write_bytes(PICKLES["3.12", "class"])

    failed = fail_to_serve(SERVER, model_uri=str(tmp_path))

    assert failed.status == 1
    assert "this pickle holds code of Python 3.12 (Doubling." in failed.last_line
    assert "Traceback" not in failed.log


@pytest.mark.parametrize("compress", [0, 3, ("bz2", 3), ("xz", 3), ("gzip", 3)], ids=str)
def test_code_between_arrays_of_a_joblib_file_is_seen(
    compress: Any, iris: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Code is found behind arrays in a joblib file, whose raw bytes are not opcodes."""
    constants = pickletools.genops(PICKLES["3.12", "function"])
    code = next(value for _, value, _ in constants if isinstance(value, bytes))
    arguments = (1, 0, 0, 2, 6, 3, code, (None, 0, 1), (), (), "", "f", "clip", 1, b"", b"", (), ())
    made = Reduced(Reduced(cloudpickle.cloudpickle._builtin_type, ("CodeType",)), arguments)
    texts = np.array(["a", "bc", None], dtype=object)
    mixed = np.array([(1, "a")], dtype=[("number", "i4"), ("text", "U3")])
    content = [iris.data, texts, mixed, iris.data.T, np.array(3.5), np.zeros((0, 4)), made]
    joblib.dump(content, tmp_path / "model.joblib", compress=compress)

    with pytest.raises(DeploymentError, match=r"holds code of Python 3\.12 \(clip\)"):
        model_of(tmp_path)


def test_a_class_that_cloudpickle_pickled_here_is_served(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A class without scikit-learn's base class or attributes like `coef_` is served."""
    (tmp_path / "model.pkl").write_bytes(PICKLES[HERE, "class"])

    model = model_of(tmp_path, method="transform")

    assert model.predict(np.array([[1.0, 2.5]]), []).tolist() == [[2.0, 5.0]]


def test_the_python_version_in_mlmodel_counts(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """The Python version in MLmodel is used if the pickled code does not reveal it."""
    (tmp_path / "model.pkl").write_bytes(PICKLES["3.12", "arithmetic"])
    (tmp_path / "MLmodel").write_text(
        "flavors:\n"
        "  python_function: {python_version: 3.12.4}\n"
        "  sklearn: {pickled_model: model.pkl, sklearn_version: 1.5.2}\n"
    )

    with pytest.raises(DeploymentError, match=r"holds code of Python 3\.12 \(<lambda>\)"):
        model_of(tmp_path)


# Another scikit-learn


def saved_by(version: str, model: Any, path: Path) -> None:
    """Pickle a model with another scikit-learn version number in the file."""
    content = pickle.dumps(model)
    assert content.count(__version__.encode()) == 1
    assert len(version) == len(__version__)
    path.write_bytes(content.replace(__version__.encode(), version.encode()))


def fails_from_five(rows: Any) -> Any:
    """A step that raises an error for values above five."""
    if np.max(rows) > 5:
        raise RuntimeError("too large")
    return rows


def test_an_error_of_a_model_of_another_version_says_so(
    iris: Any, tmp_path: Path, serve_model: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the version that saved the model, this image's, and the matching tag."""
    monkeypatch.setenv("PREPACKAGED_TAGS", "0.1-sklearn1.2:scikit-learn@1.2.2")
    model = make_pipeline(FunctionTransformer(fails_from_five), LogisticRegression(max_iter=500))
    saved_by("1.2.0", model.fit(iris.data / 2, iris.target), tmp_path / "model.pkl")

    answer = serve_model(tmp_path).post(ROW)

    assert answer.status_code == 500
    assert answer.json()["status"]["info"] == (
        "the model failed: RuntimeError: too large; it was saved by scikit-learn 1.2.0, and this"
        f" image has scikit-learn {__version__}: use the tag 0.1-sklearn1.2"
    )


def test_another_version_is_refused_where_the_operator_wants_it(
    classifier: Any, tmp_path: Path, model_of: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """`version_mismatch` refuses, logs a warning (the default), or does nothing (`off`)."""
    saved_by("1.0.2", classifier, tmp_path / "model.pkl")

    with pytest.raises(DeploymentError, match=r"version_mismatch is refuse, .* scikit-learn 1\.0"):
        model_of(tmp_path, version_mismatch="refuse")
    assert caplog.text == ""
    assert model_of(tmp_path, version_mismatch="off").custom["saved_with"] == "1.0.2"
    assert caplog.text == ""
    model_of(tmp_path)
    assert "answers may differ, because it was saved by scikit-learn 1.0.2" in caplog.text


def test_the_version_that_saved_a_skops_file_is_known(
    classifier: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The metadata has the scikit-learn version of a .skops file."""
    skops.io.dump(classifier, tmp_path / "model.skops")

    assert model_of(tmp_path).custom["saved_with"] == __version__


# A trial prediction before the server is ready


def test_a_model_that_can_answer_nothing_stops_the_start(
    iris: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A scikit-learn estimator that lacks an attribute it needs stops the start."""
    model = KNeighborsClassifier().fit(iris.data, iris.target)
    del model._tree
    saved_by("1.0.2", model, tmp_path / "model.pkl")

    with pytest.raises(DeploymentError, match=r"cannot answer: AttributeError: .*'_tree'; it was"):
        model_of(tmp_path)


class Counting:
    """An author's estimator that changes its state when it predicts."""

    calls = 0

    def fit(self, X: Any, y: Any = None) -> "Counting":
        """Do nothing."""
        return self

    def predict(self, X: Any) -> Any:
        """Return the number of calls so far, for each row."""
        self.calls += 1
        asked.append(X)
        return [self.calls] * len(X)


asked: list[Any] = []


def test_a_trial_does_not_change_the_model(tmp_path: Path, serve_model: Callable[..., Any]) -> None:
    """The trial prediction uses a copy of the model."""
    asked.clear()
    joblib.dump(Counting(), tmp_path / "model.joblib")

    server = serve_model(tmp_path)
    tried = len(asked)
    answer = server.post(ROW)

    assert tried > 0
    assert answer.json()["data"]["ndarray"] == [1]


def test_the_example_of_an_mlflow_model_is_tried_first(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The trial uses the input example of an MLflow model, here a DataFrame."""
    asked.clear()
    joblib.dump(Counting(), tmp_path / "model.joblib")
    example = {"columns": ["age", "city"], "data": [[33, "Tainan"], [44, "Taipei"]]}
    (tmp_path / "input_example.json").write_text(json.dumps(example))
    (tmp_path / "MLmodel").write_text(
        "flavors: {sklearn: {pickled_model: model.joblib}}\n"
        "saved_input_example_info: {artifact_path: input_example.json, type: dataframe}\n"
        "signature:\n"
        '  inputs: \'[{"type": "long", "name": "age"}, {"type": "string", "name": "city"}]\'\n'
    )

    model_of(tmp_path)

    assert [frame.to_dict("records") for frame in asked] == [[{"age": 33, "city": "Tainan"}]]


class Choosy(Counting):
    """An author's estimator that fails on the rows that a trial makes up."""

    def predict(self, X: Any) -> Any:
        """Return the rows; raise an error for made-up ones."""
        if np.asarray(X).ravel()[0] in (0, "a"):
            raise RuntimeError("made up")
        return X


def test_a_trial_that_fails_on_made_up_rows_does_not_stop_the_start(
    tmp_path: Path, serve_model: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A trial that fails on made-up rows neither stops the start nor logs a warning."""
    joblib.dump(Choosy(), tmp_path / "model.joblib")

    answer = serve_model(tmp_path).post(ROW)

    assert answer.json()["data"]["ndarray"] == ROW["data"]["ndarray"]
    assert caplog.text == ""


# Estimators of an author


class Returning(Counting):
    """An author's estimator whose predict returns a fixed value."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict(self, X: Any) -> Any:
        """Return the fixed value."""
        return self.answer


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        ([1, 2], [1, 2]),
        ([0.5], [0.5]),
        (["spam", "ham"], ["spam", "ham"]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ((1.5, 2.5), [1.5, 2.5]),
        ([np.array([1, 2]), np.array([3, 4])], [[1, 2], [3, 4]]),
        ([np.float32(0.5)], [0.5]),
        ([True, False], [True, False]),
        ([None, "a"], [None, "a"]),
    ],
)
def test_lists_are_answered(post_to: Callable[..., Any], answer: Any, sent: Any) -> None:
    """A list that predict returns is answered as rows, of numbers or text."""
    rows = [[1.0]] * len(sent)

    status, body = post_to(Returning(answer))({"data": {"ndarray": rows}})

    assert (status, body.get("data", body).get("ndarray")) == (200, sent)


def test_a_dict_is_answered_as_json(post_to: Callable[..., Any]) -> None:
    """A dict that predict returns is answered as jsonData."""
    status, body = post_to(Returning({"label": "spam"}))(ROW)

    assert (status, body["jsonData"]) == (200, {"label": "spam"})


FEATURES = """
from sklearn.base import BaseEstimator, TransformerMixin

class Doubling(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        from more_of_it import factor  # not before it is called
        return X * factor
"""


@pytest.mark.parametrize("name", ["model.joblib", "model.pkl", "model.sav"])
def test_a_module_beside_the_model_is_found(
    name: str, iris: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Modules beside the model can be imported, at load and later during a prediction."""
    (tmp_path / "my_features.py").write_text(FEATURES)
    (tmp_path / "more_of_it.py").write_text("factor = 2\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(tmp_path)
        features = __import__("my_features")
        model = make_pipeline(features.Doubling(), LogisticRegression(max_iter=500))
        expected = model.fit(iris.data, iris.target).predict_proba(iris.data)
        joblib.dump(model, tmp_path / name)
        for module in ("my_features", "more_of_it"):
            patched.delitem(sys.modules, module)

    assert np.array_equal(model_of(tmp_path).predict(iris.data, []), expected)


def test_a_module_that_cannot_be_found_stops_the_start(tmp_path: Path) -> None:
    """For a missing module, the last log line says where to put it."""
    (tmp_path / "model.pkl").write_bytes(b"cmy_other_features\nDoubling\n(tR.")

    failed = fail_to_serve(SERVER, model_uri=str(tmp_path))

    assert "needs the Python module 'my_other_features', which is neither" in failed.last_line
    assert "put its file beside the model file or into MLflow's code_paths" in failed.last_line


@contextmanager
def script() -> Iterator[ModuleType]:
    """In this block, `__main__` is a new module, as while a notebook saves its model."""
    module = ModuleType("__main__")
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "__main__", module)
        yield module


def save_of_script(iris: Any, path: Path, dump: Callable[[Any], bytes]) -> Any:
    """Save and return a pipeline with a function that is defined in `__main__`."""
    with script() as module:
        exec("def doubled(rows):\n    return rows * 2\n", vars(module))
        model = make_pipeline(FunctionTransformer(vars(module)["doubled"]), LogisticRegression())
        path.write_bytes(
            dump(model.set_params(logisticregression__max_iter=500).fit(iris.data, iris.target))
        )
    return model


def test_a_function_of_the_notebook_stops_the_start(
    iris: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A pickle that needs a function of the notebook is refused; the message lists solutions."""
    save_of_script(iris, tmp_path / "model.pkl", pickle.dumps)

    with pytest.raises(DeploymentError) as caught:
        model_of(tmp_path)

    assert str(caught.value) == (
        f"model file {tmp_path}/model.pkl needs doubled of the notebook or script that saved it"
        " (__main__), which a pickle only names: put a Python file that defines it beside the model"
        " file, or import it from a module of your own when you save and put that beside it (with"
        " MLflow, into code_paths), or save with cloudpickle"
    )


def test_a_file_beside_the_model_may_replace_the_notebook(
    iris: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A file that defines the function replaces the notebook; other files are not run."""
    model = save_of_script(iris, tmp_path / "model.pkl", pickle.dumps)
    (tmp_path / "functions.py").write_text("def doubled(rows):\n    return rows * 2\n")
    (tmp_path / "train.py").write_text("raise SystemExit('not to be run')\n")

    answer = model_of(tmp_path).predict(iris.data, [])

    assert np.array_equal(answer, model.predict_proba(iris.data))


def test_cloudpickle_brings_the_notebooks_function_along(
    iris: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A model saved with cloudpickle contains the notebook's function and is served."""
    model = save_of_script(iris, tmp_path / "model.pkl", cloudpickle.dumps)

    assert np.array_equal(model_of(tmp_path).predict(iris.data, []), model.predict_proba(iris.data))


# n_jobs


def jobs_of(model: Any) -> set[Any]:
    """The n_jobs of all estimators in a served model."""
    text = repr([vars(part).get("n_jobs") for part in walked(model.served.estimator)])
    return set(text.strip("[]").split(", ")) - {"None"}


def walked(each: Any) -> Iterator[Any]:
    """Yield an estimator and all estimators in its attributes."""
    if isinstance(each, list | tuple | np.ndarray):
        for item in each:
            yield from walked(item)
    elif hasattr(each, "get_params") and not isinstance(each, type):
        yield each
        for value in vars(each).values():
            yield from walked(value)


PARALLEL = [
    RandomForestClassifier(3, n_jobs=-1),
    make_pipeline(FunctionTransformer(), KNeighborsClassifier(n_jobs=4)),
    VotingClassifier([("k", KNeighborsClassifier(n_jobs=-1))], n_jobs=-1, voting="soft"),
    BaggingClassifier(RandomForestClassifier(2, n_jobs=2), 2, n_jobs=-1),
    GridSearchCV(KNeighborsClassifier(n_jobs=2), {"n_neighbors": [2, 3]}, n_jobs=None),
]


@pytest.mark.parametrize("estimator", PARALLEL, ids=lambda each: type(each).__name__)
def test_one_request_is_not_shared_out(
    estimator: Any, iris: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """n_jobs becomes 1 in all estimators, whatever was saved, unless the parameter sets it."""
    joblib.dump(estimator.fit(iris.data, iris.target), tmp_path / "model.joblib")

    assert jobs_of(model_of(tmp_path)) == {"1"}
    assert jobs_of(model_of(tmp_path, n_jobs="2")) == {"2"}
    assert np.array_equal(
        model_of(tmp_path).predict(iris.data, []), estimator.predict_proba(iris.data)
    )


def test_models_that_start_processes_start_none(
    iris: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """n_jobs is 1 for models that would start joblib processes of hundreds of megabytes."""
    target = np.column_stack([iris.target, iris.target])
    model = MultiOutputClassifier(LogisticRegression(max_iter=500), n_jobs=-1)
    joblib.dump(model.fit(iris.data, target), tmp_path / "model.joblib")

    assert jobs_of(model_of(tmp_path)) == {"1"}


def test_a_wrong_number_of_jobs_stops_the_start(
    classifier: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """For a wrong n_jobs, the message names the parameter."""
    joblib.dump(classifier, tmp_path / "model.joblib")

    with pytest.raises(DeploymentError, match="parameter n_jobs to be a whole number, got 'all'"):
        model_of(tmp_path, n_jobs="all")
