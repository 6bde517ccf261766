"""What a module takes: names, dtypes and shapes of its inputs, as far as it tells them.

An exported program says it all. Of another module, forward's signature gives the names, and the
layer that an input reaches the rest: whole numbers for an embedding, channels for a convolution.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from pytorch_exported import Exported
from torch import fx, nn

from prepackaged import DeploymentError, TensorSpec

Shape = tuple[int | None, ...] | None
# What a value may go through on its way to a layer: with the shape that it has, or with another.
KEEPING = {
    "add", "sub", "mul", "div", "truediv", "contiguous", "clone", "dropout", "identity",
    "batchnorm1d", "batchnorm2d", "layernorm", "batch_norm", "layer_norm",
}  # fmt: skip
RESHAPING = {
    "flatten", "reshape", "view", "squeeze", "unsqueeze", "transpose", "permute", "getitem",
    "select", "slice",
}  # fmt: skip
WHOLE = {"embedding", "embeddingbag", "one_hot"}
# A model of nothing but these takes rows of features.
TABULAR = {
    "linear", "relu", "tanh", "sigmoid", "softmax", "log_softmax", "logsoftmax", "gelu", "silu",
    "elu", "leakyrelu", "leaky_relu", "hardtanh", "dropout", "batchnorm1d", "batch_norm",
    "layernorm", "layer_norm", "identity", "add", "sub", "mul", "div", "truediv",
}  # fmt: skip


@dataclass(frozen=True)
class Input:
    """One of forward's arguments; `dtype` is None where it takes any number."""

    name: str
    dtype: torch.dtype | None = None
    shape: Shape = None
    is_optional: bool = False

    def spec(self) -> TensorSpec:
        """What a request is to bring for it."""
        return TensorSpec(self.name, numpy_dtype(self.dtype), self.shape, optional=self.is_optional)


class Step(NamedTuple):
    """Something that a value goes into: an operation's or a layer's name, and what that takes."""

    name: str
    takes: Shape = None


class Flow(NamedTuple):
    """Where values go in a module: the steps that follow one, each with what comes out of it.

    `values` has the inputs by name, as far as the module could be followed; `steps` are the
    names of all steps, None where it could not be followed to its end.
    """

    values: dict[str, Any]
    following: Callable[[Any], Iterator[tuple[Step, list[Any]]]]
    steps: set[str] | None


UNSEEN = Flow({}, lambda _: iter(()), None)


def inputs_of(module: nn.Module) -> list[Input]:
    """The inputs of a module's forward. Raises `DeploymentError` where it takes no tensors."""
    if isinstance(module, Exported):
        return [
            Input(name, value.dtype, _free(value.shape)) for name, value in module.inputs().items()
        ]
    is_script = isinstance(module, torch.jit.ScriptModule)
    found = list(_scripted_arguments(module) if is_script else _arguments(module))
    if not found:
        raise DeploymentError(
            f"forward of {type(module).__name__} must name the tensors that it takes:"
            f" it is forward{inspect.signature(module.forward)}"
        )
    flow = UNSEEN
    with contextlib.suppress(Exception):  # the model may answer where its graph is odd
        flow = _flow_of_script(module) if is_script else _flow_of_module(module)
    return [_judged(each, flow, module) for each in found]


def float_dtype(module: nn.Module) -> torch.dtype:
    """The dtype that the module computes in: that of its first floating-point weights."""
    weights = [*module.parameters(), *module.buffers()]
    return next((each.dtype for each in weights if each.is_floating_point()), torch.float32)


def numpy_dtype(dtype: torch.dtype | None) -> "np.dtype[Any] | None":
    """The dtype of numpy's; float32 for bfloat16, which numpy has not."""
    if dtype is None:
        return None
    dtype = torch.float32 if dtype is torch.bfloat16 else dtype
    kept: np.dtype[Any] = torch.empty(0, dtype=dtype).numpy().dtype
    return kept


def _free(shape: torch.Size) -> Shape:
    """The shape, its symbolic sizes as free ones."""
    return tuple(size if isinstance(size, int) else None for size in shape)


def _arguments(module: nn.Module) -> Iterator[Input]:
    """Arguments without a default, which are needed, and those whose default is None."""
    for name, each in inspect.signature(module.forward).parameters.items():
        is_single = each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        if is_single and not _is_setting(each):
            yield Input(name, is_optional=each.default is None)


def _is_setting(argument: inspect.Parameter) -> bool:
    """Whether forward has a value for it, which requests leave as it is."""
    return argument.default is not None and argument.default is not argument.empty


