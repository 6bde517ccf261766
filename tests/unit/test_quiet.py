import os
import subprocess
import sys
from pathlib import Path

import pytest

from prepackaged.quiet import silence


def imported(directory: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Import the package with a fake TensorFlow that writes to stderr."""
    (directory / "tensorflow.py").write_text("import os\nos.write(2, b'custom operations are on')")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TF_CPP")}
    return subprocess.run(
        [sys.executable, "-c", "import sys, prepackaged; print('tensorflow' in sys.modules)"],
        env=inherited | variables | {"PYTHONPATH": str(directory)},
        capture_output=True,
        text=True,
        check=True,
    )


def test_tensorflow_is_imported_without_its_notices(tmp_path: Path) -> None:
    """Output of TensorFlow's libraries during the import is discarded."""
    done = imported(tmp_path)

    assert (done.stdout, done.stderr) == ("True\n", "")


def test_tensorflow_s_own_variable_enables_its_notices(tmp_path: Path) -> None:
    """TensorFlow's own variable enables its output."""
    assert "custom operations" in imported(tmp_path, TF_CPP_MIN_LOG_LEVEL="0").stderr


def test_stderr_works_again_after_the_block(capfd: pytest.CaptureFixture[str]) -> None:
    """After the block, stderr works again, even after an exception."""

    def fail() -> None:
        with silence():
            os.write(2, b"hidden ")
            raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        fail()
    os.write(2, b"shown")

    assert capfd.readouterr().err == "shown"


def label(text: str) -> "subprocess.CompletedProcess[str]":
    """Import the package with these PREDICTOR_LABELS, and print the version for metrics."""
    shown = "import prepackaged, seldon_core.metrics as m; print(m.predictor_version)"
    return subprocess.run(
        [sys.executable, "-c", shown],
        env=os.environ | {"PREDICTOR_LABELS": text},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "version"),
    [("", "NOT_IMPLEMENTED"), (" ", "NOT_IMPLEMENTED"), ('{"version": "7"}', "7")],
)
def test_the_labels_may_be_empty(text: str, version: str) -> None:
    """Empty labels count as unset."""
    assert label(text).stdout == f"{version}\n"


@pytest.mark.parametrize("text", ["{", "[]", "7", "version=7"])
def test_invalid_labels_end_the_process_with_one_line(text: str) -> None:
    """Invalid labels end the process with a single line that names the variable."""
    done = label(text)
    assert done.returncode == 1
    assert done.stderr == f"PREDICTOR_LABELS: expected a JSON object, got {text!r}\n"
