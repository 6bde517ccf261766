from typing import Any


class Picky:
    """Fails whatever it is asked."""

    def predict(self, X: Any, names: Any) -> Any:
        raise ValueError("not this one")
