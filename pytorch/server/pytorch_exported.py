"""Read programs of torch.export from .pt2 files."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from pytorch_outputs import below, parts
from torch import Tensor, fx, nn
from torch.export.graph_signature import ConstantArgument, InputKind
from torch.export.passes import move_to_device_pass
from torch.utils import _pytree as pytree

from prepackaged import DeploymentError

# Prefixes of files in an archive that contain machine code or are unpickled.
CODE = ("data/aotinductor/", "data/constants/custom_obj_", "data/constants/opaque_obj_")
RECURRENT = {f"aten.{name}.input" for name in ("gru", "lstm", "rnn_relu", "rnn_tanh")}
USES_PICKLE = b'"use_pickle": true'


class Exported(nn.Module):
    """A program of torch.export as a module that takes its tensors by name.

    Raises `DeploymentError` for a file that contains code, unless `allow_pickle`.
    """

    def __init__(self, path: Path, *, allow_pickle: bool) -> None:
        super().__init__()
        if not allow_pickle and (part := _part_with_code(path)):
            raise DeploymentError(
                f"model file {path} has a part that runs code when it is loaded, {part}. If you"
                " trust the file, set the parameter allow_pickle to true"
            )
        with path.open("rb") as file:  # not by path: a link's target may lack the suffix .pt2
            self.program = torch.export.load(file)
        self.body = self.program.module()

    def forward(self, **tensors: Tensor) -> Any:
        """Run the program; returns its outputs, nested as when it was exported."""
        leaves = [tensors.get(name, value) for name, value in self._leaves().items()]
        args, kwargs = pytree.tree_unflatten(leaves, self.program.call_spec.in_spec)
        return self.body(*args, **kwargs)

    def inputs(self) -> dict[str, Any]:
        """The inputs by name: numbers, or tensors without values whose free sizes are symbols."""
        values = {node.name: node.meta.get("val") for node in self.program.graph.nodes}
        names = [name for name, value in self._leaves().items() if value is None]
        known = (Tensor, torch.SymInt, torch.SymFloat, torch.SymBool)
        return {name: values[name] for name in names if isinstance(values[name], known)}

    def batch(self) -> str | None:
        """The most frequent symbol among the inputs' first axes; None if no first axis is free."""
        tensors = [each for each in self.inputs().values() if isinstance(each, Tensor)]
        free = [str(each.shape[0]) for each in tensors if each.ndim and _is_free(each.shape[0])]
        return max(free, key=free.count) if free else None

    def takes_one_row(self) -> bool:
        """Whether the batch is fixed at 1: the first axis of each input is the batch, of size 1."""
        tensors = list(self.inputs().values())
        return (
            bool(tensors)
            and not self._has_batch_second()
            and all(
                isinstance(each, Tensor)
                and [size for size in each.shape[:1] if not _is_free(size)] == [1]
                for each in tensors
            )
        )

    def _has_batch_second(self) -> bool:
        """Whether a recurrent layer gets an input whose first axis is its layers or the time."""
        names = {*self.inputs()}
        return any(
            each.name in names
            for node in self.program.graph.nodes
            for each in _with_batch_second(node)
        )

    def outputs(self) -> dict[str, Tensor]:
        """The outputs of `forward` by name, as tensors without values."""
        (output,) = self.program.graph.find_nodes(op="output")
        count = len(self.program.graph_signature.user_outputs)
        values = [getattr(node, "meta", {}).get("val") for node in output.args[0]]
        given = pytree.tree_unflatten(values[-count:], self.program.call_spec.out_spec)
        return dict(_tensors(given))

    def output_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """The outputs' shapes, None for sizes that are free or depend on values."""
        return {name: free(each.shape) for name, each in self.outputs().items()}

    def eval(self) -> "Exported":
        """Return itself: the export has fixed evaluation or training mode."""
        return self

    def to(self, device: Any) -> "Exported":
        """Move the program to the device, which is fixed in the program. Returns itself."""
        self.program = move_to_device_pass(self.program, device)
        self.body = self.program.module()
        return self

    def _leaves(self) -> dict[str, Any]:
        """The names of all arguments, each with its value if it is constant, else None."""
        given = [
            spec.arg
            for spec in self.program.graph_signature.input_specs
            if spec.kind is InputKind.USER_INPUT
        ]
        return {arg.name: arg.value if isinstance(arg, ConstantArgument) else None for arg in given}


def _with_batch_second(node: fx.Node) -> Iterator[fx.Node]:
    """The arguments of a recurrent layer with the batch as second axis: states, often the steps."""
    if str(node.target) in RECURRENT:
        steps, state, *_, is_batch_first = node.args
        yield from pytree.tree_leaves(state)
        if not is_batch_first:
            yield steps


def free(shape: Iterable[Any]) -> tuple[int | None, ...]:
    """The shape with None for each size that is a symbol."""
    return tuple(None if _is_free(size) else size for size in shape)


def _tensors(given: Any, name: str = "output") -> Iterator[tuple[str, Tensor]]:
    if isinstance(given, Tensor):
        yield name, given
    elif isinstance(given, dict | list | tuple):
        for key, value in parts(given):
            yield from _tensors(value, below(name, key))


def _is_free(size: Any) -> bool:
    return not isinstance(size, int)


def _part_with_code(path: Path) -> str | None:
    """The first part of the archive that may run code; None if there is none."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            part = name.partition("/")[2] or name
            if part.startswith(CODE):
                return part
            if part.endswith("_config.json") and USES_PICKLE in archive.read(name):
                return part
            if part.endswith(".pt") and not _is_tensors(archive.read(name)):
                return part
    return None


def _is_tensors(content: bytes) -> bool:
    try:
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UnpicklingError:
        return False
    return True
