"""A Model as in the oldest guides: no base class, no meta, class names as an attribute."""

from typing import Any

import numpy as np


class Plain:
    """Answers with the sum and the difference of the first two columns."""

    class_names = ("sum", "difference")

    def predict(self, X: Any, features_names: Any) -> Any:
        """Return two columns."""
        return np.stack([X[:, 0] + X[:, 1], X[:, 0] - X[:, 1]], axis=1)

    def health_status(self) -> Any:
        """Return a prediction."""
        return self.predict(np.array([[1, 2]]), [])

    def init_metadata(self) -> dict[str, Any]:
        """Return some of the metadata fields."""
        return {
            "name": "plain",
            "versions": ["1", "2"],
            "platform": "by hand",
            "inputs": [{"messagetype": "tensor", "schema": {"names": ["a", "b"], "shape": [2]}}],
            "custom": {"author": "a guide"},
        }
