"""Save requests with the framework's own answers to them, computed without a server."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 8


def rows_of(columns: int) -> list[Any]:
    """ROWS requests of one row each."""
    numbers = np.random.default_rng(0)
    return [numbers.random((1, columns)) for _ in range(ROWS)]


def save(directory: Path, inputs: Sequence[Any], direct: Callable[[Any], Any]) -> None:
    """Save the inputs (arrays or lists of records) and the framework's answers."""
    answers = [np.asarray(direct(rows)).tolist() for rows in inputs]
    sent = [rows if isinstance(rows, list) else rows.tolist() for rows in inputs]
    samples = {"inputs": sent, "answers": answers}
    (directory / "samples.json").write_text(json.dumps(samples))
