"""Import seldon-core without TensorFlow's notices, and check the variable PREDICTOR_LABELS.

seldon-core imports TensorFlow if it is installed. While they load, its libraries write notices to
stderr that no setting turns off; this module hides them unless `TF_CPP_MIN_LOG_LEVEL` is 0 or 1.
seldon-core also parses `PREDICTOR_LABELS` as JSON when it is imported. Here an empty value counts
as unset, and any value except a JSON object stops the process with a clear message.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

LONGEST = 100  # the most characters of a wrong value in a message
WARNINGS = "2"  # the level that hides notices and warnings, and shows errors


@contextmanager
def silence() -> Iterator[None]:
    """In this block, nothing reaches the stderr of the process."""
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
    """Remove an empty `PREDICTOR_LABELS`. Raises `SystemExit` unless it is a JSON object."""
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
