"""Estimators that scikit-learn itself fits and saves, and clients for servers with them."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from serving import ROOT, Server, serve_here
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from prepackaged.server.protocols.seldon.json_codec import decode

SERVER = ROOT / "sklearn/server"
sys.path.insert(0, str(SERVER))

Post = Callable[[Any], tuple[int, Any]]


@pytest.fixture(scope="session")
def iris() -> Any:
    """The iris flowers: `data` of shape [150, 4] and `target`."""
    return load_iris()


@pytest.fixture(scope="session")
def classifier(iris: Any) -> LogisticRegression:
    """A classifier of iris flowers that was trained without column names."""
    return LogisticRegression(max_iter=500).fit(iris.data, iris.target)


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    """A table of named columns of different kinds, one of them with missing values."""
    return pd.DataFrame(
        {
            "age": [22.0, 35.0, None, 58.0, 41.0, 30.0],
            "city": ["Taipei", "Tainan", "Taipei", "Hualien", "Tainan", "Hualien"],
            "visits": [1, 4, 2, 9, 3, 7],
        }
    )


@pytest.fixture(scope="session")
def model_of() -> Callable[..., Any]:
    """A function that takes a model directory and parameters and returns the loaded Model."""
    from Model import Model  # the server's module, found once SERVER is on the path

    return lambda directory, **parameters: Model(str(directory), **parameters)


@pytest.fixture
def serve_model(model_of: Callable[..., Any]) -> Iterator[Callable[..., Server]]:
    """A function that takes a model directory and parameters and serves it in this process."""
    with ExitStack() as stack:

        def start(directory: Path, **parameters: str) -> Server:
            return stack.enter_context(serve_here(model_of(directory, **parameters)))

        yield start


@pytest.fixture
def post_to(tmp_path: Path, serve_model: Callable[..., Server]) -> Callable[..., Post]:
    """A function that takes an estimator and returns a function that posts to a server with it."""

    def start(estimator: Any, **parameters: str) -> Post:
        joblib.dump(estimator, tmp_path / "model.joblib")
        server = serve_model(tmp_path, **parameters)

        def post(body: Any) -> tuple[int, Any]:
            response = server.post(body)
            return response.status_code, response.json()

        return post

    return start


@pytest.fixture
def served(tmp_path: Path, model_of: Callable[..., Any]) -> Callable[..., Any]:
    """A function that takes an estimator and returns a function from a message to its answer."""

    def serve(estimator: Any, **parameters: str) -> Any:
        joblib.dump(estimator, tmp_path / "model.joblib")
        return answering(model_of(tmp_path, **parameters))

    return serve


def answering(model: Any) -> Callable[[Any], Any]:
    """A function that returns the Model's answer to a JSON message."""

    def answer(message: Any) -> Any:
        request = decode(json.loads(json.dumps(message)), as_lists=model.takes_lists)
        prepared = model.prepare(request.value, request.names)
        return model.predict(prepared, [], request.meta)

    return answer


@pytest.fixture(scope="session")
def iris_directory(classifier: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory with the iris classifier."""
    directory = tmp_path_factory.mktemp("iris")
    joblib.dump(classifier, directory / "model.joblib")
    return directory


@pytest.fixture(scope="session")
def iris_server(iris_directory: Path, model_of: Callable[..., Any]) -> Iterator[Server]:
    """Our microservice with the iris classifier, in this process."""
    with serve_here(model_of(iris_directory)) as server:
        yield server
