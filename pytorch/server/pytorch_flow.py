"""Trace inputs through a module, to find which values its first layers accept.

For a class, `torch.fx` records `forward`, on a copy, because it runs `forward` with placeholders
that the module may store. For TorchScript, the graph is read.
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
# Operations between an input and a layer that keep the shape, and those that change it.
KEEPING = {
    "add", "sub", "mul", "div", "truediv", "contiguous", "clone", "dropout", "identity",
    "batchnorm1d", "batchnorm2d", "layernorm", "batch_norm", "layer_norm",
}  # fmt: skip
BROADCASTING = {"add", "sub", "mul", "div", "truediv"}
RESHAPING = {
    "broadcast",
    "flatten", "reshape", "view", "squeeze", "unsqueeze", "transpose", "permute", "getitem",
    "select", "slice", "expand", "repeat", "split", "chunk", "unbind",
}  # fmt: skip
# A model with only these operations takes rows of features.
TABULAR = {
    "linear", "relu", "tanh", "sigmoid", "softmax", "log_softmax", "logsoftmax", "gelu", "silu",
    "elu", "leakyrelu", "leaky_relu", "hardtanh", "dropout", "batchnorm1d", "batch_norm",
    "layernorm", "layer_norm", "identity", "add", "sub", "mul", "div", "truediv",
}  # fmt: skip


class Step(NamedTuple):
    """An operation or layer that uses a value: its name, and the kinds and shape it accepts."""

    name: str
    kinds: str = KINDS
    shape: Shape = None


class Flow(NamedTuple):
    """The flow of values in a module.

    `values` has the inputs by name, and the items of inputs that are dicts by (input, key), as far
    as the module could be traced. `following` yields the steps that use a value, each with its
    results. `steps` are the names of all steps, None if tracing stopped early. `keys` returns the
    keys that are read from a value that is a dict, each with whether it is optional.
    """

    values: dict[str | tuple[str, str], Any]
    following: Callable[[Any], Iterator[tuple[Step, list[Any]]]]
    steps: set[str] | None
    keys: Callable[[Any], dict[str, bool]]

    def reached(self, value: Any) -> Iterator[tuple[Step, bool]]:
        """The steps that a value reaches, each with whether the value still has its shape."""
        waiting = [(value, True)]
        for each, keeps_shape in waiting:  # the loop appends to this list
            for step, results in self.following(each):
                yield step, keeps_shape
                if step.name in KEEPING | RESHAPING and len(waiting) < MOST_VALUES:
                    keeps = keeps_shape and step.name in KEEPING
                    waiting += [(result, keeps) for result in results]

    def is_of_rows(self) -> bool:
        """Whether the module takes rows of features: only the last axis matters."""
        return self.steps is not None and self.steps <= TABULAR


MOST_VALUES = 200
UNSEEN = Flow({}, lambda _: iter(()), None, lambda _: {})


def flow_of(module: nn.Module, fresh: Callable[[], nn.Module | None]) -> Flow:
    """Trace the module on a copy that `fresh` makes; `UNSEEN` if that fails."""
    with contextlib.suppress(Exception):  # a model that cannot be traced may still work
        if isinstance(module, torch.jit.ScriptModule):
            return _flow_of_script(module)
        if copied := fresh():
            return _flow_of_module(copied)
    return UNSEEN


def is_setting(argument: inspect.Parameter) -> bool:
    """Whether the argument has a default other than None, which requests do not change."""
    return argument.default is not None and argument.default is not argument.empty


def _flow_of_module(module: nn.Module) -> Flow:
    """Trace with torch.fx, up to the point where `forward` needs real values."""
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
    """The keys that are read from a dict, each with the node that reads it."""
    for user in node.users:
        if _is_item(user) and user.args[0] is node:
            yield str(user.args[1]), user


def _is_item(node: fx.Node) -> bool:
    is_got = node.target is operator.getitem or node.target == "get"
    return is_got and len(node.args) > 1 and isinstance(node.args[1], str)


def _inputs_behind(node: fx.Node) -> set[fx.Node]:
    """The inputs that a value depends on: arguments, and items of arguments that are dicts."""
    found, seen, waiting = set(), {node}, [node]
    for each in waiting:  # the loop appends to this list
        if each.op == "placeholder" or _is_item(each):
            found.add(each)
        else:
            waiting += [one for one in each.all_input_nodes if one not in seen]
            seen |= {*each.all_input_nodes}
    return found


def _name_of_node(node: fx.Node, module: nn.Module) -> str:
    if node.op == "call_module":
        kind = type(module.get_submodule(str(node.target))).__name__.lower()
        return kind.removeprefix("lazy")
    name = getattr(node.target, "__name__", str(node.target)).strip("_")
    return "embeddingbag" if name == "embedding_bag" else name


def _step_of_node(node: fx.Node, value: fx.Node, module: nn.Module) -> Step:
    name = _name_of_node(node, module)
    places: list[int | str] = [place for place, each in enumerate(node.args) if each is value]
    places += [word for word, each in node.kwargs.items() if each is value]
    if name == "getitem" and value in node.all_input_nodes and node.args[0] is not value:
        return Step("index", "bi")
    kinds = demanded(name, places)
    if name in BROADCASTING and _inputs_behind(node) != _inputs_behind(value):
        return Step("broadcast", kinds)  # the other input may have the larger shape
    if node.op != "call_module" or not {0, "input"} & {*places}:  # such as a state
        return Step(name, kinds)
    return Step(name, kinds, _shape_for(module.get_submodule(str(node.target))))


def _shape_for(layer: nn.Module) -> Shape:
    match layer:
        case nn.Linear():
            return (None, width_of(layer))
        case nn.modules.conv._ConvNd():
            return (None, width_of(layer), *[None] * (layer.weight.ndim - 2))
        case nn.RNNBase():
            return (None, None, layer.input_size)
    return None


def width_of(layer: Any) -> int:
    """The number of features or channels that a layer takes.

    A lazy layer gets its attributes in its first call, but its weight already when it is loaded.
    """
    match layer:
        case nn.Linear():
            return int(layer.in_features or layer.weight.shape[1])
        case nn.modules.conv._ConvTransposeNd():
            return int(layer.in_channels or layer.weight.shape[0])
    return int(layer.in_channels or layer.weight.shape[1] * layer.groups)


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
    """The keys that a graph reads from a dict, each with the resulting value."""
    for use in value.uses():
        if use.offset == 0 and (key := _key(use.user)) is not None:
            yield key, next(iter(use.user.outputs()))


def _key(node: Any) -> str | None:
    """The key that an operation reads from a dict; None if it reads none."""
    if node.kind() not in ("aten::__getitem__", "aten::get"):
        return None
    key = list(node.inputs())[1].toIValue()
    return key if isinstance(key, str) else None


def _names_behind(values: list[Any]) -> set[str]:
    """The inputs that values in a graph depend on, and the items of inputs that are dicts."""
    found, seen, waiting = set(), set(), [*values]
    for each in waiting:  # the loop appends to this list
        node, name = each.node(), each.debugName()
        if node.kind() == "prim::Param" or _key(node) is not None:
            found.add(name)
        elif node.kind() != "prim::GetAttr" and name not in seen:
            inner = [out for block in node.blocks() for out in block.outputs()]
            waiting += [*node.inputs(), *inner]
        seen.add(name)
    return found


def _step_of_operation(use: Any, module: Any) -> Step:
    node = use.user
    name = node.kind().removeprefix("aten::").strip("_")
    name = "embeddingbag" if name == "embedding_bag" else name
    if name == "prim::ListConstruct":
        uses = list(next(iter(node.outputs())).uses())
        return Step("index", "bi" if uses and uses[0].user.kind() == "aten::index" else KINDS)
    kinds = demanded(f"aten::{name}", [use.offset])
    given = list(node.inputs())
    if name in BROADCASTING and _names_behind(given) != _names_behind([given[use.offset]]):
        return Step("broadcast", kinds)
    shape = None if use.offset else _shape_in_graph(name, given, module)
    return Step(name, kinds, shape)


def _shape_in_graph(name: str, given: list[Any], module: Any) -> Shape:
    if name == "linear":
        return (None, _weight(given[1], module).shape[1])
    if name in ("conv1d", "conv2d", "conv3d", "convolution"):
        weight = _weight(given[1], module)
        groups = given[8 if name == "convolution" else 6].toIValue()
        return (None, weight.shape[1] * groups, *[None] * (weight.ndim - 2))
    return None


def _weight(value: Any, module: Any) -> Any:
    """The weight for a value in a graph: a constant, or a chain of attributes of the module."""
    node = value.node()
    match node.kind():
        case "prim::GetAttr":
            return getattr(_weight(node.input(), module), node.s("name"))
        case "prim::Constant":
            return node.t("value")
    return module
