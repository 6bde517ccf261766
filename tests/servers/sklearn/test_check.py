import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

SERVER = Path(__file__).resolve().parents[3] / "sklearn/server"
PARAMETERS = '[{"name": "fact", "value": "signature", "type": "STRING"}]'  # of models/Exits.py
TABLE = pd.DataFrame({"age": [1.0, 2.0, 3.0, 9.0], "city": ["a", "b", "a", "b"]})


def checked(*arguments: Any, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run `check` with these arguments and environment; returns the completed process."""
    program = Path(sys.executable).with_name("check")
    command = [program, *map(str, arguments)]
    environment = {**os.environ, "PREDICTIVE_UNIT_PARAMETERS": "[]", **settings}
    return subprocess.run(
        command, cwd=SERVER, env=environment, check=False, capture_output=True, text=True
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a pipeline for a number and a text, and another file."""
    columns = make_column_transformer((StandardScaler(), ["age"]), (OneHotEncoder(), ["city"]))
    pipeline = make_pipeline(columns, LogisticRegression()).fit(TABLE, ["no", "yes", "no", "yes"])
    joblib.dump(pipeline, tmp_path / "model.joblib")
    (tmp_path / "notes.txt").write_text("")
    return tmp_path


def test_a_model_is_loaded_tried_and_described(directory: Path) -> None:
    """`check --json` reports file, inputs and a trial answer equal to scikit-learn's."""
    completed = checked(directory, "--json")

    assert completed.returncode == 0, completed.stderr
    report = json.loads(completed.stdout)
    assert report["file"]["name"] == "model.joblib"
    assert report["file"]["beside it"] == ["notes.txt"]
    assert "sklearn.linear_model._logistic.LogisticRegression" in report["file"]["imports"]
    assert "age (float64" in report["takes"][0]
    trial = report["trial"]
    data = trial["request"]["data"]
    row = pd.DataFrame(data["ndarray"], columns=data["names"])
    expected = joblib.load(directory / "model.joblib").predict_proba(row)
    np.testing.assert_allclose(trial["answer"]["data"]["ndarray"], expected)
    assert list(trial["milliseconds by rows"]) == ["1", "32", "256"]
    assert trial["batches"].startswith("yes")


def test_people_read_it_as_text(directory: Path) -> None:
    """Without `--json`, `check` prints a title for each part, and a request to copy."""
    text = checked(directory).stdout
    for title in ("file", "versions", "takes", "load", "trial", "deployment"):
        assert f"{title}\n" in text
    assert '"names": ["age", "city"]' in text


def test_the_imports_of_a_pickle_are_reported_although_it_cannot_be_loaded(tmp_path: Path) -> None:
    """`check` reports the imports of a pickle that cannot be loaded, read from its opcodes."""
    (tmp_path / "model.pkl").write_bytes(b"cno_such_module\nharm\n(tR.")
    completed = checked(tmp_path, "--json")

    assert completed.returncode == 1
    assert json.loads(completed.stdout)["file"]["imports"] == ["no_such_module.harm"]
    assert "no_such_module" in completed.stderr.splitlines()[-1]


def test_a_directory_without_a_model_ends_with_one_line(tmp_path: Path) -> None:
    """For a directory without a model, `check` ends with status 1 and a clear last line."""
    completed = checked(tmp_path)
    assert completed.returncode == 1
    assert "has no model: expected" in completed.stderr.splitlines()[-1]


def test_a_model_that_exits_is_not_served() -> None:
    """A fact whose reading ends the process is an error, and the status is not 0."""
    models = SERVER.parents[1] / "tests/server/models"
    path = os.pathsep.join([str(models), os.environ.get("PYTHONPATH", "")])
    environment = {"PREDICTIVE_UNIT_PARAMETERS": PARAMETERS, "PYTHONPATH": path}
    completed = checked("--model", "Exits", "--json", **environment)

    assert completed.returncode == 1
    last_line = completed.stderr.splitlines()[-1]
    assert last_line.endswith("Exits cannot be checked: SystemExit: 0")
