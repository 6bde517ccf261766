"""Apply `torch.compile`, if the parameter requests it."""

import os
import shutil

import torch
from torch import nn

from prepackaged import DeploymentError
from prepackaged.parameters import wrong_parameter


def compiled(module: nn.Module, asked: str | None) -> nn.Module:
    """Compile the module with `torch.compile`; `asked` is a backend, or `true` for the default.

    Returns the module unchanged if `asked` is `false` or unset. Raises `DeploymentError` for a
    missing backend or C++ compiler, and for TorchScript, which is already compiled.
    """
    word = str(asked or "").strip().lower()
    if word in ("", "false"):
        return module
    if isinstance(module, torch.jit.ScriptModule):
        raise DeploymentError(
            "the parameter compile is not for TorchScript, which is already compiled"
        )
    backend = "inductor" if word == "true" else word
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise wrong_parameter("compile", "true, false or a backend of torch.compile", asked)
    if backend == "inductor" and not _has_compiler():
        raise DeploymentError(
            "the parameter compile needs a C++ compiler, which this image does not have:"
            " fork the image and add g++, or leave the parameter out"
        )
    made: nn.Module = torch.compile(module, backend=backend, dynamic=True)
    return made


def _has_compiler() -> bool:
    return any(map(shutil.which, (os.environ.get("CXX") or "g++", "clang++")))
