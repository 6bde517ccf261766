"""Pipelines on tables of numbers and text: `python train_tables.py DIRECTORY`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from pandas import DataFrame
from samples import save
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

ROWS, REQUESTS, TREES = 2000, 64, 100
NUMBERS = [f"n{number}" for number in range(4)]
TEXTS = [f"t{number}" for number in range(4)]
WORDS = ["north", "east", "south", "west", "up", "down"]
MISSING = 0.05  # the share of cells that are missing in training


def main(directory: Path) -> None:
    """Save a pipeline of each kind, with its answers to requests with one record."""
    known, classes = table(np.random.default_rng(0))
    requests = known.sample(REQUESTS, random_state=0).to_dict("records")
    train(directory / "linear", LogisticRegression(max_iter=500), known, classes, requests)
    forest = RandomForestClassifier(TREES, random_state=0)
    train(directory / "forest", forest, known, classes, requests)


def table(numbers: np.random.Generator) -> tuple[DataFrame, Any]:
    """A table without missing values, and two classes that depend on some columns."""
    columns = {name: numbers.normal(size=ROWS) for name in NUMBERS}
    texts = {name: numbers.choice(WORDS, ROWS).tolist() for name in TEXTS}
    known = DataFrame({**columns, **texts})
    scores = known["n0"] + (known["t0"] == "north") + numbers.normal(0, 0.3, ROWS)
    return known, (scores > 0).astype(int)


def train(
    directory: Path, model: Any, known: DataFrame, classes: Any, requests: list[dict[str, Any]]
) -> None:
    """Fit and save a pipeline of imputers, a scaler, an encoder and the model."""
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
            (
                "texts",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
                ),
                TEXTS,
            ),
        ]
    )
    is_missing = np.random.default_rng(1).random(known.shape) < MISSING
    pipeline = make_pipeline(columns, model).fit(known.mask(is_missing), classes)
    directory.mkdir(parents=True, exist_ok=True)
    joblib.dump(pipeline, directory / "model.joblib")
    save(directory, [[each] for each in requests], lambda rows: pipeline.predict_proba(ready(rows)))


def ready(records: list[dict[str, Any]]) -> DataFrame:
    """Records as a DataFrame with the dtypes of training."""
    return DataFrame(records)


def direct(directory: Path) -> Callable[[Any], Any]:
    """A function that calls the pipeline's predict_proba on a DataFrame."""
    pipeline = joblib.load(directory / "model.joblib")
    return lambda rows: pipeline.predict_proba(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
