"""Models that XGBoost itself trains and saves, and servers with them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from serving import ROOT, Server, serve_here
from xgboost import XGBClassifier, XGBRegressor, __version__

SERVER = ROOT / "xgboost/server"
sys.path.insert(0, str(SERVER))
VERSION = tuple(map(int, __version__.split(".")[:2]))

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture
def before_3_1() -> None:
    """Skip the test unless XGBoost is older than 3.1, which removed the old binary format."""
    if VERSION >= (3, 1):
        pytest.skip(f"of XGBoost before 3.1, and not of {__version__}")


@pytest.fixture
def since_3_1() -> None:
    """Skip the test before XGBoost 3.1, for what 3.1 added, such as labels of categories."""
    if VERSION < (3, 1):
        pytest.skip(f"of XGBoost 3.1 and later, and not of {__version__}")


@pytest.fixture(scope="session")
def rows() -> Array:
    """Numbers of shape [120, 4], one in eight missing."""
    random = np.random.default_rng(0)
    values = random.normal(size=(120, 4))
    values[random.random(values.shape) < 1 / 8] = np.nan
    return values


@pytest.fixture(scope="session")
def classes(rows: Array) -> Array:
    """One of three classes for each row."""
    return np.digitize(np.nan_to_num(rows[:, 0]), [-0.5, 0.5])


@pytest.fixture(scope="session")
def classifier(rows: Array, classes: Array) -> XGBClassifier:
    """A wrapper with three classes that was stopped early, trained without column names."""
    model = XGBClassifier(n_estimators=40, learning_rate=1.0, max_depth=3, early_stopping_rounds=2)
    model.fit(rows[:60], classes[:60], eval_set=[(rows[60:], classes[60:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    return model


@pytest.fixture(scope="session")
def flats() -> pd.DataFrame:
    """Flats with their city as text, their district as a number, and their area."""
    random = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "city": pd.Categorical(random.choice(["Hualien", "Tainan", "Taipei"], 90)),
            "district": pd.Categorical(random.choice([10, 20, 30], 90)),
            "area": random.uniform(20, 120, 90).round(),
        }
    )


@pytest.fixture(scope="session")
def rents(flats: pd.DataFrame) -> XGBRegressor:
    """A model of the flats' rents, trained on a DataFrame with categories."""
    cost = flats["area"] * np.where(flats["city"] == "Taipei", 2.0, 1.0)
    cost = cost + np.where(flats["district"] == 20, 15.0, 0.0)
    return XGBRegressor(n_estimators=10, max_depth=3, enable_categorical=True).fit(flats, cost)


@pytest.fixture(scope="session")
def model_of() -> Callable[..., Any]:
    """A function that takes a model directory or file and parameters and loads the Model."""
    from Model import Model  # the server's module, found once SERVER is on the path

    def load(path: Path, **parameters: str) -> Any:
        return Model(str(path), **parameters)

    return load


@pytest.fixture
def serve_model(model_of: Callable[..., Any]) -> Iterator[Callable[..., Server]]:
    """A function that takes a model directory or file and serves it in this process."""
    with ExitStack() as stack:

        def start(path: Path, **parameters: str) -> Server:
            return stack.enter_context(serve_here(model_of(path, **parameters)))

        yield start


@pytest.fixture(scope="session")
def classifier_file(classifier: XGBClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier as model.ubj in a separate directory."""
    file = tmp_path_factory.mktemp("classifier") / "model.ubj"
    classifier.save_model(file)
    return file


@pytest.fixture(scope="session")
def rents_file(rents: XGBRegressor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of rents as model.json in a separate directory."""
    file = tmp_path_factory.mktemp("rents") / "model.json"
    rents.save_model(file)
    return file
