import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from prepackaged import DeploymentError
from prepackaged.pickles import imports_of

WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"


def pipeline(people: pd.DataFrame) -> Any:
    """A pipeline for numbers and texts that contains arrays of objects."""
    columns = make_column_transformer((SimpleImputer(), ["age"]), (OneHotEncoder(), ["city"]))
    return make_pipeline(columns, LogisticRegression()).fit(people, [0, 1] * 3)


def save(directory: Path, model: Any, form: str) -> Path:
    """Save the model in the given form and return the path."""
    path = directory / ("model.pkl" if form == "pickle" else "model.joblib")
    if form == "pickle":
        path.write_bytes(pickle.dumps(model))
    else:
        joblib.dump(model, path, compress=3 if form == "compressed" else 0)
    return path


@pytest.mark.parametrize("form", ["pickle", "joblib", "compressed"])
def test_a_model_is_served_with_a_list_of_what_it_imports(
    form: str, people: pd.DataFrame, model_of: Callable[..., Any], tmp_path: Path
) -> None:
    """A model loads with the list of its imports, and is refused if one name is missing."""
    expected = pipeline(people)
    names = sorted(imports_of(save(tmp_path, expected, form)) or ())
    model = model_of(tmp_path, allowed_imports=", ".join(names))
    records = people.astype(object).where(people.notna(), None).to_dict("records")
    np.testing.assert_array_equal(model.predict(records), expected.predict_proba(people))

    estimator = "sklearn.linear_model._logistic.LogisticRegression"
    with pytest.raises(DeploymentError) as caught:
        model_of(tmp_path, allowed_imports=",".join({*names} - {estimator}))
    assert f"this pickle imports {estimator}, which the parameter allowed_imports" in str(
        caught.value
    )
    assert joblib.numpy_pickle.NumpyUnpickler.__name__ == "NumpyUnpickler"


def test_a_function_that_the_pipeline_calls_is_in_the_list_or_refused(
    iris: Any, model_of: Callable[..., Any], tmp_path: Path
) -> None:
    """A model is refused if the list lacks a function that the pipeline calls."""
    model = make_pipeline(FunctionTransformer(np.log1p), LogisticRegression(max_iter=500))
    names = imports_of(save(tmp_path, model.fit(iris.data, iris.target), "joblib")) or set()
    functions = {name for name in names if "log1p" in name or "ufunc" in name}
    assert functions
    with pytest.raises(DeploymentError, match="this pickle imports numpy"):
        model_of(tmp_path, allowed_imports=",".join(names - functions))


def test_a_file_that_only_looks_harmless_imports_nothing_more(
    model_of: Callable[..., Any], tmp_path: Path
) -> None:
    """A forged pickle that hides code behind an array's values is refused, without running it."""
    dtype = b"cnumpy\ndtype\n(S'V8'\nI00\nI01\ntR(I3\nS'|'\nNNNI100\nI1\nI0\ntb"
    state = (
        b"(dS'subclass'\ncnumpy\nndarray\nsS'shape'\n(I1\ntsS'order'\nS'C'\nsS'dtype'\n"
        + dtype
        + b"sS'allow_mmap'\nI00\ns"
    )
    wrapper = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + state + b"b"
    marker = tmp_path / "it_has_run"
    harm = f"cos\nsystem\n(S'touch {marker}'\ntR.".encode()
    path = tmp_path / "model.joblib"
    path.write_bytes(b"\x80\x02" + wrapper + (b"x" * 8 + b".").ljust(100, b"x") + harm)
    allowed = {WRAPPER, "numpy.ndarray", "numpy.dtype"}
    assert imports_of(path) == allowed

    with pytest.raises(DeploymentError, match=r"this pickle imports os\.system, which"):
        model_of(tmp_path, allowed_imports=",".join(allowed))
    assert not marker.exists()


def test_skops_files_have_a_list_of_their_own(
    classifier: LogisticRegression, model_of: Callable[..., Any], tmp_path: Path
) -> None:
    """The list of imports does not apply to .skops files, which are not pickles."""
    import skops.io

    skops.io.dump(classifier, tmp_path / "model.skops")
    assert model_of(tmp_path, allowed_imports="a.b").ready
