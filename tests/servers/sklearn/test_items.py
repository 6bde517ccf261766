"""Documents and dicts of features have the same meaning in every form of every protocol."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import requests
from serving import Server
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from prepackaged import ClientError

SELDON, V1, V2 = "/api/v1.0/predictions", "/v1/models/model:predict", "/v2/models/model/infer"
MLFLOW = "/invocations"
DOCUMENTS = ["good food", "bad food", "good soup", "bad soup"]
TEXTS = DOCUMENTS[:2]
ROWS = [[text] for text in TEXTS]
RECORDS = [{"text": text} for text in TEXTS]
FLATS = [{"city": "Taipei", "area": 30.5}, {"city": "Tainan", "area": 20}]
FLAT_ROWS = [[each["city"], each["area"]] for each in FLATS]
COLUMNS = {"city": ["Taipei", "Tainan"], "area": [30.5, 20]}
TENSORS = [
    {"name": "city", "shape": [2], "datatype": "BYTES", "data": COLUMNS["city"]},
    {"name": "area", "shape": [2], "datatype": "FP64", "data": COLUMNS["area"]},
]
OF_TEXT: dict[str, tuple[str, Any]] = {
    "Seldon, list": (SELDON, {"jsonData": TEXTS}),
    "Seldon, rows with names": (SELDON, {"data": {"names": ["text"], "ndarray": ROWS}}),
    "Seldon, records": (SELDON, {"jsonData": RECORDS}),
    "Seldon, column": (SELDON, {"jsonData": {"text": TEXTS}}),
    "Seldon, split": (SELDON, {"jsonData": {"columns": ["text"], "data": ROWS}}),
    "V1, records": (V1, {"instances": RECORDS}),
    "V1, rows": (V1, {"instances": ROWS}),
    "V1, column": (V1, {"inputs": {"text": TEXTS}}),
    "MLflow, records": (MLFLOW, {"dataframe_records": RECORDS}),
    "MLflow, split": (MLFLOW, {"dataframe_split": {"columns": ["text"], "data": ROWS}}),
    "MLflow, column": (MLFLOW, {"inputs": {"text": TEXTS}}),
    "V2, tensor": (V2, {"inputs": [TENSORS[0] | {"data": TEXTS}]}),
    "V2, table": (
        V2,
        {"parameters": {"content_type": "pd"}, "inputs": [TENSORS[0] | {"data": TEXTS}]},
    ),
}
OF_FLATS: dict[str, tuple[str, Any]] = {
    "Seldon, records": (SELDON, {"jsonData": FLATS}),
    "Seldon, columns": (SELDON, {"jsonData": COLUMNS}),
    "Seldon, split": (SELDON, {"jsonData": {"columns": ["city", "area"], "data": FLAT_ROWS}}),
    "Seldon, names": (SELDON, {"data": {"names": ["city", "area"], "ndarray": FLAT_ROWS}}),
    "V1, records": (V1, {"instances": FLATS}),
    "V1, columns": (V1, {"inputs": COLUMNS}),
    "MLflow, records": (MLFLOW, {"dataframe_records": FLATS}),
    "MLflow, split": (
        MLFLOW,
        {"dataframe_split": {"columns": ["city", "area"], "data": FLAT_ROWS}},
    ),
    "MLflow, columns": (MLFLOW, {"inputs": COLUMNS}),
    "V2, columns": (V2, {"inputs": TENSORS}),
}


def predictions(answer: Any) -> Any:
    """The rows of an answer of any protocol."""
    if "data" in answer:
        data = answer["data"]
        tensor = data.get("tensor")
        return np.reshape(tensor["values"], tensor["shape"]) if tensor else data["ndarray"]
    if "predictions" in answer:
        return answer["predictions"]
    outputs = answer["outputs"]
    return outputs if type(outputs[0]) is list else np.reshape(outputs[0]["data"], (2, 2))


def assert_same_in_all(server: Server, forms: dict[str, tuple[str, Any]], expected: Any) -> None:
    """Post every form and compare the answers."""
    for name, (path, body) in forms.items():
        response = requests.post(server.url + path, json=body, timeout=30)
        assert response.status_code == 200, f"{name}: {response.text}"
        np.testing.assert_allclose(predictions(response.json()), expected, err_msg=name)


def test_documents_are_the_same_in_every_form(
    tmp_path: Path, serve_model: Callable[..., Server]
) -> None:
    """A text model accepts texts as a list, and as the only column of a table."""
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(DOCUMENTS, [1, 0, 1, 0])
    joblib.dump(model, tmp_path / "model.joblib")

    assert_same_in_all(serve_model(tmp_path), OF_TEXT, model.predict_proba(TEXTS))


def test_dicts_of_features_are_the_same_in_every_form(
    tmp_path: Path, serve_model: Callable[..., Server]
) -> None:
    """A model of dicts takes records and every table with names."""
    model = make_pipeline(DictVectorizer(), LogisticRegression()).fit(FLATS * 2, [1, 0, 1, 0])
    joblib.dump(model, tmp_path / "model.joblib")

    assert_same_in_all(serve_model(tmp_path), OF_FLATS, model.predict_proba(FLATS))


def test_a_table_of_several_columns_is_not_a_list_of_documents(served: Callable[..., Any]) -> None:
    """A text model says what it takes, and names the column of a value that is no text."""
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(DOCUMENTS, [1, 0, 1, 0])
    answer = served(model)

    with pytest.raises(ClientError, match="expected one text in each row, got rows of 2 columns"):
        answer({"jsonData": [{"a": "good", "b": "food"}]})
    with pytest.raises(ClientError, match="row 0, column 'a': expected text, got null"):
        answer({"jsonData": [{"a": None}]})


def test_texts_in_a_list_are_several_values_of_a_feature(served: Callable[..., Any]) -> None:
    """A record may have lists of texts; if they may also be columns, the request is refused."""
    films = [{"genre": ["drama", "war"], "cast": ["Ada"]}, {"genre": ["comedy"], "cast": ["Bo"]}]
    model = make_pipeline(DictVectorizer(), LogisticRegression()).fit(films * 2, [1, 0, 1, 0])
    answer = served(model)

    for sent in (films[:1], films[0]):
        np.testing.assert_array_equal(answer({"jsonData": sent}), model.predict_proba(films[:1]))
    with pytest.raises(ClientError, match="may be one record or columns of 2 values"):
        answer({"jsonData": {"genre": ["drama", "war"], "cast": ["Ada", "Bo"]}})


class Shouting(TfidfVectorizer):
    """A vectorizer that changes its documents."""

    def transform(self, raw_documents: Any) -> Any:
        """Vectorize the documents in lower case."""
        return super().transform([each.lower() for each in raw_documents])


class Stemming(TfidfVectorizer):
    """A vectorizer with an analyzer of its own."""

    def build_analyzer(self) -> Any:
        """Cut words after two letters."""
        analyze = super().build_analyzer()
        return lambda document: [word[:2] for word in analyze(document)]


class OfTables(TfidfVectorizer):
    """A vectorizer of a table's column."""

    def fit_transform(self, raw_documents: Any, y: Any = None) -> Any:
        """Learn the words of the column."""
        return super().fit_transform(raw_documents["text"])

    def transform(self, raw_documents: Any) -> Any:
        """Vectorize the column."""
        return super().transform(raw_documents["text"])


