"""Saves a sample: a request and the framework's own answer, beside the model."""

import json
from pathlib import Path
from typing import Any

import numpy as np

IRIS = [[5.3, 3.5, 1.4, 0.2]]


def save(directory: Path, rows: Any, answer: Any, pixels: Any = None) -> None:
    """Write the request's rows, the answer to them and an equivalent picture."""
    arrays = {"rows": rows, "answer": answer, "pixels": pixels}
    told = {name: np.asarray(each).tolist() for name, each in arrays.items()}
    (directory / "sample.json").write_text(json.dumps(told))


def picture(*shape: int) -> Any:
    """Random pixels from 0 to 255."""
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
