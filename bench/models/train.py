"""Train the models that are loaded, and say what they answer: `python train.py DIRECTORY`.

Each gets a directory with `model.joblib` and `samples.json`: the inputs of some requests, and
for each the probabilities that the model itself gives, without a server in between.
"""

import json
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

PIXELS = 784


def main(directory: Path) -> None:
    """Save the model of four columns and the one of many."""
    flowers, species = load_iris(return_X_y=True)
    save(
        directory / "iris", flowers, species, [flowers[row : row + 1] for row in range(3, 150, 20)]
    )
    numbers = np.random.default_rng(0)
    pixels = numbers.integers(0, 256, (768, PIXELS)) / 255
    save(directory / "wide", pixels, numbers.integers(0, 10, 768), [pixels[:256], pixels[256:512]])


def save(directory: Path, features: Any, classes: Any, samples: list[Any]) -> None:
    """Fit a classifier, and write it down with its answers to the samples."""
    model = LogisticRegression(max_iter=500).fit(features, classes)
    directory.mkdir(parents=True)
    joblib.dump(model, directory / "model.joblib")
    answers = [model.predict_proba(rows).tolist() for rows in samples]
    told = {"inputs": [rows.tolist() for rows in samples], "answers": answers}
    (directory / "samples.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
