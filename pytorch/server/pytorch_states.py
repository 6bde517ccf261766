"""Compare a module's counters, caches and states before and after a call."""

import inspect
from collections import deque
from collections.abc import Mapping
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

CONTAINERS = (list, tuple, set, frozenset, deque)
MOST_VALUES = 10_000  # the most containers and objects that are examined
COUNTED_IN_TRAINING = {"num_batches_tracked"}  # set by graphs that older PyTorch saved
State = dict[str, Any]


def state_of(module: nn.Module) -> State:
    """The module's state besides its weights, as values that can be compared."""
    seen: set[int] = set()
    return {
        f"{name}.{key}": _comparable(value, seen)
        for name, layer in module.named_modules()
        for key, value in vars(layer).items()
        if key not in ("_parameters", "_modules")
    } | _script_state(module)


def _script_state(module: Any) -> State:
    """The buffers of TorchScript, and whether its graph changes another attribute."""
    if not isinstance(module, torch.jit.ScriptModule):
        return {}
    return {name: _bytes_of(buffer) for name, buffer in module.named_buffers()}


def sets_attributes(module: Any) -> bool:
    """Whether a TorchScript graph sets an attribute, or appends to a list in an attribute."""
    if not isinstance(module, torch.jit.ScriptModule):
        return False
    graph = module.inlined_graph  # its nodes are valid while it is
    names = {node.s("name") for node in graph.findAllNodes("prim::SetAttr")}
    added = (next(node.inputs()).node().kind() for node in graph.findAllNodes("aten::append"))
    return not names <= COUNTED_IN_TRAINING or "prim::GetAttr" in added


def _comparable(value: Any, seen: set[int]) -> Any:
    if isinstance(value, nn.Module | nn.Parameter | type) or id(value) in seen:
        return None  # each layer is examined separately
    if isinstance(value, Tensor | np.ndarray):
        return _bytes_of(value)
    if isinstance(value, torch.Generator):
        return _bytes_of(value.get_state())
    inner = _inner(value)
    if inner is None:
        return repr(value)
    seen.add(id(value))
    if len(seen) > MOST_VALUES:
        return None
    return {key: _comparable(each, seen) for key, each in inner.items()}


def _inner(value: Any) -> dict[Any, Any] | None:
    """The values in a container, a function or an object, by key; None for a plain value."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, CONTAINERS):
        return dict(enumerate(value))
    if isinstance(value, FunctionType):
        return dict(inspect.getclosurevars(value).nonlocals)
    if isinstance(value, partial):
        return {"func": value.func, "args": value.args, "keywords": value.keywords}
    if type(value).__module__.partition(".")[0] == "torch":
        return {}  # such as a program, whose state is in the module
    return getattr(value, "__dict__", None)


def _bytes_of(value: Any) -> Any:
    """The shape, dtype and bytes of an array or a tensor; its text if it has no plain bytes."""
    try:
        if isinstance(value, Tensor):
            flat = value.detach().cpu().contiguous().flatten()
            return value.shape, value.dtype, flat.view(torch.uint8).numpy().tobytes()
        return value.shape, value.dtype, value.tobytes()
    except (RuntimeError, NotImplementedError):  # sparse, quantized or nested
        return repr(value)
