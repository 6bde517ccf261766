"""Read files of `torch.save` and safetensors without running code from pickles."""

import importlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from types import FunctionType, ModuleType
from typing import Any

import safetensors.torch
import torch
from torch import nn

from prepackaged import DeploymentError

logger = logging.getLogger(__name__)

INDEX = ".safetensors.index.json"
# Prefixes of classes and functions that only compute, allowed in a checkpoint's hyperparameters.
COMPUTING = ("torch.nn.modules.", "torch.nn.functional", "torchvision.models.", "torchvision.ops.")


class Unread:
    """A harmless placeholder for an object whose class is not loaded."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def read_weights_only(path: Path, known: Callable[[str], Any] = lambda _: None) -> Any:
    """Return the content of the file without running code; None if it requires full unpickling.

    For objects that are not weights, such as a checkpoint's settings, `known` maps the full name
    of a class to the class; if it returns None, the object becomes an `Unread`.
    """
    try:
        unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (ValueError, UnpicklingError):  # an old format, or saved by cloudpickle
        unsafe = []
    classes = [
        (known(name) or type(name.rpartition(".")[2], (Unread,), {}), name) for name in unsafe
    ]
    try:
        with torch.serialization.safe_globals(classes):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        return None
    return None if isinstance(content, Unread) else content


def harmless(name: str, module: ModuleType) -> Any:
    """Find the object with a full name in a checkpoint; None if it might have side effects.

    Allowed are functions and `nn.Module` classes of PyTorch that only compute, and those in the
    author's file `module` or in a file beside it, which run anyway.
    """
    home, _, own = name.rpartition(".")
    if f"{home}.".startswith(COMPUTING):
        found = getattr(_imported(home), own, None)
    else:
        beside = Path(str(module.__file__)).parent / f"{home.replace('.', '/')}.py"
        found = getattr(_imported(home) if beside.is_file() else None, own, None)
        found = found or getattr(module, own, None)
    is_module = isinstance(found, type) and issubclass(found, nn.Module)
    return found if is_module or isinstance(found, FunctionType) else None


def unread(values: Mapping[str, Any]) -> Iterator[str]:
    """The keys whose values are or contain an `Unread`."""
    for key, value in values.items():
        inside = value.values() if isinstance(value, Mapping) else [value]
        if any(isinstance(each, Unread) for each in inside):
            yield key


def read_safetensors(path: Path, name: str) -> dict[str, Any]:
    """The tensors of a file, or of all files that an index lists.

    Raises `DeploymentError` if a listed file is not beside the index.
    """
    if not name.endswith(INDEX):
        return dict(safetensors.torch.load_file(path))
    shards = sorted(set(map(str, json.loads(path.read_text())["weight_map"].values())))
    files = {shard: path.parent / shard for shard in shards}
    missing = [each for each, file in files.items() if Path(each).name != each or not file.exists()]
    if missing:
        raise DeploymentError(
            f"model file {path} is an index of {len(shards)} files, of which {len(missing)} are not"
            f" beside it: {', '.join(missing[:5])}"
        )
    parts = [safetensors.torch.load_file(file) for file in files.values()]
    return {key: value for part in parts for key, value in part.items()}


def _imported(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except Exception:
        logger.debug("Importing %s failed", name, exc_info=True)
        return None
