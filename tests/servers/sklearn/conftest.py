"""Estimators that scikit-learn itself fits and saves, and clients to the server on them."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from seldon_core.metrics import SeldonMetrics
from seldon_core.wrapper import get_rest_microservice
from serving import ROOT, Server, serve
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

SERVER = ROOT / "sklearn/server"
sys.path.insert(0, str(SERVER))

Post = Callable[[Any], tuple[int, Any]]


@pytest.fixture(scope="session")
def iris() -> Any:
    """The iris flowers: `data` of shape [150, 4] and `target`."""
    return load_iris()


@pytest.fixture(scope="session")
def classifier(iris: Any) -> LogisticRegression:
    """A classifier of iris flowers that knows no column names."""
    return LogisticRegression(max_iter=500).fit(iris.data, iris.target)


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    """Named columns of different kinds, one of them with holes."""
    return pd.DataFrame(
        {
            "age": [22.0, 35.0, None, 58.0, 41.0, 30.0],
            "city": ["Taipei", "Tainan", "Taipei", "Hualien", "Tainan", "Hualien"],
            "visits": [1, 4, 2, 9, 3, 7],
        }
    )


@pytest.fixture
def client_of() -> Callable[..., Any]:
    """Give a model directory, get a function that posts to seldon-core's own REST application.

    With `get`, the answer to GET on that path instead.
    """
    from Model import Model  # the server's module, found once SERVER is on the path

    def start(directory: Path, get: str | None = None, **parameters: str) -> Any:
        application = get_rest_microservice(Model(str(directory), **parameters), SeldonMetrics(int))
        client = application.test_client()

        def post(body: Any) -> tuple[int, Any]:
            response = client.post("/predict", json=body)
            return response.status_code, response.get_json()

        return client.get(get).get_json() if get else post

    return start


@pytest.fixture
def post_to(tmp_path: Path, client_of: Callable[..., Post]) -> Callable[..., Post]:
    """Give an estimator, get a function that posts to the server on it."""

    def start(estimator: Any, **parameters: str) -> Post:
        joblib.dump(estimator, tmp_path / "model.joblib")
        return client_of(tmp_path, **parameters)

    return start


@pytest.fixture(scope="module")
def iris_server(classifier: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The iris classifier behind a real server process."""
    directory = tmp_path_factory.mktemp("iris")
    joblib.dump(classifier, directory / "model.joblib")
    with serve(SERVER, model_uri=str(directory)) as server:
        yield server
