"""Find the names, dtypes and shapes of a module's inputs.

An exported program describes them all. For other modules, the signature of `forward` gives the
names, and the layers that an input reaches give the rest: integers for an embedding, channels for
a convolution, booleans for a mask. Trial calls to a copy find what is still unknown, see
`pytorch_trial`.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np
import torch
from pytorch_demands import KINDS
from pytorch_exported import Exported, free
from pytorch_flow import Flow, Shape, flow_of, is_setting
from pytorch_outputs import of_rows
from torch import nn

from prepackaged import DeploymentError, TensorSpec

PLAIN = {"int": "i", "float": "f", "bool": "b"}
TORCH = {"b": torch.bool, "i": torch.int64}
# The kinds to which a request's values may be converted; the first accepted kind is used.
BECOMING = {"b": "bif", "i": "ifb", "u": "ifb", "f": "fib"}
DICT = re.compile(r"Dict\[str, Tensor\]$")


@dataclass(frozen=True)
class Input:
    """One tensor that `forward` takes.

    `kinds` are the kinds of values that it may have, see `pytorch_demands`. `dtype` is set if an
    exported program requires it. `axes` are as in `TensorSpec`. `holder` is the dict argument that
    contains the tensor. `floating` is the dtype of its floats, None for the
    dtype of the module. `is_list` is true if `forward` takes a list of tensors, `is_plain` if it
    takes a Python number, `is_of_rows` if further axes may come before the last one.
    """

    name: str
    kinds: str = KINDS
    dtype: torch.dtype | None = None
    shape: Shape = None
    is_optional: bool = False
    axes: tuple[str | None, ...] | None = None
    holder: str | None = None
    is_list: bool = False
    is_plain: bool = False
    is_of_rows: bool = False
    floating: torch.dtype | None = None

    def spec(self, floating: torch.dtype) -> TensorSpec:
        """The spec of the tensor in a request; the module computes in the dtype `floating`.

        The dtype is None if the input accepts several kinds of values, which are not converted.
        """
        dtype = self.dtype_of(self.kinds, floating) if len(self.kinds) == 1 else self.dtype
        return TensorSpec(
            self.name, numpy_dtype(dtype), self.shape, optional=self.is_optional, axes=self.axes
        )

    def dtype_of(self, kind: str, floating: torch.dtype) -> torch.dtype:
        """The tensor's dtype for a kind of values; `floating` is the module's dtype for floats."""
        return self.dtype or TORCH.get(kind, self.floating or floating)


def inputs_of(
    module: nn.Module, fresh: Callable[[], nn.Module | None]
) -> tuple[list[Input], str | None]:
    """Return the inputs of a module's `forward`, and the argument that takes tensors of any name.

    The second is None, the name of a dict argument, or the name of keyword arguments with the
    prefix `**`. `fresh` makes a copy of the module. Raises `DeploymentError` if `forward` takes no
    tensors.
    """
    if isinstance(module, Exported):
        return _of_program(module), None
    is_script = isinstance(module, torch.jit.ScriptModule)
    found = list(_scripted_arguments(module) if is_script else _arguments(module))
    if not found:
        raise DeploymentError(
            f"forward of {type(module).__name__} must name the tensors that it takes:"
            f" it is forward{inspect.signature(module.forward)}"
        )
    flow = flow_of(module, fresh)
    inputs = [each for one in found for each in _unfolded(one, flow)]
    holders = [each.holder for each in (*inputs, *found) if each.holder]
    # If `forward` could not be traced to its end, it may read other keys of the dict.
    is_open = bool(holders) and (flow.steps is None or not inputs)
    return [_judged(each, flow) for each in inputs], holders[0] if is_open else None


def float_dtype(module: nn.Module) -> torch.dtype:
    """The dtype that the module computes in: that of its first floating-point weight."""
    return next(iter(_float_dtypes(module)), torch.float32)


def float_dtypes_to_try(module: nn.Module) -> list[torch.dtype]:
    """The dtypes of floats to try as input; several if the module has weights of several dtypes."""
    found = _float_dtypes(module) or [torch.float32]
    # If the module accepts float32 although its first weight has 16 bits, float32 loses less.
    is_wide_first = found[0].itemsize == 2 and torch.float32 in found
    return list(dict.fromkeys([torch.float32, *found])) if is_wide_first else found


def _float_dtypes(module: nn.Module) -> list[torch.dtype]:
    weights = [*module.parameters(), *module.buffers()] or _constants(module)
    return list(dict.fromkeys(each.dtype for each in weights if each.is_floating_point()))


def _constants(module: Any) -> list[torch.Tensor]:
    """The constant tensors in a graph, such as frozen weights, but not the numbers in a trace."""
    if not isinstance(module, torch.jit.ScriptModule):
        return []
    graph = module.inlined_graph  # its nodes are valid while it is
    nodes = graph.findAllNodes("prim::Constant")
    tensors = [each.t("value") for each in nodes if "Tensor" in str(each.output().type().kind())]
    return [each for each in tensors if each.ndim]


@cache
def numpy_dtype(dtype: torch.dtype | None) -> "np.dtype[Any] | None":
    """The corresponding numpy dtype; float32 for floats that numpy lacks, such as bfloat16."""
    if dtype is None:
        return None
    is_numpys = dtype in (torch.float16, torch.float32, torch.float64)
    dtype = torch.float32 if dtype.is_floating_point and not is_numpys else dtype
    kept: np.dtype[Any] = torch.empty(0, dtype=dtype).numpy().dtype
    return kept


def outputs_of_program(module: Exported) -> tuple[TensorSpec, ...]:
    """The outputs of a program; an axis with the symbol of an input's axis has the same name."""
    names = _axis_names(module)
    specs = []
    for name, value in module.outputs().items():
        axes = [names.get(str(size)) for size in value.shape]
        shape, dtype = free(value.shape), value.dtype
        if value.is_complex():
            shape, axes, dtype = (*shape, 2), [*axes, None], dtype.to_real()
        if module.takes_one_row():
            kind, is_ragged = numpy_dtype(dtype), None in shape
            specs.append(TensorSpec(name, kind, of_rows(shape), ragged=is_ragged))
        else:
            specs.append(TensorSpec(name, numpy_dtype(dtype), shape, axes=axes))
    return tuple(specs)


