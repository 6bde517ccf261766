"""Tables as pandas writes them as CSV, against scikit-learn's answer to the same table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import requests
from serving import Server
from sklearn.linear_model import LogisticRegression

IS_LATE = [0, 1, 0, 1, 1, 0]
FLAGS = pd.DataFrame({"is_new": [True, False, False, True, True, False], "fare": range(6)})


@pytest.mark.parametrize(
    "table", [FLAGS, FLAGS.set_axis([" is_new", "fare "], axis=1)], ids=["flags", "spaces"]
)
def test_a_table_as_pandas_writes_it_is_read_back(
    tmp_path: Path, serve_model: Callable[..., Server], table: Any
) -> None:
    """True and False are numbers to a model of numbers, and names may begin with a space."""
    model = LogisticRegression().fit(table, IS_LATE)
    joblib.dump(model, tmp_path / "model.joblib")
    server = serve_model(tmp_path)

    response = requests.post(
        f"{server.url}/invocations",
        data=table.to_csv(index=False),
        headers={"Content-Type": "text/csv"},
        timeout=60,
    )

    assert response.status_code == 200, response.text
    np.testing.assert_allclose(response.json()["predictions"], model.predict_proba(table))
