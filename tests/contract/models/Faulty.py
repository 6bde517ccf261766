"""A Model with a mistake in every hook."""

from typing import Any

from seldon_core.user_model import SeldonNotImplementedError


class Faulty:
    """Fails in every hook."""

    def predict(self, X: Any, names: Any) -> Any:
        """Raise SeldonNotImplementedError."""
        raise SeldonNotImplementedError("no predictions today")

    def transform_input(self, X: Any, names: Any, meta: Any = None) -> Any:
        """Raise an error."""
        raise KeyError("column")

    def route(self, X: Any, names: Any) -> Any:
        """Return a text instead of a number."""
        return "left"

    def aggregate(self, Xs: Any, names: Any) -> Any:
        """Return None."""
        return None

    def send_feedback(self, X: Any, names: Any, reward: Any, truth: Any, routing: Any) -> Any:
        """Raise an error."""
        raise RuntimeError("no feedback today")

    def health_status(self) -> Any:
        """Raise an error."""
        raise RuntimeError("not well")

    def init_metadata(self) -> dict[str, Any]:
        """Return versions that are not a list of texts."""
        return {"name": "faulty", "versions": 1}

    def class_names(self) -> list[str]:
        """Return the names of two columns."""
        return ["yes", "no"]

    def metrics(self) -> Any:
        """Return a metric without a value."""
        return [{"type": "COUNTER", "key": "faulty"}]
