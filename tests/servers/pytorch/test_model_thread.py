"""PyTorch's thread-local state, for a Model that says nothing about threads."""

from pathlib import Path

import pytest
import requests
from serving import OURS, PROGRAMS, UPSTREAM, serve

MODEL = """
import torch


class Model:
    def load(self):
        torch.set_grad_enabled(False)

    def predict(self, X, names=None, meta=None):
        return f"{torch.is_grad_enabled()}"
"""


@pytest.mark.parametrize(("program", "times"), [(OURS, 500), (UPSTREAM, 50)])
def test_the_grad_mode_that_load_sets_holds_in_predict(
    tmp_path: Path, program: str, times: int
) -> None:
    """Under both microservices, the grad mode that load sets applies in every call to predict."""
    (tmp_path / "Model.py").write_text(MODEL)
    with serve(tmp_path, program=PROGRAMS / program) as server, requests.Session() as session:
        url = f"{server.url}/api/v1.0/predictions"
        answers = {
            session.post(url, json={"strData": ""}, timeout=60).json()["strData"]
            for _ in range(times)
        }
    assert answers == {"False"}
