"""Train a small classifier on the iris flowers and save it: `python train.py DIRECTORY`."""

import sys
from pathlib import Path

from sklearn.datasets import load_iris
from xgboost import XGBClassifier


def main(directory: Path) -> None:
    """Save `model.json` in the directory."""
    features, species = load_iris(return_X_y=True)
    model = XGBClassifier(n_estimators=20, max_depth=3).fit(features, species)
    directory.mkdir(parents=True, exist_ok=True)
    model.save_model(directory / "model.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
