"""Read a module from a model file in any of PyTorch's formats."""

import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from pytorch_checkpoints import INDEX, harmless, read_safetensors, read_weights_only, unread
from pytorch_code import USUAL_CLASS, construct, find_file, importable, load_module
from pytorch_exported import Exported
from pytorch_missing import MissingModules
from pytorch_vision import complete, complete_for
from pytorch_weights import COMPILED, fill
from torch import nn

from prepackaged import Artifact, DeploymentError
from prepackaged.allowed_imports import AllowedImports
from prepackaged.file_kinds import expect_kinds
from prepackaged.own_code import standing_for_main
from prepackaged.pickles import facts_in
from prepackaged.versions import mlflow_versions

ANY = AllowedImports()
SAVED = ("a pickle", "a ZIP archive", "a tar archive")  # by torch.save, now or before 1.6


@dataclass(frozen=True)
class Wanted:
    """The operator's parameters for reading the file.

    `model_class` and `model_class_file` name the class for weights. `allow_pickle` allows pickles,
    which run code, and `allowed` limits what they import. `fill` explains `strict`.
    """

    model_class: str | None = None
    model_class_file: str | None = None
    allow_pickle: bool = False
    strict: bool | None = None
    allowed: AllowedImports = ANY


def read(artifact: Artifact, wanted: Wanted) -> tuple[nn.Module, str]:
    """Return the module in the file, on the CPU in evaluation mode, and the format's name.

    Weights are loaded into the class that a Python file beside them defines. A pickle is loaded
    if it belongs to an MLflow model or the operator allows it. Raises `DeploymentError` if the
    file cannot be loaded.
    """
    beside = (artifact.directory / artifact.name).parent
    code = [artifact.code] if artifact.code else []
    kind = _format(artifact)
    complete()
    with artifact.reading(), importable(beside, artifact.directory, *code):
        module = READERS[kind](artifact, wanted)
    return module, kind


def _format(artifact: Artifact) -> str:
    if artifact.name.endswith((".safetensors", INDEX)):
        return "safetensors"
    if not zipfile.is_zipfile(artifact.path):
        return "torch.save"  # the format before PyTorch 1.6
    with zipfile.ZipFile(artifact.path) as archive:
        names = {name.partition("/")[2] or name for name in archive.namelist()}
    if "constants.pkl" in names:
        return "TorchScript"
    if names & {"archive_format", "serialized_exported_program.json"}:
        return "torch.export"
    return "torch.save"


def _read_safetensors(artifact: Artifact, wanted: Wanted) -> nn.Module:
    return _with_weights(read_safetensors(artifact.path, artifact.name), artifact, wanted)


def _read_torchscript(artifact: Artifact, _: Wanted) -> nn.Module:
    complete_for(artifact.path)
    with warnings.catch_warnings():  # only creating such files is deprecated
        warnings.simplefilter("ignore", DeprecationWarning)
        module: nn.Module = torch.jit.load(artifact.path, map_location="cpu")
    return module.eval()


def _read_exported(artifact: Artifact, wanted: Wanted) -> nn.Module:
    complete_for(artifact.path)
    if wanted.allowed.names is None:
        return Exported(artifact.path, allow_pickle=wanted.allow_pickle)
    try:
        return Exported(artifact.path, allow_pickle=False)
    except DeploymentError as error:
        if not wanted.allow_pickle:
            raise
        raise DeploymentError(
            f"model file {artifact.path} holds code beside its graph, which the parameter"
            " allowed_imports cannot restrict: if you trust the file, unset it"
        ) from error


def _read_saved(artifact: Artifact, wanted: Wanted) -> nn.Module:
    expect_kinds(artifact.path, SAVED, "torch.save")
    content = read_weights_only(artifact.path)
    if content is None:
        content = _unpickled(artifact, wanted)
    while (inner := _wrapped(content)) is not None:
        content = inner
    if isinstance(content, nn.Module):
        return content.eval()
    if not isinstance(content, Mapping):
        raise DeploymentError(
            f"model file {artifact.path} holds a {type(content).__name__}: neither weights, which"
            " are a dict, nor a module"
        )
    return _with_weights(content, artifact, wanted)


def _wrapped(content: Any) -> nn.Module | None:
    """The module inside a wrapper for several GPUs or `torch.compile`; None for anything else."""
    if not isinstance(content, nn.Module):
        return None
    if isinstance(content, nn.DataParallel):
        return content.module
    is_compiled = type(content).__name__ == "OptimizedModule"  # importing the class takes seconds
    return content._modules.get(COMPILED.rstrip(".")) if is_compiled else None


