"""A Model of ours that says what its answers' columns are, and takes rows as they were sent."""

from typing import Any

import numpy as np

from prepackaged import Column, Component, Signature


class Named(Component):
    """Answers each value as text, which shows whole numbers that became floats."""

    signature = Signature(outputs=(Column("cat"), Column("dog")))
    takes_lists = True

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        """The text of each value."""
        del feature_names, meta
        rows = X.tolist() if isinstance(X, np.ndarray) else X
        return np.array([[str(value) for value in row] for row in rows], dtype=object)
