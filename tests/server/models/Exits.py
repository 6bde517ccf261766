"""A Model with a fact that cannot be read."""

import sys
from typing import Any


class Exits:
    """Calls `sys.exit(0)` when the server reads the attribute that `fact` names."""

    def __init__(self, fact: str) -> None:
        self.fact = fact

    def predict(self, X: Any, names: Any) -> Any:
        return X

    def __getattr__(self, name: str) -> Any:
        if name == self.fact:
            sys.exit(0)
        raise AttributeError(name)
