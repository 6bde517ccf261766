"""A model that has opened almost as many files as its process may."""

import os
from typing import Any

LEFT = 10  # files that can be opened still


class Greedy:
    """Answers with what it was sent."""

    def load(self) -> None:
        """Open files until there are no more."""
        opened = []
        try:
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            for each in opened[-LEFT:]:
                os.close(each)

    def predict(self, X: Any, names: Any) -> Any:
        return X