READERS: dict[str, Callable[[Artifact, Wanted], nn.Module]] = {
    "safetensors": _read_safetensors,
    "torch.save": _read_saved,
    "torch.export": _read_exported,
    "TorchScript": _read_torchscript,
}


def _unpickled(artifact: Artifact, wanted: Wanted) -> Any:
    facts = facts_in(_pickled_part(artifact.path))
    facts.refuse_foreign_code(artifact.path, mlflow_versions(artifact)[0])
    if not (artifact.flavor or wanted.allow_pickle):
        raise DeploymentError(
            f"model file {artifact.path} holds more than weights: a pickle, which runs code when it"
            " is loaded. If you trust the file, set the parameter allow_pickle to true; else save"
            " model.state_dict(), or the model with torch.export"
        )
    wanted.allowed.check(artifact.path)
    pickle_module = _pickle_module(wanted.allowed, artifact.path)
    with MissingModules(artifact.path) as missing:
        while True:
            try:
                with standing_for_main(_script(artifact, wanted)):
                    return torch.load(
                        artifact.path,
                        map_location="cpu",
                        weights_only=False,
                        pickle_module=pickle_module,
                    )
            except ModuleNotFoundError as error:
                if not missing.stand_in_for(error.name):
                    raise _needs_code(artifact, missing, str(error)) from error
            except AttributeError as error:
                raise _needs_code(artifact, missing, str(error)) from error
            except UnpicklingError as error:
                if not missing.packages:
                    raise
                raise _needs_code(artifact, missing) from error


def _pickle_module(allowed: AllowedImports, path: Path) -> Any:
    """A replacement for `pickle` in `torch.load` that imports only what is allowed."""
    unpickler = allowed.restricted(pickle.Unpickler, path)

    def load(file: Any, **options: Any) -> Any:
        return unpickler(file, **options).load()

    return SimpleNamespace(__name__="pickle", Unpickler=unpickler, load=load)


def _needs_code(artifact: Artifact, missing: MissingModules, what: str = "") -> DeploymentError:
    lacks = what or ", ".join(f"no module named {each!r}" for each in sorted(missing.packages))
    return DeploymentError(
        f"model file {artifact.path} is a pickle that needs code which is not here ({lacks}): put"
        " the Python file that defines it beside the model file, or into MLflow's code_paths; if it"
        " is a package, fork the image and add it"
    )


def _script(artifact: Artifact, wanted: Wanted) -> ModuleType | None:
    """Import the script that saved the model, if the pickle refers to it; else None."""
    if b"c__main__\n" not in _pickled_part(artifact.path):
        return None
    if wanted.model_class_file or wanted.model_class:
        name = wanted.model_class or USUAL_CLASS
        return load_module(find_file(artifact.directory, name, wanted.model_class_file))
    files = list((artifact.directory / artifact.name).parent.glob("*.py"))
    return load_module(files[0]) if len(files) == 1 else None


def _pickled_part(path: Path) -> bytes:
    """The pickles in the file, without the values of tensors."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return b"".join(archive.read(name) for name in archive.namelist() if ".pkl" in name)


def _with_weights(content: Mapping[str, Any], artifact: Artifact, wanted: Wanted) -> nn.Module:
    class_name = wanted.model_class or USUAL_CLASS
    file = find_file(artifact.directory, class_name, wanted.model_class_file)
    code = load_module(file)
    settings = content.get("hyper_parameters")
    if isinstance(settings, Mapping) and [*unread(settings)]:
        content = read_weights_only(artifact.path, lambda name: harmless(name, code))
    try:
        module = construct(code, class_name, content)
        fill(module, content, artifact.path, f"{class_name} of {file.name}", strict=wanted.strict)
    except DeploymentError as error:
        raise _with_hint(error, content) from error
    return module.eval()


def _with_hint(error: DeploymentError, content: Mapping[str, Any]) -> DeploymentError:
    """Add to the error which hyperparameters were not loaded because their classes are missing."""
    settings = content.get("hyper_parameters")
    names = {key: type(settings[key]).__name__ for key in unread(settings)} if settings else {}
    if not names:
        return error
    told = ", ".join(f"{key!r} (a {kind})" for key, kind in names.items())
    return DeploymentError(
        f"{error}. Hyperparameters that were not loaded, because no Python file beside the"
        f" checkpoint has their classes: {told}"
    )
