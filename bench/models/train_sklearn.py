"""Classifiers with 4 and with 784 columns: `python train_sklearn.py DIRECTORY`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from samples import save
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

PIXELS = 784


def main(directory: Path) -> None:
    """Save the model with 4 columns and, in `wide`, the one with 784."""
    flowers, species = load_iris(return_X_y=True)
    train(directory, flowers, species, [flowers[row : row + 1] for row in range(3, 150, 20)])
    numbers = np.random.default_rng(0)
    pixels = numbers.integers(0, 256, (768, PIXELS)) / 255
    samples = [pixels[:256], pixels[256:512]]
    train(directory / "wide", pixels, numbers.integers(0, 10, 768), samples)


def train(directory: Path, features: Any, classes: Any, samples: list[Any]) -> None:
    """Fit and save a classifier, with its answers to the samples."""
    model = LogisticRegression(max_iter=500).fit(features, classes)
    directory.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, directory / "model.joblib")
    save(directory, samples, model.predict_proba)


def direct(directory: Path) -> Callable[[Any], Any]:
    """A function that calls the estimator's predict_proba."""
    estimator = joblib.load(directory / "model.joblib")
    return lambda rows: estimator.predict_proba(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
