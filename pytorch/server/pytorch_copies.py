"""Copy a module for trial calls and tracing, and preserve the state of random numbers."""

import contextlib
import copy
import functools
import logging
import random
import warnings
from collections.abc import Callable, Iterator
from types import FunctionType

import numpy as np
import torch
from torch import nn

logger = logging.getLogger(__name__)

# The attributes in which a module keeps its hooks.
HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_state_dict_hooks", "_load_state_dict_pre_hooks",
)  # fmt: skip


def copier(module: nn.Module, again: Callable[[], nn.Module]) -> Callable[[], nn.Module | None]:
    """Return a function that makes a copy of the module: a deep copy, else one loaded by `again`.

    The function returns None if both fail. A module with functions among its attributes or hooks
    is always loaded again, because a deep copy would share the objects that they refer to.
    """

    def fresh() -> nn.Module | None:
        ways: list[Callable[[], nn.Module]] = [lambda: copy.deepcopy(module), again]
        for make in ways[_has_functions(module) :]:
            # With gradients on, a TorchScript copy would refer to the original. Warnings were
            # already shown when the model was loaded.
            with torch.no_grad(), warnings.catch_warnings(action="ignore"):
                try:
                    return make()
                except Exception:
                    logger.debug("No copy could be made", exc_info=True)
        return None

    return fresh


def _has_functions(module: nn.Module) -> bool:
    """Whether the module's attributes or hooks contain a function, which may refer to anything."""
    return any(
        isinstance(each, FunctionType | functools.partial)
        for layer in module.modules()
        for each in (*vars(layer).values(), *_hooks(layer))
    )


def _hooks(layer: nn.Module) -> list[object]:
    return [hook for name in HOOKS for hook in vars(layer).get(name, {}).values()]


@contextlib.contextmanager
def undisturbed(device: str) -> Iterator[None]:
    """Restore the state of random numbers after this block."""
    python, numpy = random.getstate(), np.random.get_state()
    gpus = [torch.device(device)] if device.startswith("cuda") else []
    try:
        with torch.random.fork_rng(gpus):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
