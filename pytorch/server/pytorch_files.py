"""From a model file of any of PyTorch's formats to the module that it holds."""

import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

import safetensors.torch
import torch
from pytorch_code import (
    USUAL_CLASS,
    construct,
    find_file,
    importable,
    load_module,
    standing_for_main,
)
from pytorch_exported import Exported
from torch import nn

from prepackaged import Artifact, DeploymentError

# Where training scripts put the weights in a checkpoint; Lightning uses the first.
WEIGHTS_KEYS = ("state_dict", "model_state_dict", "model")


@dataclass(frozen=True)
class Wanted:
    """What the operator says of the file: its class, and whether it may run code."""

    model_class: str | None = None
    model_class_file: str | None = None
    allow_pickle: bool = False


class _Unread:
    """What stands for an object of a class that is not loaded: inert, whatever it is given."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def read(artifact: Artifact, wanted: Wanted) -> tuple[nn.Module, str]:
    """The module in the file, on the CPU and ready to predict, and the format in words.

    Weights are given to the class that the Python file beside them defines. A pickle is loaded
    where an MLflow model says so or the operator allows it. Raises `DeploymentError`.
    """
    beside = (artifact.directory / artifact.name).parent
    code = [artifact.code] if artifact.code else []
    kind = _format(artifact)
    with artifact.reading(), importable(beside, artifact.directory, *code):
        module = READERS[kind](artifact, wanted)
    return module, kind


def _format(artifact: Artifact) -> str:
    if artifact.name.endswith(".safetensors"):
        return "safetensors"
    if not zipfile.is_zipfile(artifact.path):
        return "torch.save"  # as it was before PyTorch 1.6
    with zipfile.ZipFile(artifact.path) as archive:
        names = {name.partition("/")[2] or name for name in archive.namelist()}
    if "constants.pkl" in names:
        return "TorchScript"
    if names & {"archive_format", "serialized_exported_program.json"}:
        return "torch.export"
    return "torch.save"


def _read_safetensors(artifact: Artifact, wanted: Wanted) -> nn.Module:
    return _with_weights(safetensors.torch.load_file(artifact.path), {}, artifact, wanted)


def _read_torchscript(artifact: Artifact, _: Wanted) -> nn.Module:
    with warnings.catch_warnings():  # deprecated is to make such files; these are made
        warnings.simplefilter("ignore", DeprecationWarning)
        module: nn.Module = torch.jit.load(artifact.path, map_location="cpu")
    return module.eval()


def _read_exported(artifact: Artifact, wanted: Wanted) -> nn.Module:
    return Exported(artifact.path, allow_pickle=wanted.allow_pickle)


def _read_saved(artifact: Artifact, wanted: Wanted) -> nn.Module:
    content = _read_weights_only(artifact.path)
    if content is None:
        content = _unpickled(artifact, wanted)
    if isinstance(content, nn.DataParallel):
        content = content.module
    if isinstance(content, nn.Module):
        return content.eval()
    if not isinstance(content, Mapping):
        raise DeploymentError(
            f"model file {artifact.path} holds a {type(content).__name__}: neither weights, which"
            " are a dict, nor a module"
        )
    weights = next(
        (content[key] for key in WEIGHTS_KEYS if isinstance(content.get(key), Mapping)), content
    )
    return _with_weights(weights, content, artifact, wanted)


READERS: dict[str, Callable[[Artifact, Wanted], nn.Module]] = {
    "safetensors": _read_safetensors,
    "torch.save": _read_saved,
    "torch.export": _read_exported,
    "TorchScript": _read_torchscript,
}


def _read_weights_only(path: Path) -> Any:
    """What the file holds, read without running code; None where only unpickling can tell.

    Objects beside the weights, such as a checkpoint's settings, become `_Unread`.
    """
    try:
        unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (ValueError, UnpicklingError):  # of an old format, or by cloudpickle
        unsafe = []
    stand_ins = [(type(name.rpartition(".")[2], (_Unread,), {}), name) for name in unsafe]
    try:
        with torch.serialization.safe_globals(stand_ins):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        return None
    return None if isinstance(content, _Unread) else content


def _unpickled(artifact: Artifact, wanted: Wanted) -> Any:
    if not (artifact.flavor or wanted.allow_pickle):
        raise DeploymentError(
            f"model file {artifact.path} holds more than weights: a pickle, which runs code when it"
            " is loaded. If you trust the file, set the parameter allow_pickle to true; else save"
            " model.state_dict(), or the model with torch.export"
        )
    try:
        with standing_for_main(_script(artifact, wanted)):
            return torch.load(artifact.path, map_location="cpu", weights_only=False)
    except (ModuleNotFoundError, AttributeError) as error:
        raise DeploymentError(
            f"model file {artifact.path} is a pickle that needs code which is not here ({error}):"
            " put the Python file that defines it beside the model file, or into MLflow's"
            " code_paths; if it is a package, fork the image and add it"
        ) from error


def _script(artifact: Artifact, wanted: Wanted) -> ModuleType | None:
    """The Python file that was the script which saved the model, where the pickle needs it."""
    if b"c__main__\n" not in _pickled_part(artifact.path):
        return None
    if wanted.model_class_file or wanted.model_class:
        name = wanted.model_class or USUAL_CLASS
        return load_module(find_file(artifact.directory, name, wanted.model_class_file))
    files = list((artifact.directory / artifact.name).parent.glob("*.py"))
    return load_module(files[0]) if len(files) == 1 else None


def _pickled_part(path: Path) -> bytes:
    """What the file holds beside the values of tensors."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return b"".join(archive.read(name) for name in archive.namelist() if ".pkl" in name)


