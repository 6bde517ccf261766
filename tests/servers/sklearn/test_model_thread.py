"""Thread-local configuration of scikit-learn, for a Model that says nothing about threads."""

from pathlib import Path

import pytest
import requests
from serving import OURS, PROGRAMS, UPSTREAM, serve

MODEL = """
import sklearn


class Model:
    def load(self):
        sklearn.set_config(assume_finite=True)

    def predict(self, X, names=None, meta=None):
        return f"{sklearn.get_config()['assume_finite']}"
"""


@pytest.mark.parametrize(("program", "times"), [(OURS, 500), (UPSTREAM, 50)])
def test_the_configuration_that_load_sets_holds_in_predict(
    tmp_path: Path, program: str, times: int
) -> None:
    """Under both microservices, configuration that load sets applies in every call to predict."""
    (tmp_path / "Model.py").write_text(MODEL)
    with serve(tmp_path, program=PROGRAMS / program) as server, requests.Session() as session:
        url = f"{server.url}/api/v1.0/predictions"
        answers = {
            session.post(url, json={"strData": ""}, timeout=60).json()["strData"]
            for _ in range(times)
        }
    assert answers == {"True"}
