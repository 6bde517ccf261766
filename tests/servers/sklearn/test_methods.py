"""Which method of the estimator the server calls."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.cluster import DBSCAN
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from prepackaged import DeploymentError

ROWS = [[5.3, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
REQUEST = {"data": {"ndarray": ROWS}}


@pytest.mark.parametrize("method", ["predict_proba", "decision_function", "predict"])
def test_the_method_parameter_chooses(
    post_to: Callable[..., Any], classifier: Any, method: str
) -> None:
    """The parameter method selects the estimator's method of the same name."""
    status, body = post_to(classifier, method=method)(REQUEST)

    assert status == 200
    assert body["data"]["ndarray"] == getattr(classifier, method)(ROWS).tolist()


def test_score_samples_is_offered(post_to: Callable[..., Any], iris: Any) -> None:
    """An outlier detector answers raw scores with method=score_samples."""
    model = IsolationForest(random_state=0).fit(iris.data)

    status, body = post_to(model, method="score_samples")(REQUEST)

    assert status == 200
    assert body["data"]["ndarray"] == model.score_samples(ROWS).tolist()


def test_transform_is_offered(post_to: Callable[..., Any], iris: Any) -> None:
    """A transformer answers with method=transform."""
    model = PCA(2).fit(iris.data)

    status, body = post_to(model, method="transform")(REQUEST)

    assert status == 200
    assert body["data"]["ndarray"] == model.transform(ROWS).tolist()


def test_sparse_answers_are_written_out(post_to: Callable[..., Any]) -> None:
    """A sparse matrix from an encoder is answered as rows of numbers."""
    model = OneHotEncoder().fit([["a"], ["b"], ["c"]])

    status, body = post_to(model, method="transform")({"data": {"ndarray": [["b"]]}})

    assert status == 200
    assert body["data"]["ndarray"] == [[0.0, 1.0, 0.0]]


def test_a_data_frame_answer_becomes_rows(post_to: Callable[..., Any], iris: Any) -> None:
    """A transformer that returns a DataFrame is answered as rows."""
    model = StandardScaler().fit(iris.data).set_output(transform="pandas")

    status, body = post_to(model, method="transform")(REQUEST)

    assert status == 200
    expected = (np.array(ROWS) - iris.data.mean(axis=0)) / iris.data.std(axis=0)
    assert body["data"]["ndarray"] == pytest.approx(expected)


def test_the_decision_of_a_logistic_regression_is_its_logit(
    post_to: Callable[..., Any], iris: Any
) -> None:
    """decision_function answers logits, not probabilities."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(iris.data, iris.target == 0)

    _, body = post_to(model, method="decision_function")(REQUEST)

    assert expit(body["data"]["ndarray"]) == pytest.approx(model.predict_proba(ROWS)[:, 1])


def test_an_explicit_method_that_the_estimator_lacks_stops_the_start(
    post_to: Callable[..., Any], iris: Any
) -> None:
    """For a method that the estimator lacks, the message names it and the available methods."""
    model = LinearRegression().fit(iris.data, iris.target)

    with pytest.raises(
        DeploymentError, match=r"LinearRegression has no predict_proba;.*: predict$"
    ):
        post_to(model, method="predict_proba")


def test_a_method_outside_the_list_stops_the_start(
    post_to: Callable[..., Any], classifier: Any
) -> None:
    """A method that is not for serving, such as fit, stops the start."""
    with pytest.raises(DeploymentError, match=r"to be one of predict_proba.*, got 'fit'"):
        post_to(classifier, method="fit")


def test_a_transformer_needs_its_method_named(post_to: Callable[..., Any], iris: Any) -> None:
    """An estimator without predict has no default method; the message says what to set."""
    with pytest.raises(DeploymentError, match=r"no predict_proba and no predict;.*: transform"):
        post_to(PCA(2).fit(iris.data))


def test_an_estimator_without_any_method_is_refused(post_to: Callable[..., Any], iris: Any) -> None:
    """An estimator without any of the methods, such as DBSCAN, is refused."""
    with pytest.raises(
        DeploymentError, match=r"DBSCAN, which has none of the methods predict_proba"
    ):
        post_to(DBSCAN().fit(iris.data))


def test_labels_that_are_bytes_are_text(post_to: Callable[..., Any]) -> None:
    """A class label of bytes is text in the answer and among the class names."""
    labels = np.where(np.arange(6) > 2, b"late", "pünktlich".encode())
    model = DecisionTreeClassifier().fit(np.arange(6)[:, None], labels)
    body = {"data": {"ndarray": [[0], [5]]}}

    _, scores = post_to(model)(body)
    status, answer = post_to(model, method="predict")(body)

    assert scores["data"]["names"] == [each.decode() for each in model.classes_]
    assert (status, answer["data"]["ndarray"]) == (
        200,
        [each.decode() for each in model.predict([[0], [5]])],
    )
