"""Explain why a model file cannot be loaded, and what to do, in one sentence."""

import re
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from prepackaged.errors import DeploymentError, describe
from prepackaged.file_kinds import describe_file

# Our images by the module that a pickle imports, for frameworks that only one image has.
IMAGES = {"xgboost": "xgboost", "torch": "pytorch", "tensorflow": "tensorflow2"}
WHERE_FROM = re.compile(r" from '[^']*'>")
MISSING_NAME = re.compile(r"Can't get attribute '([^']+)' on <module '([^']+)'")


def explained(error: Exception, path: Path, advice: str = "") -> DeploymentError:
    """The error for an exception raised while the model file at `path` was read.

    `advice` names the versions that saved the file; without it, the message guesses the cause.
    """
    if isinstance(error, PermissionError):
        return DeploymentError(f"model file {path}: {error.strerror}")
    module = str(error.name) if isinstance(error, ModuleNotFoundError) and error.name else ""
    package = module.partition(".")[0]
    why = WHERE_FROM.sub(">", describe(error)).rstrip(":")
    # Modules with names like `_loss` belong to a package, such as scikit-learn.
    if advice and (not package or package.startswith("_") or _is_here(package)):
        return DeploymentError(f"model file {path} cannot be loaded: {why}; {advice}")
    if package:
        return DeploymentError(f"model file {path} {_missing_module(module)}")
    if name := MISSING_NAME.match(str(error)):
        return DeploymentError(f"model file {path} {_missing_name(*name.groups())}")
    return DeploymentError(
        f"model file {path} cannot be loaded, it is damaged or of another kind: {why}{_kind(path)}"
    )


def script_names(names: Collection[str]) -> str:
    """The message for a pickle that needs functions or classes of `__main__`, with a remedy."""
    return (
        f"needs {', '.join(sorted(names))} of the notebook or script that saved it (__main__),"
        " which a pickle only names: put a Python file that defines it beside the model file, or"
        " import it from a module of your own when you save and put that beside it (with MLflow,"
        " into code_paths), or save with cloudpickle"
    )


def _kind(path: Path) -> str:
    try:
        return f"; the file is {describe_file(path)}"
    except DeploymentError:  # it can no longer be read: the first error says why
        return ""


def _is_here(package: str) -> bool:
    try:
        found = find_spec(package)
    except ValueError:  # modules that have no file
        return False
    return found is not None and found.origin is not None  # a directory of that name has none


def _missing_name(name: str, module: str) -> str:
    if module == "__main__":
        return script_names([name])
    return (
        f"needs {module}.{name}, which the {module.partition('.')[0]} of this image does not have:"
        " it was saved by another version; save the model again with the version of this image"
    )


def _missing_module(name: str) -> str:
    package = name.partition(".")[0]
    if package != name and _is_here(package):
        return (
            f"needs the Python module {name!r}, which the {package} of this image does not have:"
            " it was saved by another version; save the model again with the version of this image"
        )
    needs = f"needs the Python module {name!r}, which is neither beside it nor in this image"
    if package in IMAGES:
        return f"{needs}: use the image {IMAGES[package]}-prepackaged"
    return (
        f"{needs}: if it is your own, put its file beside the model file or into MLflow's"
        " code_paths; if it is a package, fork this image and add it"
    )
