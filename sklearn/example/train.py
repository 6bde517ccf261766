"""Train a small classifier on the iris flowers and save it: `python train.py DIRECTORY`."""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


def main(directory: Path) -> None:
    """Save `model.joblib` in the directory."""
    features, species = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(features, species)
    directory.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, directory / "model.joblib")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
