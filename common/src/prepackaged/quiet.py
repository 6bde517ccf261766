"""seldon-core, imported without TensorFlow's notices and with labels that it can read.

seldon-core imports TensorFlow wherever it is installed. Its libraries write to the process's
stderr while they are loaded, notices that no setting of theirs turns off; where
`TF_CPP_MIN_LOG_LEVEL` asks for notices, 0 or 1, they are let through. It also reads
`PREDICTOR_LABELS` as JSON when it is imported: empty means unset, and anything but an object ends
the process with a line that says so.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

LONGEST = 100  # characters of a wrong value that a message shows
WARNINGS = "2"  # the level that hides notices and warnings, and shows errors


@contextmanager
def silence() -> Iterator[None]:
    """Within this block nothing reaches the process's stderr, whatever library writes to it."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def check_labels() -> None:
    """Take `PREDICTOR_LABELS` away where it is empty. Raises `SystemExit` for what is no object."""
    text = os.environ.pop("PREDICTOR_LABELS", "").strip()
    if not text:
        return
    try:
        is_object = isinstance(json.loads(text), dict)
    except ValueError:
        is_object = False
    if not is_object:
        sys.exit(f"PREDICTOR_LABELS: expected a JSON object, got {text[:LONGEST]!r}")
    os.environ["PREDICTOR_LABELS"] = text


check_labels()
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", WARNINGS) >= WARNINGS and find_spec("tensorflow"):
    with silence():
        importlib.import_module("seldon_core.imports_helper")
