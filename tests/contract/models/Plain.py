"""A Model as the oldest guides show it: no base class, no meta, names as an attribute."""

from typing import Any

import numpy as np


class Plain:
    """Answers with sums and differences of the first two columns."""

    class_names = ("sum", "difference")

    def predict(self, X: Any, features_names: Any) -> Any:
        """Two columns."""
        return np.stack([X[:, 0] + X[:, 1], X[:, 0] - X[:, 1]], axis=1)

    def health_status(self) -> Any:
        """An answer of predict."""
        return self.predict(np.array([[1, 2]]), [])

    def init_metadata(self) -> dict[str, Any]:
        """Some of the fields."""
        return {
            "name": "plain",
            "versions": ["1", "2"],
            "platform": "by hand",
            "inputs": [{"messagetype": "tensor", "schema": {"names": ["a", "b"], "shape": [2]}}],
            "custom": {"author": "a guide"},
        }
