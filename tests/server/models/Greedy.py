"""A model that opens almost as many files as its process may."""

import os
from typing import Any

LEFT = 10  # files that can still be opened


class Greedy:
    """Returns its input."""

    def load(self) -> None:
        """Open all files but LEFT."""
        opened = []
        try:
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            for each in opened[-LEFT:]:
                os.close(each)

    def predict(self, X: Any, names: Any) -> Any:
        return X
