"""A request in its documented forms, with the right answer to it."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Sample:
    """A model, rows for it and the framework's own answer.

    Without a model, for a server that needs none, the answer is a text.
    `picture` is a file equivalent to the rows, if the model takes pictures.
    For a fork's image, `message` is a request that it answers, and the answer is unknown.
    """

    model: Path | None
    rows: Any = None
    answer: Any = None
    picture: bytes | None = None
    message: Any = None

    @property
    def ndarray(self) -> Any:
        """A request with the rows as nested lists, or a fork's own request."""
        return self.message or {"data": {"ndarray": self.rows}}

    @property
    def tensor(self) -> Any:
        """A request with the rows as a tensor."""
        array = np.asarray(self.rows)
        return {"data": {"tensor": {"shape": [*array.shape], "values": array.ravel().tolist()}}}


def read(directory: Path) -> Sample:
    """Read the sample that a script in tests/images/models has saved."""
    told = json.loads((directory / "sample.json").read_text())
    picture = told["pixels"] and png(told["pixels"])
    model = directory / "model"
    return Sample(model if model.exists() else None, told["rows"], told["answer"], picture)


def png(pixels: Any) -> bytes:
    """A PNG file of these pixels."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, "PNG")
    return file.getvalue()


def unusable(sample: Sample, new_directory: Callable[[], Path]) -> dict[str, Path]:
    """Model directories that cannot be served, by their fault."""
    if sample.model is None or sample.message:
        return {}
    directories = {name: new_directory() for name in ("missing", "of another kind", "damaged")}
    (directories["of another kind"] / "model.gguf").write_bytes(b"GGUF")
    shutil.copytree(sample.model, directories["damaged"], dirs_exist_ok=True)
    file = main_file(directories["damaged"])
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return directories


def main_file(model: Path) -> Path:
    """The model's largest file."""
    return max(filter(Path.is_file, model.iterdir()), key=lambda file: file.stat().st_size)
