"""A hundred trees on 28 features: `python train_xgboost.py DIRECTORY`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from samples import rows_of, save
from xgboost import Booster, DMatrix, train

FEATURES, CLASSES, TREES = 28, 2, 100


def main(directory: Path) -> None:
    """Save the booster."""
    numbers = np.random.default_rng(1)
    features = numbers.random((2000, FEATURES))
    halves = np.digitize(features.sum(axis=1), [14])
    parameters = {"objective": "multi:softprob", "num_class": CLASSES, "max_depth": 6}
    booster = train(parameters, DMatrix(features, halves), num_boost_round=TREES // CLASSES)
    directory.mkdir(parents=True, exist_ok=True)
    booster.save_model(directory / "model.json")
    save(directory, rows_of(FEATURES), direct(directory))


def direct(directory: Path) -> Callable[[Any], Any]:
    """A function that calls the booster's inplace_predict."""
    booster = Booster(model_file=directory / "model.json")
    return lambda rows: booster.inplace_predict(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
