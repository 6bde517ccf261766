"""Import, construct and load the class that answers requests."""

import importlib
import inspect
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from inspect import Parameter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from seldon_core import seldon_methods
from seldon_core.metadata import SeldonInvalidMetadataError
from seldon_core.user_model import SeldonNotImplementedError

from prepackaged.artifacts import MOUNT, mounted_model
from prepackaged.errors import DeploymentError, describe
from prepackaged.metadata_schema import validated

logger = logging.getLogger(__name__)

UNEXPECTED = re.compile(r"__init__\(\) got an unexpected keyword argument '(\w+)'")
VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
LONGEST = 100  # the most characters of a wrong name that a message shows
MOST_CLASSES = 10  # the most classes that a message lists


def load_model(interface: str, parameters: Mapping[str, Any], model_dir: str | None = None) -> Any:
    """Construct and load an object of the class that `interface` names.

    `Module` means the class `Module` in the module `Module`; `package.module.Class` names it
    exactly. `model_dir` becomes `model_uri`, unless the parameters contain one. Raises
    `DeploymentError` if there is no such class, if it has other parameters, or if loading fails.
    """
    model_class = find_class(interface)
    parameters = with_model_dir(model_class, parameters, model_dir)
    check_parameters(interface, model_class, parameters)
    with failures_as(f"{interface} cannot be loaded"):
        try:
            model = model_class(**parameters)
        except TypeError as error:
            refused = UNEXPECTED.search(str(error))
            if refused and refused[1] in parameters:
                raise _unknown(interface, refused[1], parameters_of(model_class)) from error
            raise
        if hasattr(model, "load"):
            model.load()
    return model


@contextmanager
def failures_as(message: str) -> Iterator[None]:
    """Raise `DeploymentError` with this message for any exception of the model's code.

    Otherwise, `sys.exit(0)` would end the server as if there were no error. Ctrl-C is no failure.
    """
    try:
        yield
    except (DeploymentError, KeyboardInterrupt):
        raise
    except BaseException as error:
        logger.exception("%s", message)
        raise DeploymentError(f"{message}: {describe(error)}") from error


def with_model_dir(
    model_class: Any, parameters: Mapping[str, Any], model_dir: str | None
) -> Mapping[str, Any]:
    """The constructor's arguments: the parameters, with `model_dir` as default for `model_uri`.

    Platforms set `model_dir` for every server, so it is ignored if the class has no `model_uri`, or
    if nothing is mounted.
    """
    if model_dir is None or "model_uri" in parameters:
        return parameters
    if model_dir == str(MOUNT) and mounted_model() is None:
        return parameters
    with suppress(TypeError, ValueError):  # a class in C without a signature
        if "model_uri" in parameters_of(model_class):
            return {**parameters, "model_uri": model_dir}
    logger.warning("The model has no parameter model_uri: %s is not used", model_dir)
    return parameters


def check_parameters(interface: str, model_class: Any, given: Mapping[str, Any]) -> None:
    """Raise `DeploymentError` if a given parameter is unknown or a required one is missing."""
    try:
        known = inspect.signature(model_class).parameters.values()
    except (TypeError, ValueError):  # a class in C without a signature
        return
    names = [each.name for each in known if each.kind not in VARIADIC]
    unknown = [name for name in given if name not in names]
    if unknown and not any(each.kind is Parameter.VAR_KEYWORD for each in known):
        raise _unknown(interface, unknown[0], names)
    needed = [each.name for each in known if each.name in names and each.default is Parameter.empty]
    if missing := [name for name in needed if name not in given]:
        raise DeploymentError(f"{interface} needs the parameter {missing[0]!r}, which is not set")


def parameters_of(model_class: Any) -> list[str]:
    """The names of the constructor parameters of a class and its base classes."""
    names: dict[str, None] = {}
    for constructor in (vars(each).get("__init__") for each in model_class.__mro__[:-1]):
        known = list(inspect.signature(constructor).parameters.values())[1:] if constructor else ()
        names |= {each.name: None for each in known if each.kind not in VARIADIC}
    return list(names)


def _unknown(interface: str, name: str, known: Sequence[str]) -> DeploymentError:
    has = f"has {', '.join(known)}" if known else "has none"
    return DeploymentError(f"{interface} has no parameter {name[:LONGEST]!r}; it {has}")


def read_metadata(model: Any) -> dict[str, Any] | None:
    """The response to `GET /metadata`; None, as upstream, if it violates Seldon's schema.

    Raises `DeploymentError` if the model's `init_metadata` fails.
    """
    with failures_as(f"the metadata of {type(model).__name__} cannot be read"):
        metadata: dict[str, Any] | None = _metadata_of(model)
    return metadata


def _metadata_of(model: Any) -> dict[str, Any] | None:
    own: Any = {}
    if hasattr(model, "init_metadata"):
        with suppress(SeldonNotImplementedError):
            own = model.init_metadata()
    if isinstance(own, dict) and "MODEL_METADATA" not in os.environ:
        with suppress(SeldonInvalidMetadataError):
            return validated(own)
    # Upstream's code handles the other cases and logs them.
    metadata: dict[str, Any] | None = seldon_methods.init_metadata(
        SimpleNamespace(init_metadata=lambda: own)
    )
    return metadata


def find_class(interface: str) -> Any:
    """Import the class from the working directory or an installed package.

    Raises `DeploymentError` if the import fails or the module has no such class.
    """
    module_name, _, class_name = interface.rpartition(".")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    with failures_as(f"{interface} cannot be imported"):
        module = importlib.import_module(module_name or class_name)
    if not hasattr(module, class_name):
        raise DeploymentError(f"{interface} cannot be imported: {_without(module, class_name)}")
    return getattr(module, class_name)


def _without(module: ModuleType, class_name: str) -> str:
    """An error text: the module has no such class; the classes that it defines."""
    name = module.__name__
    own = [each for each, kind in vars(module).items() if isinstance(kind, type)]
    own = [each for each in own if getattr(module, each).__module__ == name]
    has = f"{', '.join(own[:MOST_CLASSES])}, served as {name}.{own[0]}" if own else "no class"
    return f"the module {name} has no class {class_name}; it has {has}"
