"""Call a module with arrays, and classify its errors as the client's or the model's."""

import dis
import inspect
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pytorch_exported import Exported
from pytorch_outputs import joined, named
from pytorch_specs import BECOMING, Input, float_dtype, numpy_dtype
from torch import Tensor, nn

from prepackaged import ClientError, ModelError, TensorSpec, describe
from prepackaged.arrays import Array
from prepackaged.tensor_values import check_range, to_array

if TYPE_CHECKING:
    from pytorch_findings import Findings
    from pytorch_look import Settle

logger = logging.getLogger(__name__)

Arrays = dict[str, Array]
Mode = Callable[[], AbstractContextManager[Any]]
# Exceptions that PyTorch raises for data that does not fit the model, and for its own failures.
REFUSALS = (RuntimeError, IndexError, ValueError, AssertionError)
# Ways to call a module, the fastest first; a module that computes gradients needs a later one.
MODES: Sequence[Mode] = (torch.inference_mode, torch.no_grad, torch.enable_grad)
OF_GRADIENTS = re.compile("grad|inference tensor", re.IGNORECASE)
TROUBLES = (torch.OutOfMemoryError, torch.AcceleratorError, NotImplementedError, RecursionError)
# PyTorch's `NotImplementedError` for a tensor with too few or too many axes, such as "2D".
OF_AXES = re.compile(r"\b\dD\b.*(input|padding)|(input|padding).*\b\dD\b", re.IGNORECASE)


class Forward:
    """Calls a module's `forward` with tensors by input name.

    `others` is the argument that takes tensors of any name, see `inputs_of`.
    """

    def __init__(self, module: nn.Module, inputs: Iterable[Input], others: str | None) -> None:
        self.inputs = {each.name: each for each in inputs}
        self.others = others
        self.modes = MODES
        is_script = isinstance(module, torch.jit.ScriptModule)
        arguments = {} if is_script else inspect.signature(module.forward).parameters
        self.positional = [
            name for name, each in arguments.items() if each.kind is each.POSITIONAL_ONLY
        ]

    def __call__(self, module: nn.Module, tensors: dict[str, Tensor]) -> Any:
        """Call the module, or a copy of it. Returns what `forward` returns.

        Gradients are off, unless the module computes with them.
        """
        keywords: dict[str, Any] = {}
        for name, tensor in tensors.items():
            each = self.inputs.get(name) or Input(name, holder=self.others)
            if each.holder and not each.holder.startswith("**"):
                keywords.setdefault(each.holder, {})[name] = tensor
            else:
                keywords[name] = _as_argument(tensor, each)
        given = [keywords.pop(name) for name in self.positional if name in keywords]
        return self._in_a_mode(self.modes, lambda: module(*given, **keywords))

    def _in_a_mode(self, modes: Sequence[Mode], call: Callable[[], Any]) -> Any:
        """Call the module in the first mode in which it works; later calls start with this mode."""
        try:
            with modes[0]():
                result = call()
        except RuntimeError as error:
            if len(modes) == 1 or not OF_GRADIENTS.search(str(error)):
                raise
            return self._in_a_mode(modes[1:], call)
        self.modes = modes
        return result


