"""A Model that answers with the names of the modules that its process has imported."""

import sys
from typing import Any

from prepackaged import Component


class Imported(Component):
    """Answers every request with the names of the top-level modules."""

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        return {"modules": sorted(name for name in sys.modules if "." not in name)}