def _with_weights(
    weights: Mapping[str, Any],
    checkpoint: Mapping[str, Any],
    artifact: Artifact,
    wanted: Wanted,
) -> nn.Module:
    class_name = wanted.model_class or USUAL_CLASS
    file = find_file(artifact.directory, class_name, wanted.model_class_file)
    module = construct(load_module(file), class_name, checkpoint)
    _fill(module, weights, artifact.path, f"{class_name} of {file.name}")
    return module.eval()


def _fill(module: nn.Module, weights: Mapping[str, Any], path: Path, owner: str) -> None:
    """Give a module its weights. Raises `DeploymentError` where they are not all its own."""
    own = module.state_dict()
    fitting = _without_prefix(weights, list(own))
    try:
        keys = module.load_state_dict(fitting, strict=False)
    except Exception as error:  # a weight of another shape, which the message names
        told = " ".join(str(error).split())[:500]
        raise DeploymentError(f"model file {path} does not fit {owner}: {told}") from error
    filled = {own[name].data_ptr() for name in own if name in fitting}
    # Tied weights are saved under one of their names by safetensors.
    missing = [name for name in keys.missing_keys if own[name].data_ptr() not in filled]
    if missing or keys.unexpected_keys:
        wrong = {"missing": missing, "unexpected": keys.unexpected_keys}
        told = "; ".join(f"{what}: {_enumerated(names)}" for what, names in wrong.items() if names)
        raise DeploymentError(f"model file {path} does not fit {owner}: weights are {told}")


def _without_prefix(weights: Mapping[str, Any], names: list[str]) -> Mapping[str, Any]:
    """The weights under the module's own names.

    DataParallel, torch.compile and LightningModules that wrap the module put a prefix before
    them, and may have weights beside the module's.
    """
    if not names or names[0] in weights:
        return weights
    prefixes = [key.removesuffix(names[0]) for key in weights if key.endswith(f".{names[0]}")]
    fitting = [prefix for prefix in prefixes if all(prefix + name in weights for name in names)]
    if len(fitting) != 1:
        return weights
    return {name: weights[fitting[0] + name] for name in names}


def _enumerated(names: list[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
