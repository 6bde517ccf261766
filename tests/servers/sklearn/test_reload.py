"""A new pipeline, with new code of its author, takes the place of the old one."""

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from serving import ROOT, Server, serve
from waiting import wait_until

TRAIN = """
import joblib, own_step
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier
steps = FunctionTransformer(own_step.doubled, validate=True), DecisionTreeClassifier(random_state=0)
joblib.dump(make_pipeline(*steps).fit([[1.0], [2.0]], {classes}), "model.joblib")
"""
STEP = "def doubled(X): return {factor} * X\n"


def train(directory: Path, classes: str, factor: float) -> None:
    """Fit a pipeline with a step of its own in another process, as its author would."""
    (directory / "own_step.py").write_text(STEP.format(factor=factor))
    command = [sys.executable, "-B", "-c", TRAIN.format(classes=classes)]
    subprocess.run(command, cwd=directory, check=True)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that loads its model by request, with a pipeline for `a` and `b`."""
    monkeypatch.setenv("PREPACKAGED_REPOSITORY_API", "true")
    train(tmp_path, "['a', 'b']", 2)
    with serve(ROOT / "sklearn/server", model_uri=str(tmp_path), method="predict") as server:
        yield server


def predicted(server: Server, *rows: float) -> Any:
    """The predictions for rows of one column."""
    answer = server.post({"data": {"ndarray": [[row] for row in rows]}})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["ndarray"]


def test_pipeline_code_and_digest_are_the_new_ones(server: Server, tmp_path: Path) -> None:
    """Answers, the author's function, metadata and the digest follow the new model."""
    assert predicted(server, 1.0, 2.0) == ["a", "b"]
    train(tmp_path, "['c', 'd']", -1)

    loaded = requests.post(f"{server.url}/v2/repository/models/model/load", timeout=60)

    assert (loaded.status_code, loaded.json()) == (200, {"name": "model", "load": True})
    assert predicted(server, 1.0, 2.0) == ["c", "d"]
    described = requests.get(f"{server.url}/v2/models/model", timeout=60).json()
    assert described["parameters"]["class_names"] == ["c", "d"]
    files = sorted(path for path in tmp_path.iterdir() if path.is_file())
    digests = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)
    digest = f"sha256:{hashlib.sha256(digests).hexdigest()}"
    wait_until(lambda: told(server) == [digest], lambda: f"{told(server)} is not {digest}")


def told(server: Server) -> list[str]:
    """The digests on the metrics page."""
    page = requests.get(f"{server.metrics}/metrics", timeout=60).text
    return re.findall(r'^prepackaged_model_info\{digest="([^"]+)"', page, re.MULTILINE)
