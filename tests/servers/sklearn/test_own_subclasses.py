"""Subclasses of scikit-learn's estimators with methods of their own are not the originals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from prepackaged.estimators.columns import columns_of

IS_LATE = [0, 1, 0, 1, 1, 0]
TABLE = pd.DataFrame({"x": ["a", "b", "a", "c", "b", "c"], "fare": [1.0, 5, 2, 4, 6, 3]})


class LowerCase(OneHotEncoder):
    """An encoder of text in any case."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn the categories in lower case."""
        return super().fit(X.map(str.lower))

    def transform(self, X: Any) -> Any:
        """Encode the text in lower case."""
        return super().transform(X.map(str.lower))


class OfNumbers(OrdinalEncoder):
    """An encoder of numbers by their text."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn the texts."""
        return super().fit(X.map(str))

    def transform(self, X: Any) -> Any:
        """Encode the texts."""
        return super().transform(X.map(str))


class Lengths(SimpleImputer):
    """An imputer of the lengths of texts."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn the mean length."""
        return super().fit(X.map(len))

    def transform(self, X: Any) -> Any:
        """Compute the lengths."""
        return super().transform(X.map(len))


class Marked(FunctionTransformer):
    """A transformer that never calls its function."""

    def transform(self, X: Any) -> Any:
        """Whether a text is the letter a."""
        return np.asarray(X == "a", float)


SENT = {
    "one-hot": (LowerCase(sparse_output=False), TABLE["x"], "B"),
    "ordinal": (OfNumbers(), pd.Series([1, 2, 3] * 2), 2),
    "imputer": (Lengths(), TABLE["x"] * 2, "abc"),
    "function": (Marked(), TABLE["x"], "a"),
}


@pytest.mark.parametrize("name", SENT)
def test_an_own_transform_gets_the_values_as_they_are(
    served: Callable[..., Any], name: str
) -> None:
    """Values are not checked by categories and types that the subclass learned from other rows."""
    step, values, value = SENT[name]
    table = TABLE.assign(x=values)
    columns = make_column_transformer((step, ["x"]), (StandardScaler(), ["fare"]))
    pipeline = make_pipeline(columns, LogisticRegression()).fit(table, IS_LATE)

    answer = served(pipeline)({"jsonData": [{"x": value, "fare": 2.0}]})

    sent = pd.DataFrame({"x": [value], "fare": [2.0]}).astype(table.dtypes)
    np.testing.assert_array_equal(answer, pipeline.predict_proba(sent))


class OfText(HistGradientBoostingClassifier):
    """A model of numbers in texts such as "1,000"."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train on the numbers."""
        return super().fit(_numbers(X), y)

    def predict_proba(self, X: Any) -> Any:
        """Compute the probabilities of the numbers."""
        return super().predict_proba(_numbers(X))


def _numbers(X: Any) -> Any:
    return X.map(lambda text: float(text.replace(",", "")))


def test_an_own_predict_proba_gets_the_values_as_they_are(served: Callable[..., Any]) -> None:
    """A subclass of histogram boosting may have trained on other numbers than it gets."""
    table = pd.DataFrame({"x": ["1,000", "2,000", "3", "4", "5,500", "6"] * 8})
    model = OfText().fit(table, IS_LATE * 8)

    answer = served(model)({"jsonData": [{"x": "1,000"}, {"x": "4"}]})

    expected = model.predict_proba(pd.DataFrame({"x": ["1,000", "4"]}))
    np.testing.assert_array_equal(answer, expected)


class Logarithms(MinMaxScaler):
    """A scaler of logarithms."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn the range of the logarithms."""
        return super().fit(np.log(X))

    def transform(self, X: Any) -> Any:
        """Scale the logarithms."""
        return super().transform(np.log(X))


def test_an_own_scaler_tells_no_range() -> None:
    """The range that a subclass learned of other numbers is none of its input."""
    rows = np.array([[1.0], [10.0], [1000.0]])

    assert columns_of(Logarithms().fit(rows))[0].value_range is None
    assert columns_of(MinMaxScaler().fit(rows))[0].value_range is not None


