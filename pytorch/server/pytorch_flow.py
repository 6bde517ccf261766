"""Trace inputs through a module, to find what its first layers accept.

Of a class `torch.fx` records forward, on a copy: it runs the forward with values that are not
there, which the module may store. Of TorchScript the graph is read.
"""

import contextlib
import inspect
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from pytorch_demands import KINDS, demanded
from torch import fx, nn

Shape = tuple[int | None, ...] | None
# What a value may go through on its way to a layer: with the shape that it has, or with another.
KEEPING = {
    "add", "sub", "mul", "div", "truediv", "contiguous", "clone", "dropout", "identity",
    "batchnorm1d", "batchnorm2d", "layernorm", "batch_norm", "layer_norm",
}  # fmt: skip
RESHAPING = {
    "flatten", "reshape", "view", "squeeze", "unsqueeze", "transpose", "permute", "getitem",
    "select", "slice", "expand", "repeat", "split", "chunk", "unbind",
}  # fmt: skip
# A model of nothing but these takes rows of features.
TABULAR = {
    "linear", "relu", "tanh", "sigmoid", "softmax", "log_softmax", "logsoftmax", "gelu", "silu",
    "elu", "leakyrelu", "leaky_relu", "hardtanh", "dropout", "batchnorm1d", "batch_norm",
    "layernorm", "layer_norm", "identity", "add", "sub", "mul", "div", "truediv",
}  # fmt: skip


class Step(NamedTuple):
    """An operation or layer that a value reaches: its name, the kinds it accepts, and the shape."""

    name: str
    kinds: str = KINDS
    shape: Shape = None


class Flow(NamedTuple):
    """Where values go in a module: the steps that follow one, each with what comes out of it.

    `values` has the inputs by name, as far as the module could be followed, and what is got out
    of a dict by the names of both; `steps` are the
    names of all steps, None where it could not be followed to its end. `keys` are what is got
    out of a value that is a dict, each with whether forward can do without it.
    """

    values: dict[str | tuple[str, str], Any]
    following: Callable[[Any], Iterator[tuple[Step, list[Any]]]]
    steps: set[str] | None
    keys: Callable[[Any], dict[str, bool]]

    def reached(self, value: Any) -> Iterator[tuple[Step, bool]]:
        """The steps that a value goes into, each with whether it still has its shape there."""
        waiting = [(value, True)]
        for each, keeps_shape in waiting:  # which grows on the way
            for step, results in self.following(each):
                yield step, keeps_shape
                if step.name in KEEPING | RESHAPING and len(waiting) < MOST_VALUES:
                    keeps = keeps_shape and step.name in KEEPING
                    waiting += [(result, keeps) for result in results]

    def is_of_rows(self) -> bool:
        """Whether nothing in it but the last axis matters: it takes rows of features."""
        return self.steps is not None and self.steps <= TABULAR


MOST_VALUES = 200
UNSEEN = Flow({}, lambda _: iter(()), None, lambda _: {})


def flow_of(module: nn.Module, fresh: Callable[[], nn.Module | None]) -> Flow:
    """How values flow in the module, of which `fresh` gives a copy; `UNSEEN` where it is odd."""
    with contextlib.suppress(Exception):  # the model may answer where its graph is odd
        if isinstance(module, torch.jit.ScriptModule):
            return _flow_of_script(module)
        if copied := fresh():
            return _flow_of_module(copied)
    return UNSEEN


def is_setting(argument: inspect.Parameter) -> bool:
    """Whether `forward` has a default for it, which requests do not change."""
    return argument.default is not None and argument.default is not argument.empty


def _flow_of_module(module: nn.Module) -> Flow:
    """What torch.fx could record of forward, until something in it needed real values."""
    arguments = inspect.signature(module.forward).parameters.items()
    settings = {name: each.default for name, each in arguments if is_setting(each)}
    tracer = fx.Tracer()
    is_whole = False
    with contextlib.suppress(Exception):
        tracer.trace(module, concrete_args=settings or None)
        is_whole = True
    nodes = list(tracer.graph.nodes) if hasattr(tracer, "graph") else []
    calls = [node for node in nodes if node.op.startswith("call_")]
    names = {_name_of_node(node, module) for node in calls}
    values = {str(node.target): node for node in nodes if node.op == "placeholder"}
    return Flow(
        values | {(name, key): user for name, node in values.items() for key, user in _got(node)},
        lambda node: ((_step_of_node(user, node, module), [user]) for user in node.users),
        names if is_whole else None,
        lambda node: {key: user.target == "get" for key, user in _got(node)},
    )


