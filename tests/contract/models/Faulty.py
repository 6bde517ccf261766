"""A Model whose author made every mistake but in predict."""

from typing import Any

from seldon_core.user_model import SeldonNotImplementedError


class Faulty:
    """Fails in the hooks around predict."""

    def predict(self, X: Any, names: Any) -> Any:
        """Says that it is not there."""
        raise SeldonNotImplementedError("no predictions today")

    def transform_input(self, X: Any, names: Any, meta: Any = None) -> Any:
        """Fails."""
        raise KeyError("column")

    def route(self, X: Any, names: Any) -> Any:
        """No number."""
        return "left"

    def aggregate(self, Xs: Any, names: Any) -> Any:
        """Nothing."""
        return None

    def send_feedback(self, X: Any, names: Any, reward: Any, truth: Any, routing: Any) -> Any:
        """Fails."""
        raise RuntimeError("no feedback today")

    def health_status(self) -> Any:
        """Fails."""
        raise RuntimeError("not well")

    def init_metadata(self) -> dict[str, Any]:
        """Versions that are no list of texts."""
        return {"name": "faulty", "versions": 1}

    def class_names(self) -> list[str]:
        """Names of two columns."""
        return ["yes", "no"]

    def metrics(self) -> Any:
        """A metric without a value."""
        return [{"type": "COUNTER", "key": "faulty"}]
