"""Wrong deployments: the server exits with status 1, and its last log line says how to fix it."""

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
    """Check that the server exits with status 1 and one last log line that contains these words."""
    failed = fail_to_serve(SERVER, prefix=prefix, **parameters)
    assert failed.status == 1, failed.log
    for word in words:
        assert word in failed.last_line
    assert "Traceback" not in failed.log


def test_no_model_uri_stops_the_start() -> None:
    """Without model_uri, the line names the parameter and what the directory should contain."""
    assert_stops("model_uri", "PREDICTIVE_UNIT_PARAMETERS", "model.joblib")


def test_a_path_that_does_not_exist_stops_the_start(tmp_path: Path) -> None:
    """For a missing path, the line says what exists instead."""
    (tmp_path / "modle").mkdir()

    assert_stops("model' does not exist", "has modle", model_uri=str(tmp_path / "model"))


@pytest.mark.parametrize("uri", ["s3://bucket/model", "gs://bucket/model", "https://host/model"])
def test_a_scheme_that_is_not_supported_stops_the_start(uri: str) -> None:
    """For a URI that needs a download, the line says that the platform downloads models."""
    assert_stops(uri, "not supported", "/mnt/models", model_uri=uri)


def test_a_directory_without_a_model_stops_the_start(tmp_path: Path) -> None:
    """For a directory without a model, the line lists the expected and the existing files."""
    (tmp_path / "model.onnx").touch()

    assert_stops("expected model.joblib", "found model.onnx", model_uri=str(tmp_path))


def test_two_candidates_stop_the_start(tmp_path: Path, classifier: Any) -> None:
    """For two possible model files, the line names both and the parameter that chooses."""
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
    """For a damaged file, the line names the file and the error that reading it raised."""
    joblib.dump(classifier, tmp_path / "whole")
    (tmp_path / "model.joblib").write_bytes(damage((tmp_path / "whole").read_bytes()))
    (tmp_path / "whole").unlink()

    assert_stops("model.joblib", words, model_uri=str(tmp_path))


def test_a_damaged_skops_file_stops_the_start(tmp_path: Path) -> None:
    """For a damaged .skops file, the line names the file."""
    (tmp_path / "model.skops").write_bytes(b"PK\x03\x04 no zip file")

    assert_stops("model.skops cannot be loaded", model_uri=str(tmp_path))


def test_a_pickle_that_needs_a_missing_module_stops_the_start(tmp_path: Path) -> None:
    """For a pickle that needs a missing module, the line names it and the image that has it."""
    # Protocol 0 by hand: the global `module.name` called with no argument.
    (tmp_path / "model.pkl").write_bytes(b"cxgboost.sklearn\nXGBClassifier\n(tR.")

    assert_stops("module 'xgboost", "image xgboost-prepackaged", model_uri=str(tmp_path))


def test_a_pickle_that_needs_a_missing_name_stops_the_start(tmp_path: Path) -> None:
    """A missing class of the notebook stops the start; upstream would hide the AttributeError."""
    (tmp_path / "model.pkl").write_bytes(b"c__main__\nMyEstimator\n(tR.")

    assert_stops(
        "needs MyEstimator of the notebook or script", "beside the model", model_uri=str(tmp_path)
    )


def test_a_pickle_of_something_else_stops_the_start(tmp_path: Path) -> None:
    """For a pickle of another object, the line says what the file contains."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"coef": [1.0]}))

    assert_stops("holds a builtins.dict", model_uri=str(tmp_path))


def test_an_estimator_that_was_never_fitted_stops_the_start(tmp_path: Path) -> None:
    """An estimator that is not fitted stops the start, because it cannot answer any request."""
    joblib.dump(LogisticRegression(), tmp_path / "model.joblib")

    assert_stops("not fitted yet", model_uri=str(tmp_path))


def test_an_unreadable_directory_stops_the_start(tmp_path: Path, classifier: Any) -> None:
    """For an unreadable directory, the line names the directory and the reason."""
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
    """For an unreadable file, the line names the file and the reason."""
    joblib.dump(classifier, tmp_path / "model.joblib")
    (tmp_path / "model.joblib").chmod(0)

    assert_stops(
        "model.joblib", "Permission denied", prefix=as_an_ordinary_user(), model_uri=str(tmp_path)
    )


def as_an_ordinary_user() -> tuple[str, ...]:
    """A command prefix that drops root's right to read every file; empty for ordinary users."""
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
