"""The iris classifier of PrimeHub's and Seldon's guides: `python train_sklearn.py DIRECTORY`."""

import sys
from pathlib import Path

import joblib
from sample import IRIS, save
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


def main(directory: Path) -> None:
    """Save `model/model.joblib`, and the answer to a flower."""
    classifier = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
    (directory / "model").mkdir()
    joblib.dump(classifier, directory / "model/model.joblib")
    save(directory, IRIS, classifier.predict_proba(IRIS))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