class Network:
    """A module on its device, called with arrays by input name.

    `found` are its inputs and other facts. If no trial call has succeeded yet, `settle` finds them
    with a request's values, and `settled` is called; `settle` returns None if the module does not
    accept the values.
    """

    def __init__(
        self,
        module: nn.Module,
        found: "Findings",
        device: str,
        others: str | None = None,
        settle: "Settle | None" = None,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        self.module = module.to(device)
        self.device = device
        self.floating = float_dtype(module)
        self.takes_one_row = isinstance(module, Exported) and module.takes_one_row()
        self.row_shapes = module.output_shapes() if isinstance(module, Exported) else {}
        self.settle, self.settled = settle, settled
        self._use(found)
        self.forward = Forward(module, self.inputs.values(), others)

    def __call__(self, arrays: Arrays) -> Arrays:
        """Run the module; returns an array for each output by name, see `named`.

        Raises `ClientError` if PyTorch refuses the data, `ModelError` for other failures.
        """
        try:
            self._settle(arrays)
            outputs = self._row_by_row(arrays) if self.takes_one_row else self._called(arrays)
        except (ModelError, ClientError):
            raise
        except Exception as error:
            raise self._blame(error, arrays) from error
        self.settle = None
        return outputs

    def specs(self) -> tuple[TensorSpec, ...]:
        """The inputs as `TensorSpec`s, in the order of `forward`'s arguments."""
        return tuple(each.spec(self.floating) for each in self.inputs.values())

    def stacks(self) -> bool:
        """Whether rows of several requests can share a call whose results can be split again."""
        first = {(each.axes or ("batch",))[0] for each in self.inputs.values() if each.shape != ()}
        is_by_row = self.takes_one_row or bool(self.by_row)
        return self.is_shared and not is_by_row and first <= {"batch"}

    def spec_for(self, spec: TensorSpec, value: Any) -> TensorSpec:
        """The input's spec for this value: rows of features may have further leading axes."""
        each = self.inputs.get(spec.name)
        depth = _depth(value)
        if each is None or not each.is_of_rows or depth <= len(each.shape or ()):
            return spec
        return TensorSpec(spec.name, spec.dtype, (*[None] * (depth - 1), (each.shape or ())[-1]))

    def _settle(self, arrays: Arrays) -> None:
        if self.settle and (found := self.settle(list(self.inputs.values()), arrays)):
            self._use(found)
            self.settle = None
            self.settled()

    def _use(self, found: "Findings") -> None:
        self.inputs = {each.name: self._of_any_batch(each) for each in found.inputs}
        self.by_row, self.is_shared = found.by_row, found.is_shared

    def _called(self, arrays: Arrays) -> Arrays:
        tensors = {name: self._tensor(name, array) for name, array in arrays.items()}
        result = dict(named(self.forward(self.module, tensors), self.by_row))
        if not result:
            raise ModelError("forward returned no tensor")
        return result

    def _row_by_row(self, arrays: Arrays) -> Arrays:
        count = len(next(iter(arrays.values())))
        rows = [
            self._called({name: array[row : row + 1] for name, array in arrays.items()})
            for row in range(count)
        ]
        return joined(rows, self.row_shapes)

    def _tensor(self, name: str, array: Array) -> Tensor:
        """Convert the array to a tensor of an accepted kind, the array's own kind if possible."""
        each = self.inputs.get(name) or Input(name)
        kind = next(kind for kind in BECOMING[array.dtype.kind] if kind in each.kinds)
        dtype = each.dtype_of(kind, self.floating)
        wanted = numpy_dtype(dtype)
        if array.dtype != wanted:
            array = to_array(TensorSpec(name, wanted), array)
        tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
        return _converted(name, tensor, dtype).to(self.device)

    def _of_any_batch(self, each: Input) -> Input:
        if not self.takes_one_row or each.shape is None:
            return each
        axes = ("batch", *(each.axes or each.shape)[1:])
        return replace(each, shape=(None, *each.shape[1:]), axes=axes)

    def _blame(self, error: Exception, arrays: Arrays) -> ClientError | ModelError:
        left_out = [name for name in self.inputs if name not in arrays]
        if left_out and "NoneType" in str(error) and isinstance(error, TypeError | AttributeError):
            return ClientError(f"the model needs more of {', '.join(left_out)}: {_text(error)}")
        if _is_refusal(error) and _is_native(error):
            expected = {spec.name: spec.expected() for spec in self.specs()}
            got = "; ".join(
                f"input {name!r}: expected {expected.get(name, 'numbers')}, got {array.dtype} of"
                f" shape {list(array.shape)}"
                for name, array in arrays.items()
            )
            return ClientError(f"the model refuses the data: {_text(error)}; {got}")
        logger.error("The model failed", exc_info=error)
        return ModelError(f"the model failed: {describe(error)}")


def _depth(value: Any) -> int:
    """The number of axes of an array or of nested lists."""
    depth = 0
    while isinstance(value, list):
        value, depth = (value[0] if value else None), depth + 1
    return value.ndim if isinstance(value, np.ndarray) else depth


def _converted(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor in a dtype that numpy may lack. Raises `ClientError` for numbers beyond it."""
    if tensor.dtype == dtype:
        return tensor
    kept, limits = tensor.to(dtype), torch.finfo(dtype)
    back, told = kept.to(tensor.dtype).numpy(), str(dtype).removeprefix("torch.")
    check_range(name, tensor.numpy(), back, told, (limits.min, limits.max))
    return kept


def _as_argument(tensor: Tensor, each: Input) -> Any:
    if each.is_plain:
        return tensor.item()
    return list(tensor.unbind()) if each.is_list else tensor


def _is_refusal(error: Exception) -> bool:
    """Whether PyTorch raises such errors for data that does not fit the model."""
    is_of_axes = isinstance(error, NotImplementedError) and OF_AXES.search(str(error))
    return isinstance(error, REFUSALS) and (bool(is_of_axes) or not isinstance(error, TROUBLES))


def _is_native(error: Exception) -> bool:
    """Whether PyTorch or the interpreter raised the error, not a `raise` in the author's code."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    if trace is None or type(error).__name__ == "BackendCompilerFailed":
        return False
    frame = trace.tb_frame
    is_raised = dis.opname[frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
    module = str(frame.f_globals.get("__name__")).partition(".")[0]
    return not is_raised or module in ("torch", "torchvision")


def _text(error: Exception) -> str:
    """The first line of PyTorch's message, or the last line for an error in TorchScript."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return (lines[-1] if "TorchScript" in lines[0] else lines[0]).rstrip(".")
