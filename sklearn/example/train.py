"""Train a small classifier on the iris flowers and save it: `python train.py DIRECTORY`."""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


def main(directory: Path) -> None:
    """Save `model.joblib` in the directory."""
    features, species = load_iris(return_X_y=True)
    # To the optimum, so that the answers are the same on every processor.
    model = LogisticRegression(solver="newton-cg", tol=1e-10).fit(features, species)
    directory.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, directory / "model.joblib")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