def _scripted_arguments(module: Any) -> Iterator[Input]:
    for each in module.forward.schema.arguments[1:]:
        kind = str(each.type)
        if kind not in ("Tensor", "Optional[Tensor]") and not each.has_default_value():
            raise DeploymentError(
                f"forward takes {each.name!r} as {kind}; this server can only give tensors"
            )
        if kind in ("Tensor", "Optional[Tensor]"):
            yield Input(each.name, is_optional=each.has_default_value())


def _judged(argument: Input, flow: Flow, module: nn.Module) -> Input:
    """The input with the dtype and shape of the layer that it reaches, as far as that is seen."""
    floating = float_dtype(module)
    with contextlib.suppress(Exception):  # as above
        for step, keeps_shape in _reached(argument.name, flow):
            if step.name in WHOLE:
                return replace(argument, dtype=torch.int64)
            if step.takes:
                rows_only = flow.steps is not None and flow.steps <= TABULAR
                is_sure = keeps_shape and (step.name != "linear" or rows_only)
                return replace(argument, dtype=floating, shape=step.takes if is_sure else None)
    has_embedding = any("Embedding" in _class_name(each) for each in module.modules())
    return replace(argument, dtype=None if has_embedding else floating)


def _reached(name: str, flow: Flow) -> Iterator[tuple[Step, bool]]:
    """The steps that an input goes into, each with whether it still has its shape there."""
    waiting = [(flow.values[name], True)] if name in flow.values else []
    for value, keeps_shape in waiting:  # which grows on the way
        for step, results in flow.following(value):
            yield step, keeps_shape
            if step.name in KEEPING | RESHAPING:
                keeps = keeps_shape and step.name in KEEPING
                waiting += [(result, keeps) for result in results]


def _flow_of_module(module: nn.Module) -> Flow:
    """What torch.fx could record of forward, until something in it needed real values."""
    arguments = inspect.signature(module.forward).parameters.items()
    settings = {name: each.default for name, each in arguments if _is_setting(each)}
    tracer = fx.Tracer()
    is_whole = False
    with contextlib.suppress(Exception):
        tracer.trace(module, concrete_args=settings or None)
        is_whole = True
    nodes = list(tracer.graph.nodes) if hasattr(tracer, "graph") else []
    calls = [node for node in nodes if node.op.startswith("call_")]
    steps = {_step_of_node(node, module).name for node in calls}
    values = {str(node.target): node for node in nodes if node.op == "placeholder"}
    return Flow(
        values,
        lambda node: ((_step_of_node(user, module), [user]) for user in node.users),
        steps if is_whole else None,
    )


def _step_of_node(node: fx.Node, module: nn.Module) -> Step:
    if node.op != "call_module":
        name = getattr(node.target, "__name__", str(node.target))
        return Step("embeddingbag" if name == "embedding_bag" else name.strip("_"))
    layer = module.get_submodule(str(node.target))
    name = _class_name(layer).lower()
    match layer:
        case nn.Linear():
            return Step(name, (None, layer.in_features))
        case nn.modules.conv._ConvNd():
            return Step(name, (None, layer.in_channels, *[None] * (layer.weight.ndim - 2)))
        case nn.RNNBase():
            return Step(name, (None, None, layer.input_size))
    return Step(name)


def _flow_of_script(module: Any) -> Flow:
    graph = module.inlined_graph
    kinds = {node.kind() for node in graph.nodes()}
    steps = {kind.removeprefix("aten::").strip("_") for kind in kinds if "aten::" in kind}
    is_whole = not any(kind in ("prim::If", "prim::Loop") for kind in kinds)
    names = [each.name for each in module.forward.schema.arguments]

    def following(value: Any) -> Iterator[tuple[Step, list[Any]]]:
        for use in value.uses():
            yield _step_of_operation(use.user, module), list(use.user.outputs())

    return Flow(
        dict(zip(names, graph.inputs(), strict=True)), following, steps if is_whole else None
    )


def _step_of_operation(node: Any, module: Any) -> Step:
    name = node.kind().removeprefix("aten::").strip("_")
    given = list(node.inputs())
    if name == "linear":
        return Step(name, (None, _weight(given[1], module).shape[1]))
    if name in ("conv1d", "conv2d", "conv3d", "convolution"):
        weight = _weight(given[1], module)
        groups = given[8 if name == "convolution" else 6].toIValue()
        return Step(name, (None, weight.shape[1] * groups, *[None] * (weight.ndim - 2)))
    return Step("embeddingbag" if name == "embedding_bag" else name)


def _weight(value: Any, module: Any) -> Any:
    """The weight that a value in a graph stands for: a chain of attributes of the module."""
    node = value.node()
    match node.kind():
        case "prim::GetAttr":
            return getattr(_weight(node.input(), module), node.s("name"))
        case "prim::Constant":
            return node.t("value")
    return module


def _class_name(module: Any) -> str:
    return str(getattr(module, "original_name", type(module).__name__))