class Careful(RandomForestClassifier):
    """A forest that is never sure about dear flights."""

    def predict_proba(self, X: Any) -> Any:
        """Return equal probabilities where the scaled fare is large."""
        probabilities = super().predict_proba(X)
        probabilities[np.asarray(X)[:, -1] > 50] = 0.5
        return probabilities


def test_an_own_forest_answers_itself_however_often_it_agreed_with_the_original(
    served: Callable[..., Any],
) -> None:
    """An author's method is called for every request, not its base class's faster copy."""
    columns = make_column_transformer((OneHotEncoder(), ["x"]), (StandardScaler(), ["fare"]))
    pipeline = make_pipeline(columns, Careful(5, random_state=0)).fit(TABLE, IS_LATE)
    answer = served(pipeline)
    usual = {"jsonData": [{"x": "a", "fare": 2.0}]}
    for _ in range(5):
        answer(usual)

    np.testing.assert_array_equal(answer({"jsonData": [{"x": "a", "fare": 500}]}), [[0.5, 0.5]])


class ByMile(RandomForestClassifier):
    """A forest that computes a column before it is trained and before it answers."""

    def fit(self, X: Any, y: Any) -> Any:
        """Train on the fare for each mile as well."""
        return super().fit(with_fare_by_mile(X), y)

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities for flights without the computed column."""
        return super().predict_proba(with_fare_by_mile(X))


class Months(StandardScaler):
    """A scaler that replaces a date by its month."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn the scale of the months."""
        return super().fit(with_month(X), y)

    def transform(self, X: Any) -> Any:
        """Scale the months."""
        return super().transform(with_month(X))


def with_fare_by_mile(flights: Any) -> Any:
    """The flights with one more column."""
    return flights.assign(by_mile=flights["fare"] / flights["miles"])


def with_month(flights: Any) -> Any:
    """The flights with the month instead of the day."""
    month = pd.to_datetime(flights["day"]).dt.month
    return flights.drop(columns="day").assign(month=month)


FLIGHTS = pd.DataFrame({"fare": [1.0, 5, 2, 4, 6, 3], "miles": [10.0, 20, 30, 40, 50, 60]})
DAYS = FLIGHTS.assign(day=[f"2024-0{month}-01" for month in (1, 2, 3, 4, 5, 6)])
ADDING: dict[str, tuple[Any, Any]] = {
    "forest": (ByMile(5, random_state=0), FLIGHTS),
    "pipeline": (make_pipeline(Months(), LogisticRegression()), DAYS),
}


@pytest.mark.parametrize("name", ADDING)
def test_a_request_may_lack_columns_that_the_authors_class_adds(
    post_to: Callable[..., Any], name: str
) -> None:
    """Records and named rows in any order get the answer that the table of training gets."""
    model, table = ADDING[name]
    model.fit(table, IS_LATE)
    post = post_to(model)
    rows = table.iloc[[0, 4]]
    turned = rows[list(rows.columns[::-1])]

    for sent in (rows, turned):
        names, values = list(sent.columns), sent.to_numpy(dtype=object).tolist()
        for body in (
            {"jsonData": sent.to_dict("records")},
            {"data": {"names": names, "ndarray": values}},
        ):
            status, answer = post(body)
            assert status == 200, answer
            got = answer["data"].get("ndarray") or answer["data"]["tensor"]["values"]
            np.testing.assert_allclose(np.ravel(got), model.predict_proba(rows).ravel())


LACKING = {
    "column": ({"fare": 2.0}, "column names are wrong: missing: miles;"),
    "misspelt": ({"fare": 2.0, "milse": 3}, "missing: miles; unknown: milse (perhaps miles);"),
    "text": ({"fare": 2.0, "miles": "x"}, "row 0, column 'miles': expected a number, got 'x'"),
}


@pytest.mark.parametrize("name", LACKING)
def test_a_request_that_lacks_another_column_is_refused(
    post_to: Callable[..., Any], name: str
) -> None:
    """The error names what the author's class needs, not what it adds."""
    record, expected = LACKING[name]
    post = post_to(ByMile(5, random_state=0).fit(FLIGHTS, IS_LATE))

    status, body = post({"jsonData": [record]})

    assert status == 400
    assert expected in body["status"]["info"]
    assert post({"jsonData": [{"fare": 2.0, "miles": 3.0}]})[0] == 200
