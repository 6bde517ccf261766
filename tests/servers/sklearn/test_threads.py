"""Estimators that compute in several threads, loaded before the microservice forks."""

from pathlib import Path
from typing import Any

import joblib
import pytest
from serving import ROOT, serve
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
def test_threads_of_every_kind_work_in_the_workers(
    tmp_path: Path, iris: Any, estimator: Any
) -> None:
    """OpenMP's, BLAS's and joblib's threads are started after the fork, so that nothing hangs."""
    model = estimator.fit(iris.data, iris.target)
    joblib.dump(model, tmp_path / "model.joblib")
    rows = iris.data.tolist()

    with serve(ROOT / "sklearn/server", model_uri=str(tmp_path), method="predict") as server:
        answers = [server.post({"data": {"ndarray": rows}}) for _ in range(3)]

    expected = model.predict(iris.data).tolist()
    assert [each.json()["data"]["ndarray"] for each in answers] == [expected] * 3
