"""An iris classifier: `python train_xgboost.py DIRECTORY`."""

import sys
from pathlib import Path

from sample import IRIS, save
from sklearn.datasets import load_iris
from xgboost import XGBClassifier


def main(directory: Path) -> None:
    """Save `model/model.json`, and the answer to a flower."""
    classifier = XGBClassifier(n_estimators=20, max_depth=3).fit(*load_iris(return_X_y=True))
    (directory / "model").mkdir()
    classifier.save_model(directory / "model/model.json")
    save(directory, IRIS, classifier.predict_proba(IRIS))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
