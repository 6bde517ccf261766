"""A Model that does what the request says."""

import os
import time
from pathlib import Path
from typing import Any


class Obedient:
    """Returns its input, unless that is `hang`, `hold` or `die`.

    In its directory, the file `seen` has a byte for every prediction, and the file `hangs` appears
    when an endless prediction has begun. `hold` lets no other thread run.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._seen = os.open(self._directory / "seen", os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    def predict(self, X: Any, names: Any) -> Any:
        os.write(self._seen, b".")
        if X == "die":
            os._exit(7)
        if X in ("hang", "hold"):
            (self._directory / "hangs").touch()
            while X == "hold":
                sum(range(10**18))
            while True:
                time.sleep(1)
        return X
