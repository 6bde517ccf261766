"""A server imports no more of pandas and SciPy than its booster needs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from serving import ROOT
from xgboost import XGBClassifier

SERVE = """
import sys
import numpy as np
from Model import Model
model = Model(sys.argv[1])
model.load()
model.predict(np.array([[0.5, 1.0]]))
print(*sorted({*sys.argv[2:]} & {*sys.modules}))
"""
NAMES = ["flask", "jsonschema", "pandas", "scipy.stats", "scipy.optimize", "xgboost"]


@pytest.mark.parametrize("name", ["model.json", "model.ubj"])
def test_models_of_numbers_need_neither_pandas_nor_scipy_stats(tmp_path: Path, name: str) -> None:
    """A booster of columns without names has answered without either."""
    rows = np.array([[0.5, 1.0], [1.5, 0.0]] * 10)
    XGBClassifier(n_estimators=2).fit(rows, [0, 1] * 10).save_model(tmp_path / name)

    done = subprocess.run(
        [sys.executable, "-c", SERVE, tmp_path, *NAMES],
        cwd=ROOT / "xgboost/server",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["xgboost"]
