"""A model that fails on a valid request: the client gets the exception's text."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

REQUEST = {"data": {"ndarray": [[1.0]]}}
calls: list[str] = []


class Failing(ClassifierMixin, BaseEstimator):
    """An author's estimator that raises the exception it was given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def fit(self, X: Any, y: Any) -> "Failing":
        """Set the attribute of a fitted estimator."""
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> None:
        """Record the call, then raise the exception."""
        calls.append("predict")
        raise self.error


@pytest.mark.parametrize(
    "error",
    [ValueError("no luck"), TypeError("no luck"), KeyError("no luck"), RuntimeError("no luck")],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_in_predict_is_an_internal_error_with_its_text(
    post_to: Callable[..., Any], error: Exception
) -> None:
    """An exception in predict becomes a 500 with its type and text; predict is called once."""
    post = post_to(Failing(error).fit([[0.0], [1.0]], [0, 1]))
    calls.clear()

    status, body = post(REQUEST)

    assert status == 500
    assert body["status"]["reason"] == "MICROSERVICE_INTERNAL_ERROR"
    assert type(error).__name__ in body["status"]["info"]
    assert "no luck" in body["status"]["info"]
    assert calls == ["predict"]


def test_a_category_that_the_model_does_not_know_is_the_clients_mistake(
    post_to: Callable[..., Any],
) -> None:
    """An unknown category becomes a 400 with scikit-learn's text."""
    model = make_pipeline(OneHotEncoder(), LogisticRegression())
    post = post_to(model.fit([["a"], ["b"], ["c"]], [0, 1, 0]))

    status, body = post({"data": {"ndarray": [["z"]]}})

    assert status == 400
    assert "row 0, column 0: expected one of 'a', 'b', 'c', got 'z'" in body["status"]["info"]


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # by numpy
def test_a_number_too_large_for_a_tree_is_located(post_to: Callable[..., Any], iris: Any) -> None:
    """For a number that is too large for a tree's float32, the message says where it is."""
    model = DecisionTreeClassifier().fit(iris.data, iris.target)

    status, body = post_to(model)({"data": {"ndarray": [[5.3, 3.5, 1e300, 0.2]]}})

    assert status == 400
    assert "row 0, column 2 is 1e+300" in body["status"]["info"]


def test_text_in_a_number_column_of_a_pipeline_is_located(
    post_to: Callable[..., Any], people: Any
) -> None:
    """The message has row and column of the request, not those of a step in the pipeline."""
    columns = ColumnTransformer(
        [("n", SimpleImputer(), ["age", "visits"]), ("c", OneHotEncoder(), ["city"])]
    )
    model = make_pipeline(columns, LogisticRegression()).fit(people, [0, 1, 0, 1, 1, 1])

    status, body = post_to(model)({"jsonData": [[33, "Tainan", 1], [33, "Tainan", "often"]]})

    assert status == 400
    assert "often" in body["status"]["info"]


TABLE = pd.DataFrame({"fare": [1.0, 2, 3, 4, 5, 6], "age": [2.0, 7, 1, 8, 2, 8]})


def logarithms(values: Any) -> Any:
    """An author's function of numbers."""
    return np.log1p(values)


@pytest.mark.parametrize("function", [np.log1p, np.exp])
def test_a_null_alone_reaches_a_function_of_numbers_as_nan(
    post_to: Callable[..., Any], function: Any
) -> None:
    """A null is NaN to a NumPy function of numbers, in one row as among others."""
    pipeline = make_pipeline(FunctionTransformer(function), SimpleImputer(), LogisticRegression())
    pipeline.fit(TABLE, [0, 1, 0, 1, 0, 1])

    status, body = post_to(pipeline)({"jsonData": [{"fare": None, "age": 2}]})

    sent = pd.DataFrame({"fare": [np.nan], "age": [2]})
    assert status == 200
    np.testing.assert_allclose(
        body["data"]["tensor"]["values"], pipeline.predict_proba(sent).ravel()
    )


def doubled(X: Any) -> Any:
    """Return twice the numbers, but a text twice as long."""
    return X * 2


class Ratio(TransformerMixin, BaseEstimator):
    """An author's step that computes with two columns and passes a third one on."""

    def fit(self, X: Any, y: Any = None) -> "Ratio":
        """Learn nothing."""
        return self

    def transform(self, X: Any) -> Any:
        """Return the ratio of two numbers and the length of a text."""
        return pd.DataFrame({"ratio": X["fare"] / X["age"], "length": X["port"].str.len()})


PORTS = TABLE.assign(port=["Kiel", "Turku", "Cork", "Kiel", "Turku", "Cork"])
#: An author's first step, the columns of a request, and the label of the column `fare`.
OF_NUMBERS: dict[str, tuple[Any, list[str], str]] = {
    "numpy's function": (FunctionTransformer(np.log1p), ["fare", "age"], "'fare'"),
    "own function": (FunctionTransformer(logarithms), ["fare", "age"], "'fare'"),
    "function of arrays": (FunctionTransformer(doubled), [], "0"),
    "own class beside text": (Ratio(), ["fare", "age", "port"], "'fare'"),
}


def broken(X: Any) -> Any:
    """Fail for any rows."""
    raise AttributeError("no such thing")


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("case", OF_NUMBERS)
def test_a_text_where_an_own_step_needs_a_number_is_an_error_of_the_client(
    post_to: Callable[..., Any], case: str, rows: int
) -> None:
    """The error names the cell: with a number there, the model answers, beside any other text."""
    step, names, label = OF_NUMBERS[case]
    table = PORTS[names] if names else TABLE.to_numpy()
    pipeline = make_pipeline(clone(step), LogisticRegression()).fit(table, [0, 1, 0, 1, 0, 1])
    good = [[number + 2.0, number + 3.0, "Oslo"][: len(names) or 2] for number in range(rows)]
    bad = [*good[:-1], ["x", *good[-1][1:]]]
    named = {"names": names} if names else {}
    post = post_to(pipeline)

    status, body = post({"data": {**named, "ndarray": bad}})

    expected = f"row {rows - 1}, column {label}: expected a number, got 'x'"
    assert (status, body["status"]["info"]) == (400, expected)
    status, body = post({"data": {**named, "ndarray": good}})
    sent = pd.DataFrame(good, columns=names) if names else np.array(good)
    assert status == 200
    np.testing.assert_allclose(
        np.ravel(body["data"].get("ndarray") or body["data"]["tensor"]["values"]),
        pipeline.predict_proba(sent).ravel(),
    )


@pytest.mark.parametrize("others", [[], [{"fare": 2.0, "age": 3.0, "port": "Kiel"}]])
def test_a_number_where_an_own_step_needs_a_text_is_an_error_of_the_client(
    post_to: Callable[..., Any], others: list[Any]
) -> None:
    """The error names the cell: with a text there, the model answers."""
    pipeline = make_pipeline(Ratio(), LogisticRegression()).fit(PORTS, [0, 1, 0, 1, 0, 1])

    status, body = post_to(pipeline)({"jsonData": [{"fare": 2.0, "age": 3, "port": 5}, *others]})

    assert (status, body["status"]["info"]) == (
        400,
        "row 0, column 'port': expected a text, got 5",
    )


@pytest.mark.parametrize("value", ["x", None])
def test_a_failure_that_no_number_prevents_is_an_error_of_the_model(
    post_to: Callable[..., Any], value: Any
) -> None:
    """A step that fails for numbers as well fails for its own reasons."""
    pipeline = make_pipeline(FunctionTransformer(np.log1p), LogisticRegression())
    pipeline.fit(TABLE, [0, 1, 0, 1, 0, 1])
    pipeline.steps[0] = ("broken", FunctionTransformer(broken))

    status, body = post_to(pipeline)({"jsonData": [{"fare": value, "age": 2}]})

    assert status == 500
    assert body["status"]["info"] == "the model failed: AttributeError: no such thing"
