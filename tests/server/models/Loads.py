"""A Model whose loading a test controls with files."""

import os
import time
from pathlib import Path
from typing import Any


class Loads:
    """Touches `loads` in its directory and loads until the file `open` exists there.

    The file's text says how loading ends: `fail` raises, `exit` ends the process, and `hold` never
    ends and lets no other thread run.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def load(self) -> None:
        (self._directory / "loads").touch()
        while not (self._directory / "open").exists():
            time.sleep(0.001)
        what = (self._directory / "open").read_text()
        if what == "fail":
            raise ValueError("the model is broken")
        if what == "exit":
            os._exit(7)
        if what == "hold":
            sum(range(10**18))

    def predict(self, X: Any, names: Any) -> Any:
        return X