@pytest.mark.parametrize("kind", [Shouting, Stemming, OfTables])
def test_an_own_vectorizer_gets_the_items_that_it_accepts(
    served: Callable[..., Any], kind: Any
) -> None:
    """A subclass gets the documents of a table, or the table where it fails on documents."""
    model = make_pipeline(kind(), LogisticRegression())
    trained = pd.DataFrame({"text": DOCUMENTS}) if kind is OfTables else DOCUMENTS
    model.fit(trained, [1, 0, 1, 0])

    answer = served(model)({"jsonData": RECORDS})

    sent = pd.DataFrame(RECORDS) if kind is OfTables else TEXTS
    np.testing.assert_array_equal(answer, model.predict_proba(sent))


class Noting(TransformerMixin, BaseEstimator):
    """An author's first step that notes the number of columns and not their names."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Note the number of columns."""
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        """Compute two columns, which are read by name."""
        return np.column_stack([X["area"], X["rooms"] * 2])


class OfArrays(Noting):
    """The same for arrays."""

    def transform(self, X: Any) -> Any:
        """Compute two columns, which are read by position."""
        return X[:, :2] * 2


def test_a_step_that_reads_names_gets_those_of_the_request(served: Callable[..., Any]) -> None:
    """An author's step that fails on arrays gets a DataFrame; rows without names are refused."""
    table = pd.DataFrame({"rooms": [1, 2, 3, 4], "area": [10.0, 20, 35, 40]})
    model = make_pipeline(Noting(), LogisticRegression()).fit(table, [0, 1, 0, 1])
    answer, expected = served(model), model.predict_proba(table)
    rows = table.to_numpy().tolist()

    for sent in (
        {"jsonData": table.to_dict("records")},
        {"jsonData": table[["area", "rooms"]].to_dict("list")},
        {"data": {"names": ["rooms", "area"], "ndarray": rows}},
    ):
        np.testing.assert_array_equal(answer(sent), expected)
    with pytest.raises(ClientError, match="expected column names beside the rows, or records"):
        answer({"data": {"ndarray": rows}})
    with pytest.raises(ClientError, match="expected rows of 2 values, got 1"):
        answer({"jsonData": {"rooms": 1}})


