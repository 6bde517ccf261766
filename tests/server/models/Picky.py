from typing import Any


class Picky:
    """Fails at every prediction."""

    def predict(self, X: Any, names: Any) -> Any:
        raise ValueError("not this one")
