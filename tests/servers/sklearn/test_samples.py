"""Samples beside a model, used by the server, `check` and `record`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from serving import ROOT, fail_to_serve, serve
from sklearn.linear_model import LogisticRegression

SERVER = ROOT / "sklearn/server"
FLOWERS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
PROGRAM = "from prepackaged.server.runtime.{0} import main; main()"


@pytest.fixture
def directory(tmp_path: Path, classifier: LogisticRegression) -> Path:
    """A directory with a classifier of iris flowers."""
    joblib.dump(classifier, tmp_path / "model.joblib")
    return tmp_path


def run(program: str, *arguments: Any) -> "subprocess.CompletedProcess[str]":
    """Run a program of the image; returns the completed process."""
    command = [sys.executable, "-c", PROGRAM.format(program), *map(str, arguments)]
    environment = {**os.environ, "PREDICTIVE_UNIT_PARAMETERS": "[]"}
    return subprocess.run(
        command, cwd=SERVER, env=environment, check=False, capture_output=True, text=True
    )


def last_line(completed: "subprocess.CompletedProcess[str]") -> str:
    """The last line of the log."""
    return completed.stderr.splitlines()[-1]


def sample_of(probabilities: Any) -> str:
    """A sample: a request with flowers, and these answers."""
    request = {"body": {"data": {"ndarray": FLOWERS}}}
    response = {"body": {"data": {"ndarray": np.asarray(probabilities).tolist()}}}
    return json.dumps({"request": request, "response": response})


def put(directory: Path, text: str) -> None:
    """Write a sample into the model's directory."""
    (directory / "samples").mkdir()
    (directory / "samples/flowers.json").write_text(text)


def test_a_model_that_answers_its_samples_is_served(
    directory: Path, classifier: LogisticRegression
) -> None:
    """A model that answers its samples correctly is served; metrics do not count these requests."""
    put(directory, sample_of(classifier.predict_proba(FLOWERS)))
    with serve(SERVER, model_uri=str(directory)) as server:
        assert server.post({"data": {"ndarray": FLOWERS}}).status_code == 200
        assert "Samples: 1 of 1 are answered as expected" in server.log()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_another_model_than_the_samples_are_of_does_not_start(
    directory: Path,
    classifier: LogisticRegression,
    workers: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model that answers a sample differently stops the start, also if workers load the model."""
    monkeypatch.setenv("GUNICORN_WORKERS", workers)
    probabilities = classifier.predict_proba(FLOWERS)
    put(directory, sample_of(probabilities[::-1]))
    failed = fail_to_serve(SERVER, model_uri=str(directory))

    assert failed.status == 1
    expected, got = probabilities[1, 0], probabilities[0, 0]
    assert failed.last_line.endswith(
        f"sample flowers.json: data.ndarray[0][0]: expected {expected}, got {got}"
    )


def test_check_runs_samples_too(directory: Path, classifier: LogisticRegression) -> None:
    """`check` runs the samples, and fails if the server would not start."""
    probabilities = classifier.predict_proba(FLOWERS)
    put(directory, sample_of(probabilities))
    completed = run("check", directory, "--json")
    assert completed.returncode == 0, completed.stderr
    assert json.loads(completed.stdout)["samples"] == {"flowers.json": "answered as expected"}

    (directory / "samples/flowers.json").write_text(sample_of(probabilities[::-1]))
    completed = run("check", directory)
    assert completed.returncode == 1
    assert "flowers.json: failed: sample flowers.json: data.ndarray" in completed.stdout
    assert "sample flowers.json: data.ndarray[0][0]: expected " in last_line(completed)


def test_recorded_answers_are_those_of_the_model(directory: Path) -> None:
    """`record` stores the model's answers to its examples, and does not overwrite files."""
    completed = run("record", directory)
    assert completed.returncode == 0, completed.stderr
    files = sorted((directory / "samples").iterdir())
    assert completed.stdout.splitlines() == list(map(str, files))
    recorded = [json.loads(file.read_text()) for file in files]
    paths = [each["request"]["path"] for each in recorded]
    assert paths == ["/api/v1.0/predictions", "/v2/models/{model}/infer"]
    expected = joblib.load(directory / "model.joblib").predict_proba([[0.5] * 4])
    first, second = (each["response"]["body"] for each in recorded)
    np.testing.assert_allclose(first["data"]["ndarray"], expected)
    np.testing.assert_allclose(second["outputs"][0]["data"], expected[0])
    assert run("check", directory).returncode == 0

    again = run("record", directory)
    assert again.returncode == 1
    assert f"{files[0]} exists: remove it, or name another directory" in last_line(again)


@pytest.mark.parametrize("form", ["lines", "list", "samples"])
def test_requests_in_a_file_are_recorded(
    directory: Path, tmp_path: Path, form: str, classifier: LogisticRegression
) -> None:
    """`record` sends requests from a file to a running server, each to its protocol's path."""
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": FLOWERS[1]}
    bodies: list[Any] = [{"data": {"ndarray": FLOWERS}}, {"inputs": [tensor]}]
    if form == "samples":
        bodies = [{"request": {"body": each}, "response": {"body": {}}} for each in bodies]
    texts = list(map(json.dumps, bodies))
    file = tmp_path / "flowers.jsonl"
    file.write_text("\n".join(texts) if form == "lines" else f"[{','.join(texts)}]")
    into = tmp_path / "recorded"
    with serve(SERVER, model_uri=str(directory)) as server:
        completed = run("record", "--url", server.url, "--requests", file, "--into", into)
    assert completed.returncode == 0, completed.stderr
    first, second = (json.loads((into / f"flowers-{each}.json").read_text()) for each in (1, 2))
    expected = classifier.predict_proba(FLOWERS)
    np.testing.assert_allclose(first["response"]["body"]["data"]["ndarray"], expected)
    assert second["request"]["path"] == "/v2/models/{model}/infer"
    assert second["response"]["body"].keys() == {"outputs"}
    np.testing.assert_allclose(second["response"]["body"]["outputs"][0]["data"], expected[1])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"data": {"ndarray": [[1, 2]]}}', "{file}, request 1: expected status 200, got 400: "),
        ("[1]", "{file}, request 1: expected a JSON object, got 1"),
        ("{", "sample {file}: expected JSON: "),
    ],
)
def test_a_request_that_fails_is_not_recorded(
    directory: Path, tmp_path: Path, text: str, why: str
) -> None:
    """If a request fails, `record` stores nothing."""
    file = tmp_path / "requests.json"
    file.write_text(text)
    completed = run("record", directory, "--requests", file)
    assert completed.returncode == 1
    assert why.format(file=file) in last_line(completed)
    assert not (directory / "samples").exists()


def test_a_server_that_is_missing_is_named(tmp_path: Path) -> None:
    """`record` names a server that does not respond, or an invalid address."""
    completed = run("record", "--url", "http://localhost:9", "--into", tmp_path / "x")
    assert completed.returncode == 1
    assert "the server at http://localhost:9 does not answer" in last_line(completed)
    completed = run("record", "--url", "file:///etc/passwd")
    assert "--url: expected http://... or https://..., got 'file:///etc" in last_line(completed)
