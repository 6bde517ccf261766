"""Estimators that compute in several threads, called on the server's thread and after a fork."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest
from serving import PROGRAMS, ROOT, UPSTREAM, serve
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

ESTIMATORS = [
    HistGradientBoostingClassifier(max_iter=5),
    KMeans(3, n_init=1, random_state=0),
    KNeighborsClassifier(),
    RandomForestClassifier(5, n_jobs=-1, random_state=0),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_threads_of_every_kind_work(post_to: Callable[..., Any], iris: Any, estimator: Any) -> None:
    """Estimators that use threads of OpenMP, BLAS or joblib work on the server's thread."""
    model = estimator.fit(iris.data, iris.target)
    post = post_to(model, method="predict")

    answers = [post({"data": {"ndarray": iris.data.tolist()}}) for _ in range(3)]

    expected = model.predict(iris.data).tolist()
    assert [body["data"]["ndarray"] for _, body in answers] == [expected] * 3


@pytest.mark.parametrize("estimator", ESTIMATORS[:2], ids=lambda each: type(each).__name__)
def test_threads_of_openmp_work_after_upstreams_fork(
    tmp_path: Path, iris: Any, estimator: Any
) -> None:
    """Loading starts no OpenMP threads, whose loss at upstream's fork would hang the first call."""
    model = estimator.fit(iris.data, iris.target)
    joblib.dump(model, tmp_path / "model.joblib")
    settings = {"model_uri": str(tmp_path), "method": "predict"}

    with serve(ROOT / "sklearn/server", program=PROGRAMS / UPSTREAM, **settings) as server:
        answer = server.post({"data": {"ndarray": iris.data.tolist()}})

    assert answer.json()["data"]["ndarray"] == model.predict(iris.data).tolist()