def _got(node: fx.Node) -> Iterator[tuple[str, fx.Node]]:
    """What is got out of a dict, by its keys."""
    for user in node.users:
        key = user.args[1] if len(user.args) > 1 else None
        is_got = user.target is operator.getitem or user.target == "get"
        if is_got and user.args[0] is node and isinstance(key, str):
            yield key, user


def _name_of_node(node: fx.Node, module: nn.Module) -> str:
    if node.op == "call_module":
        return type(module.get_submodule(str(node.target))).__name__.lower()
    name = getattr(node.target, "__name__", str(node.target)).strip("_")
    return "embeddingbag" if name == "embedding_bag" else name


def _step_of_node(node: fx.Node, value: fx.Node, module: nn.Module) -> Step:
    name = _name_of_node(node, module)
    places: list[int | str] = [place for place, each in enumerate(node.args) if each is value]
    places += [word for word, each in node.kwargs.items() if each is value]
    if name == "getitem" and value in node.all_input_nodes and node.args[0] is not value:
        return Step("index", "bi")
    kinds = demanded(name, places)
    if node.op != "call_module":
        return Step(name, kinds)
    return Step(name, kinds, _shape_for(module.get_submodule(str(node.target))))


def _shape_for(layer: nn.Module) -> Shape:
    match layer:
        case nn.Linear():
            return (None, layer.in_features)
        case nn.modules.conv._ConvNd():
            return (None, layer.in_channels, *[None] * (layer.weight.ndim - 2))
        case nn.RNNBase():
            return (None, None, layer.input_size)
    return None


def _flow_of_script(module: Any) -> Flow:
    graph = module.inlined_graph
    kinds = {node.kind() for node in graph.nodes()}
    steps = {kind.removeprefix("aten::").strip("_") for kind in kinds if "aten::" in kind}
    is_whole = not any(kind in ("prim::If", "prim::Loop") for kind in kinds)
    names = [each.name for each in module.forward.schema.arguments]
    values = dict(zip(names, graph.inputs(), strict=True))
    return Flow(
        values | {(name, key): out for name, each in values.items() for key, out in _read(each)},
        lambda value: (
            (_step_of_operation(use, module), list(use.user.outputs())) for use in value.uses()
        ),
        steps if is_whole else None,
        lambda value: {key: out.node().kind() == "aten::get" for key, out in _read(value)},
    )


def _read(value: Any) -> Iterator[tuple[str, Any]]:
    """What a graph reads out of a dict, by its keys."""
    for use in value.uses():
        if use.user.kind() in ("aten::__getitem__", "aten::get") and use.offset == 0:
            key = list(use.user.inputs())[1].toIValue()
            if isinstance(key, str):
                yield key, next(iter(use.user.outputs()))


def _step_of_operation(use: Any, module: Any) -> Step:
    node = use.user
    name = node.kind().removeprefix("aten::").strip("_")
    name = "embeddingbag" if name == "embedding_bag" else name
    if name == "prim::ListConstruct":
        uses = list(next(iter(node.outputs())).uses())
        return Step("index", "bi" if uses and uses[0].user.kind() == "aten::index" else KINDS)
    kinds = demanded(f"aten::{name}", [use.offset])
    return Step(name, kinds, _shape_in_graph(name, list(node.inputs()), module))


def _shape_in_graph(name: str, given: list[Any], module: Any) -> Shape:
    if name == "linear":
        return (None, _weight(given[1], module).shape[1])
    if name in ("conv1d", "conv2d", "conv3d", "convolution"):
        weight = _weight(given[1], module)
        groups = given[8 if name == "convolution" else 6].toIValue()
        return (None, weight.shape[1] * groups, *[None] * (weight.ndim - 2))
    return None


def _weight(value: Any, module: Any) -> Any:
    """The weight that a value in a graph stands for: a chain of attributes of the module."""
    node = value.node()
    match node.kind():
        case "prim::GetAttr":
            return getattr(_weight(node.input(), module), node.s("name"))
        case "prim::Constant":
            return node.t("value")
    return module
