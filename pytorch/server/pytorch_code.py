"""Find and import the model's Python files under private names."""

import ast
import inspect
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

from lightning_standin import AttributeDict, StandIns
from pytorch_missing import MissingModules
from torch import nn

from prepackaged import DeploymentError, describe, own_code

logger = logging.getLogger(__name__)

USUAL_CLASS = "PyTorchModel"
OURS = Path(__file__).resolve().parent


def importable(*directories: Path) -> AbstractContextManager[None]:
    """In this block, imports prefer files in these directories to our modules of the same name."""
    return own_code.importable(directories, OURS, StandIns())


def find_file(directory: Path, class_name: str, file_name: str | None) -> Path:
    """Find the Python file that defines the class: `file_name` if set, else the only one.

    Raises `DeploymentError` if there is none or more than one.
    """
    if file_name:
        if not (directory / file_name).is_file():
            raise DeploymentError(
                f"the parameter model_class_file names {file_name!r}, which is not in {directory}"
            )
        return directory / file_name
    defined = {path: own_code.top_level_names(path) for path in sorted(directory.glob("*.py"))}
    found = [path for path, names in defined.items() if class_name in names]
    found = found or [path for path in defined if class_name in _imported_names(path)]
    if len(found) == 1:
        return found[0]
    raise DeploymentError(_why_no_file(directory, class_name, defined, found))


def load_module(path: Path) -> ModuleType:
    """Import the Python file under a private name that no other module has.

    Raises `DeploymentError` if running the file fails.
    """
    with importable(path.parent), MissingModules(path) as missing:
        return own_code.load_module(path, missing.stand_in_for)


def construct(module: ModuleType, class_name: str, checkpoint: Mapping[str, Any]) -> nn.Module:
    """Construct an object of the class, with the hyperparameters that Lightning saved, if any.

    Raises `DeploymentError` if that fails or the object is not an `nn.Module`.
    """
    made_by = getattr(module, class_name, None)
    if not callable(made_by):
        raise DeploymentError(f"{module.__file__} has no class {class_name}")
    try:
        made = made_by(**_arguments(made_by, checkpoint))
    except ModuleNotFoundError as error:
        raise DeploymentError(own_code.why_not_found(Path(str(module.__file__)), error)) from error
    except Exception as error:
        logger.exception("Constructing %s failed", class_name)
        raise DeploymentError(
            f"{class_name}() of {module.__file__} failed: {describe(error)}"
        ) from error
    if not isinstance(made, nn.Module):
        raise DeploymentError(
            f"{class_name} of {module.__file__}: expected a torch.nn.Module, got"
            f" {type(made).__name__}"
        )
    return made


def _arguments(made_by: Callable[..., Any], checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    saved = checkpoint.get("hyper_parameters")
    try:
        taken = inspect.signature(made_by).parameters
    except ValueError:  # a class without its own constructor may have no signature
        return {}
    if not isinstance(saved, Mapping):
        # torchvision's functions would download these weights, which the file contains.
        return {"weights_backbone": None} if "weights_backbone" in taken else {}
    name = checkpoint.get("hparams_name")
    if name in taken and name != "kwargs":  # one argument for all of them
        return {str(name): AttributeDict(saved)}
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values()):
        return dict(saved)
    return {key: value for key, value in saved.items() if key in taken}


def _imported_names(path: Path) -> list[str]:
    """The names that a file imports, such as a class of a package."""
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError):
        return []
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    return [each.asname or each.name for node in imports for each in node.names]


def _why_no_file(
    directory: Path, class_name: str, defined: Mapping[Path, list[str]], found: list[Path]
) -> str:
    if found:
        files = ", ".join(path.name for path in found)
        return (
            f"{directory} defines {class_name} in {len(found)} files: {files}."
            " Set the parameter model_class_file to one of these"
        )
    if defined:
        told = "; ".join(f"{path.name} has {', '.join(n) or 'none'}" for path, n in defined.items())
        return (
            f"{directory} has no class {class_name} for these weights."
            f" Set the parameter model_class to the right class: {told}"
        )
    return (
        f"{directory} has weights but no class for them: put a .py file with a class"
        f" {class_name} beside them, or save the model with torch.jit or torch.export"
    )
