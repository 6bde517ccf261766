"""A fast model of images."""

from collections.abc import Iterable
from typing import Any

from prepackaged import TensorSpec
from prepackaged.images import Preprocessing

PREPROCESSING = Preprocessing()
INPUT = TensorSpec("x", "float32", (None, None, None, 3))


class Pixels:
    """Returns the mean colour of an image; returns other input unchanged."""

    batchable = True

    def predict(self, X: Any, names: Iterable[str], meta: dict[str, Any]) -> Any:
        """Return an array of shape [1, 3] for an image, else the input."""
        return PREPROCESSING.array(X, INPUT).mean(axis=(1, 2)) if isinstance(X, bytes) else X
