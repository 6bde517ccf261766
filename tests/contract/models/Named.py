"""A Component that names its outputs and accepts rows as lists."""

from typing import Any

import numpy as np

from prepackaged import Column, Component, Signature


class Named(Component):
    """Answers each value as text, which shows if whole numbers became floats."""

    signature = Signature(outputs=(Column("cat"), Column("dog")))
    takes_lists = True

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        """Return the text of each value."""
        del feature_names, meta
        rows = X.tolist() if isinstance(X, np.ndarray) else X
        return np.array([[str(value) for value in row] for row in rows], dtype=object)
