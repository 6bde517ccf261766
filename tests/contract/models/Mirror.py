"""A Model without a base class, whose hooks return their inputs."""

from typing import Any


class Mirror:
    """Shows how the server turns requests into values and values into answers."""

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:
        """Return the payload."""
        return X

    def transform_input(self, X: Any, names: Any, meta: Any = None) -> Any:
        """Return the type, shape and names of the payload."""
        return {
            "type": type(X).__name__,
            "shape": list(getattr(X, "shape", [])),
            "names": list(names),
        }

    def transform_output(self, X: Any, names: Any, meta: Any = None) -> Any:
        """Return the payload."""
        return X

    def route(self, X: Any, names: Any) -> int:
        """Return 1, the second branch."""
        return 1

    def aggregate(self, Xs: list[Any], names: list[Any]) -> Any:
        """Return the last payload."""
        return Xs[-1]

    def send_feedback(self, X: Any, names: Any, reward: float, truth: Any, routing: Any) -> Any:
        """Return the reward in an array."""
        return [[reward]]

    def tags(self) -> dict[str, Any]:
        """Return one tag."""
        return {"mirror": True}

    def metrics(self) -> list[dict[str, Any]]:
        """Return one metric of each kind."""
        return [
            {"type": "COUNTER", "key": "mirrored", "value": 1},
            {"type": "GAUGE", "key": "brightness", "value": 0.5},
            {"type": "TIMER", "key": "reflection", "value": 2.5, "tags": {"side": "front"}},
        ]
