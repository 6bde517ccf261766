"""A Model that a test blocks from outside its process, with files."""

import time
from pathlib import Path
from typing import Any


class Gate:
    """Touches `entered` in its directory, then waits for the file `open` before it answers."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def predict(self, X: Any, names: Any) -> Any:
        (self._directory / "entered").touch()
        while not (self._directory / "open").exists():
            time.sleep(0.001)
        return X