def _of_program(module: Exported) -> list[Input]:
    """The inputs of an exported program; axes with equal symbols have the same name."""
    names = _axis_names(module)
    inputs = []
    for name, value in module.inputs().items():
        if isinstance(value, torch.Tensor):
            axes = tuple(names.get(str(size)) for size in value.shape)
            inputs.append(Input(name, dtype=value.dtype, shape=free(value.shape), axes=axes))
        else:
            kind = PLAIN.get(type(value).__name__.lower().removeprefix("sym"), "i")
            inputs.append(Input(name, kind, shape=(), is_plain=True))
    return inputs


def _axis_names(module: Exported) -> dict[str, str]:
    """Names for symbolic sizes: `batch`, or the first axis with the symbol, such as `x[1]`."""
    batch = module.batch()
    names = {batch: "batch"} if batch else {}
    for name, value in module.inputs().items():
        for number, size in enumerate(getattr(value, "shape", ())):
            if not isinstance(size, int):
                names.setdefault(str(size), f"{name}[{number}]")
    return names


def _arguments(module: nn.Module) -> Iterator[Input]:
    """Arguments without a default, which are required, and those whose default is None."""
    for name, each in inspect.signature(module.forward).parameters.items():
        if each.kind is each.VAR_KEYWORD:
            yield Input(f"**{name}", holder=f"**{name}")
        elif each.kind is not each.VAR_POSITIONAL and not is_setting(each):
            yield from _annotated(name, each)


def _annotated(name: str, argument: inspect.Parameter) -> Iterator[Input]:
    is_optional = argument.default is None
    kinds = _types(argument.annotation)
    plain = "".join(PLAIN[each] for each in PLAIN if each in kinds)
    if plain and len(plain) == len(kinds):
        yield Input(name, plain[-1], shape=(), is_optional=is_optional, is_plain=True)
    elif kinds & {"dict", "Mapping", "MutableMapping"}:
        yield Input(name, holder=name, is_optional=is_optional)
    elif kinds & {"list", "Sequence"}:
        if not is_optional:  # optional lists, such as targets, are for training
            yield Input(name, is_list=True)
    else:
        yield Input(name, is_optional=is_optional)


def _types(annotation: Any) -> set[str]:
    """The names of the types in an annotation, except None."""
    if isinstance(annotation, str):
        parts = re.sub(r"Optional\[(.*)\]$", r"\1", annotation).split("|")
        words = {part.strip().partition("[")[0].rpartition(".")[2] for part in parts}
        return {word.lower() if word in ("Dict", "List") else word for word in words} - {"None"}
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return set().union(*map(_types, get_args(annotation)))
    kind = origin or annotation
    return set() if kind is NoneType else {getattr(kind, "__name__", str(kind))}


def _scripted_arguments(module: Any) -> Iterator[Input]:
    for each in module.forward.schema.arguments[1:]:
        kind = re.sub(r"^Optional\[(.*)\]$", r"\1", str(each.type))
        has_default = each.has_default_value()
        is_optional = has_default or kind != str(each.type)
        if kind == "Tensor":
            yield Input(each.name, is_optional=is_optional)
        elif has_default and (kind not in PLAIN or each.default_value is not None):
            continue
        elif kind in PLAIN:
            yield Input(each.name, PLAIN[kind], shape=(), is_optional=is_optional, is_plain=True)
        elif kind == "List[Tensor]":
            yield Input(each.name, is_optional=is_optional, is_list=True)
        elif DICT.match(kind):
            yield Input(each.name, holder=each.name, is_optional=is_optional)
        else:
            raise DeploymentError(
                f"forward takes {each.name!r} as {kind}; this server can only give tensors,"
                " numbers, and lists or dicts of tensors"
            )


def _unfolded(argument: Input, flow: Flow) -> Iterator[Input]:
    """The argument itself, or the items that `forward` reads from it if it is a dict."""
    value = flow.values.get(argument.name)
    keys = flow.keys(value) if value is not None else {}
    for key, is_optional in keys.items():
        yield replace(argument, name=key, holder=argument.name, is_optional=is_optional)
    if not keys and argument.holder is None:
        yield argument


def _judged(argument: Input, flow: Flow) -> Input:
    """Add the kinds and the shape that the traced layers after the input accept."""
    place = (argument.holder, argument.name) if argument.holder else argument.name
    if argument.is_plain or argument.is_list or place not in flow.values:
        return argument
    kinds, shape, is_of_rows = argument.kinds, None, False
    try:
        for step, keeps_shape in flow.reached(flow.values[place]):
            kinds = "".join(kind for kind in kinds if kind in step.kinds) or kinds
            is_sure = keeps_shape and (step.name != "linear" or flow.is_of_rows())
            if step.shape and is_sure and shape is None:
                shape, is_of_rows = step.shape, step.name == "linear"
    except Exception:  # a model that cannot be traced may still work
        return argument
    return replace(argument, kinds=kinds, shape=shape, is_of_rows=is_of_rows)
