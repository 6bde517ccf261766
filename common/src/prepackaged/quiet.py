"""seldon-core, imported without TensorFlow's notices.

seldon-core imports TensorFlow wherever it is installed. Its libraries write to the process's
stderr while they are loaded, notices that no setting of theirs turns off; where
`TF_CPP_MIN_LOG_LEVEL` asks for notices, 0 or 1, they are let through.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

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


if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", WARNINGS) >= WARNINGS and find_spec("tensorflow"):
    with silence():
        importlib.import_module("seldon_core.imports_helper")
