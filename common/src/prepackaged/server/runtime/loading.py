"""From a class's name to the loaded object that answers requests."""

import importlib
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seldon_core import seldon_methods

from prepackaged.errors import DeploymentError, describe

logger = logging.getLogger(__name__)


def load_model(interface: str, parameters: Mapping[str, Any]) -> Any:
    """The object of the class that `interface` names, constructed and loaded.

    `Module` means the class `Module` in the module `Module`; `package.module.Class` is meant
    as it is written. Raises `DeploymentError` when there is no such class, when it takes other
    parameters, and when loading fails.
    """
    model_class = find_class(interface)
    try:
        model = model_class(**parameters)
        if hasattr(model, "load"):
            model.load()
    except DeploymentError:
        raise
    except (Exception, SystemExit) as error:
        logger.exception("Loading %s failed", interface)
        raise DeploymentError(f"{interface} cannot be loaded: {describe(error)}") from error
    return model


def read_metadata(model: Any) -> dict[str, Any] | None:
    """The answer to `GET /metadata`; None, as upstream has it, where it breaks Seldon's schema."""
    metadata: dict[str, Any] | None = seldon_methods.init_metadata(model)
    return metadata


def find_class(interface: str) -> Any:
    """The class, imported from the working directory or an installed package."""
    module_name, _, class_name = interface.rpartition(".")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        return getattr(importlib.import_module(module_name or class_name), class_name)
    except (Exception, SystemExit) as error:
        logger.exception("Importing %s failed", interface)
        raise DeploymentError(f"{interface} cannot be imported: {describe(error)}") from error
