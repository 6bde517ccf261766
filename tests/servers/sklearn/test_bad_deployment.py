"""Wrong deployments: the start stops with status 1, and its last log line says how to mend it."""

import os
import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest
from serving import ROOT, fail_to_serve
from sklearn.linear_model import LogisticRegression

SERVER = ROOT / "sklearn/server"
WITHOUT_ROOTS_RIGHTS = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)


def assert_stops(*words: str, prefix: tuple[str, ...] = (), **parameters: str) -> None:
    """The server ends with status 1 and a single last line that has these words in it."""
    failed = fail_to_serve(SERVER, prefix=prefix, **parameters)
    assert failed.status == 1, failed.log
    for word in words:
        assert word in failed.last_line
    assert "Traceback" not in failed.log


def test_no_model_uri_stops_the_start() -> None:
    """The line names the parameter, where it is set, and what the directory should hold."""
    assert_stops("model_uri", "PREDICTIVE_UNIT_PARAMETERS", "model.joblib")


def test_a_path_that_does_not_exist_stops_the_start(tmp_path: Path) -> None:
    """The line says what is there instead."""
    (tmp_path / "modle").mkdir()

    assert_stops("model' does not exist", "has modle", model_uri=str(tmp_path / "model"))


@pytest.mark.parametrize("uri", ["s3://bucket/model", "gs://bucket/model", "https://host/model"])
def test_a_scheme_that_is_not_supported_stops_the_start(uri: str) -> None:
    """Downloading is the platform's part, and the line says so."""
    assert_stops(uri, "not supported", "/mnt/models", model_uri=uri)


def test_a_directory_without_a_model_stops_the_start(tmp_path: Path) -> None:
    """The line lists what was expected and what was found."""
    (tmp_path / "model.onnx").touch()

    assert_stops("expected model.joblib", "found model.onnx", model_uri=str(tmp_path))


def test_two_candidates_stop_the_start(tmp_path: Path, classifier: Any) -> None:
    """Nothing is guessed; the line names both and the parameter that decides."""
    joblib.dump(classifier, tmp_path / "one.joblib")
    joblib.dump(classifier, tmp_path / "two.joblib")

    assert_stops("one.joblib, two.joblib", "model_file", model_uri=str(tmp_path))


def truncated(content: bytes) -> bytes:
    """The first half of a file."""
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda _: b"", "is empty (0 bytes)"),
        (truncated, "cannot be loaded"),
        (lambda _: b"\x89PNG and so on", "cannot be loaded"),
        (lambda content: content[:100] + b"????" + content[104:], "model.joblib"),
    ],
    ids=["empty", "truncated", "of another kind", "corrupt"],
)
def test_a_damaged_file_stops_the_start(
    damage: Callable[[bytes], bytes], words: str, tmp_path: Path, classifier: Any
) -> None:
    """The line names the file and what reading it said."""
    joblib.dump(classifier, tmp_path / "whole")
    (tmp_path / "model.joblib").write_bytes(damage((tmp_path / "whole").read_bytes()))
    (tmp_path / "whole").unlink()

    assert_stops("model.joblib", words, model_uri=str(tmp_path))


def test_a_damaged_skops_file_stops_the_start(tmp_path: Path) -> None:
    """The error lists files of every format by name."""
    (tmp_path / "model.skops").write_bytes(b"PK\x03\x04 no zip file")

    assert_stops("model.skops cannot be loaded", model_uri=str(tmp_path))


def test_a_pickle_that_needs_a_missing_module_stops_the_start(tmp_path: Path) -> None:
    """The line names the module and the image that has it."""
    # Protocol 0 by hand: the global `module.name` called with no argument.
    (tmp_path / "model.pkl").write_bytes(b"cxgboost.sklearn\nXGBClassifier\n(tR.")

    assert_stops("module 'xgboost", "image xgboost-prepackaged", model_uri=str(tmp_path))


def test_a_pickle_that_needs_a_missing_name_stops_the_start(tmp_path: Path) -> None:
    """A class of the notebook's own is an AttributeError, which upstream would swallow."""
    (tmp_path / "model.pkl").write_bytes(b"c__main__\nMyEstimator\n(tR.")

    assert_stops(
        "needs MyEstimator of the notebook or script", "beside the model", model_uri=str(tmp_path)
    )


def test_a_pickle_of_something_else_stops_the_start(tmp_path: Path) -> None:
    """The line says what the file holds."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"coef": [1.0]}))

    assert_stops("holds a builtins.dict", model_uri=str(tmp_path))


def test_an_estimator_that_was_never_fitted_stops_the_start(tmp_path: Path) -> None:
    """It could not answer a single request."""
    joblib.dump(LogisticRegression(), tmp_path / "model.joblib")

    assert_stops("not fitted yet", model_uri=str(tmp_path))


def test_an_unreadable_directory_stops_the_start(tmp_path: Path, classifier: Any) -> None:
    """The line names the directory and the reason."""
    locked = tmp_path / "locked"
    locked.mkdir()
    joblib.dump(classifier, locked / "model.joblib")
    locked.chmod(0)
    try:
        assert_stops(
            "locked", "Permission denied", prefix=as_an_ordinary_user(), model_uri=str(locked)
        )
    finally:
        locked.chmod(0o755)


def test_an_unreadable_file_stops_the_start(tmp_path: Path, classifier: Any) -> None:
    """The line names the file and the reason."""
    joblib.dump(classifier, tmp_path / "model.joblib")
    (tmp_path / "model.joblib").chmod(0)

    assert_stops(
        "model.joblib", "Permission denied", prefix=as_an_ordinary_user(), model_uri=str(tmp_path)
    )


def as_an_ordinary_user() -> tuple[str, ...]:
    """What to put before a command so that file permissions count, for root too."""
    if os.geteuid() != 0:
        return ()
    if not shutil.which("setpriv") or subprocess.run([*WITHOUT_ROOTS_RIGHTS, "true"]).returncode:
        pytest.skip("root reads everything here, and setpriv cannot take that right away")
    return WITHOUT_ROOTS_RIGHTS


def test_a_wrong_metadata_file_stops_the_start(tmp_path: Path, classifier: Any) -> None:
    """A metadata.yaml that the schema refuses stops the start, not the first request."""
    joblib.dump(classifier, tmp_path / "model.joblib")
    Path(tmp_path / "metadata.yaml").write_text("versions: 3\n")

    assert_stops("metadata.yaml", "3 is not of type 'array'", model_uri=str(tmp_path))