class Weekday(TransformerMixin, BaseEstimator):
    """An author's first step that notes nothing and reads a column of texts by its name."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Note nothing."""
        return self

    def transform(self, X: Any) -> Any:
        """Return the day of the week as a column."""
        return pd.to_datetime(X["when"]).dt.day_of_week.to_numpy()[:, None]


def test_a_single_column_of_texts_keeps_the_name_of_the_request(
    served: Callable[..., Any],
) -> None:
    """Texts under a name are a DataFrame of one column; without a name, the error asks for it."""
    table = pd.DataFrame({"when": ["2024-01-01", "2024-01-02", "2024-01-06", "2024-01-07"]})
    model = make_pipeline(Weekday(), LogisticRegression()).fit(table, [0, 0, 1, 1])
    answer, expected = served(model), model.predict_proba(table)
    rows = table.to_numpy().tolist()

    for sent in (
        {"jsonData": table.to_dict("records")},
        {"data": {"names": ["when"], "ndarray": rows}},
    ):
        np.testing.assert_array_equal(answer(sent), expected)
    with pytest.raises(ClientError, match="expected column names beside the rows, or records"):
        answer({"data": {"ndarray": rows}})


class Product(Weekday):
    """An author's first step that notes nothing and reads columns of numbers by name."""

    def transform(self, X: Any) -> Any:
        """Return a column."""
        return (X["rooms"] * 2 - X["area"]).to_numpy()[:, None]


@pytest.mark.parametrize("value", [2, True, "x", None, 10**400])
def test_rows_without_the_names_that_a_step_reads_are_refused(
    served: Callable[..., Any], value: Any
) -> None:
    """Whatever the values are: it is the names that are missing, or a number is too large."""
    table = pd.DataFrame({"rooms": [1, 2, 3, 4], "area": [10.0, 20, 35, 40]})
    answer = served(make_pipeline(Product(), LogisticRegression()).fit(table, [0, 1, 0, 1]))

    expected = "expected (column names beside the rows, or records|numbers within 64-bit)"
    with pytest.raises(ClientError, match=expected):
        answer({"data": {"ndarray": [[1, 2.5], [1, value]]}})


class Sum(TransformerMixin, BaseEstimator):
    """An author's first step that notes nothing and calls a method of DataFrames."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Note nothing."""
        return self

    def transform(self, X: Any) -> Any:
        """Return the sum of each row."""
        return X.assign(total=X.sum(axis=1))[["total"]]


def test_rows_without_names_for_a_step_of_dataframes_are_refused(
    served: Callable[..., Any],
) -> None:
    """The client gets 400 with advice to send names, and a text among numbers is named."""
    table = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [4.0, 3, 9, 8]})
    model = make_pipeline(Sum(), LogisticRegression()).fit(table, [0, 0, 1, 1])
    answer = served(model)

    sent = {"jsonData": table.to_dict("records")}
    np.testing.assert_array_equal(answer(sent), model.predict_proba(table))
    with pytest.raises(ClientError, match="expected column names beside the rows, or records"):
        answer({"data": {"ndarray": table.to_numpy().tolist()}})
    with pytest.raises(ClientError, match="row 0, column 'a': expected a number, got 'x'"):
        answer({"jsonData": [{"a": "x", "b": 1}]})


def test_a_step_that_reads_arrays_gets_arrays(served: Callable[..., Any]) -> None:
    """Names beside the rows change nothing for an author's step that does not read them."""
    rows = np.arange(8.0).reshape(4, 2)
    model = make_pipeline(OfArrays(), LogisticRegression()).fit(rows, [0, 1, 0, 1])
    answer = served(model)

    for names in ([], ["a", "b"]):
        got = answer({"data": {"names": names, "ndarray": rows.tolist()}})
        np.testing.assert_array_equal(got, model.predict_proba(rows))
    with pytest.raises(ClientError, match="this model knows no column names"):
        answer({"jsonData": [{"a": 1, "b": 2}]})
