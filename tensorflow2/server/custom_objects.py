"""Read the custom objects that MLflow pickles beside a Keras model."""

import logging
import pickle
from pathlib import Path
from typing import Any

from prepackaged import describe

logger = logging.getLogger(__name__)

FILES = ("global_custom_objects.cloudpickle", "custom_objects.cloudpickle")


class _ForKeras2(pickle.Unpickler):
    """Unpickles objects of Keras 2: finds its module `keras` in tf_keras."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Return the object of that name in the module, or in the module that replaces it."""
        is_keras = module_name.partition(".")[0] == "keras"
        return super().find_class(f"tf_{module_name}" if is_keras else module_name, global_name)


def unpickle(directory: Path, reader: str) -> dict[str, Any]:
    """Read custom objects by name; `reader` is the package that reads the model.

    Returns an empty dict if there are none. A file that cannot be read is only logged.
    """
    unpickler = _ForKeras2 if reader == "tf_keras" else pickle.Unpickler
    found: dict[str, Any] = {}
    for path in (directory / name for name in FILES if (directory / name).exists()):
        try:
            with path.open("rb") as file:
                found |= unpickler(file).load()
        except Exception as error:
            logger.warning("%s cannot be read: %s", path, describe(error))
    return found
