"""A Model without any base class: every hook answers with what it was given."""

from typing import Any


class Mirror:
    """Shows how the microservice turns requests into values and values into answers."""

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:
        """The payload itself."""
        return X

    def transform_input(self, X: Any, names: Any, meta: Any = None) -> Any:
        """What arrived, described."""
        return {
            "type": type(X).__name__,
            "shape": list(getattr(X, "shape", [])),
            "names": list(names),
        }

    def transform_output(self, X: Any, names: Any, meta: Any = None) -> Any:
        """The payload itself."""
        return X

    def route(self, X: Any, names: Any) -> int:
        """Always the second branch."""
        return 1

    def aggregate(self, Xs: list[Any], names: list[Any]) -> Any:
        """The last of the payloads."""
        return Xs[-1]

    def send_feedback(self, X: Any, names: Any, reward: float, truth: Any, routing: Any) -> Any:
        """The reward, in an array."""
        return [[reward]]

    def tags(self) -> dict[str, Any]:
        """A tag in every answer."""
        return {"mirror": True}

    def metrics(self) -> list[dict[str, Any]]:
        """One metric of each kind in every answer."""
        return [
            {"type": "COUNTER", "key": "mirrored", "value": 1},
            {"type": "GAUGE", "key": "brightness", "value": 0.5},
            {"type": "TIMER", "key": "reflection", "value": 2.5, "tags": {"side": "front"}},
        ]
