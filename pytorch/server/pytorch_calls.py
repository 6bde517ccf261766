"""Arrays into a module and out of it, and whose mistake it is when that fails."""

import dis
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from pytorch_specs import Input, float_dtype, numpy_dtype
from torch import Tensor, nn

from prepackaged import ClientError, ModelError, Signature, TensorSpec, describe
from prepackaged.arrays import Array

logger = logging.getLogger(__name__)

Arrays = dict[str, Array]
# For sizes that a model leaves open: small ones, and the usual one of images.
SIZES = (32, 28, 224)
# What PyTorch raises for data that does not suit the model, and for its own trouble.
REFUSALS = (RuntimeError, IndexError, ValueError)
TROUBLES = (torch.OutOfMemoryError, torch.AcceleratorError, NotImplementedError, RecursionError)


class Network:
    """A module on its device, called with arrays by the names of its inputs."""

    def __init__(self, module: nn.Module, inputs: Sequence[Input], device: str) -> None:
        self.module = module.to(device)
        self.device = device
        self.floating = float_dtype(module)
        self.takes_one_row = all((each.shape or ())[:1] == (1,) for each in inputs)
        self.inputs = {each.name: self._of_any_batch(each) for each in inputs}

    def __call__(self, arrays: Arrays) -> Arrays:
        """The module's outputs by name, see `named`.

        Raises `ClientError` where PyTorch refuses the data, `ModelError` for other failures.
        """
        try:
            return self._answer(arrays)
        except ModelError:
            raise
        except Exception as error:
            raise self._blame(error, arrays) from error

    def signature(self) -> Signature:
        """What the module takes, as its layers tell, and gives, as trial calls show."""
        inputs = tuple(each.spec() for each in self.inputs.values())
        return Signature(inputs, self._try_out() or None).with_source("model")

    def _try_out(self) -> tuple[TensorSpec, ...]:
        """What comes out for zeros; nothing where it is unknown what to try.

        Those are also the first calls, of several rows and of one, which take the longest.
        """
        tried: list[Arrays] = []
        has_free_sizes = any(None in (each.shape or ())[1:] for each in self.inputs.values())
        for size in SIZES if has_free_sizes else SIZES[:1]:
            if (zeros := self._zeros(size)) and len(tried) <= 2 and (answers := self._tried(zeros)):
                tried += [*answers, *self._tried({name: each[:1] for name, each in zeros.items()})]
        names = tried[0] if tried else ()
        return tuple(_spec(name, [each[name] for each in tried if name in each]) for name in names)

    def _answer(self, arrays: Arrays) -> Arrays:
        if self.takes_one_row:
            return self._row_by_row(arrays)
        return self._called(arrays)

    def _called(self, arrays: Arrays) -> Arrays:
        tensors = {name: self._tensor(name, array) for name, array in arrays.items()}
        with torch.inference_mode():
            result = {name: _array(each) for name, each in named(self.module(**tensors))}
        if not result:
            raise ModelError("forward gave no tensor")
        return result

    def _row_by_row(self, arrays: Arrays) -> Arrays:
        count = len(next(iter(arrays.values())))
        rows = [
            self._called({name: array[row : row + 1] for name, array in arrays.items()})
            for row in range(count)
        ]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def _tensor(self, name: str, array: Array) -> Tensor:
        tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
        usual = self.floating if tensor.is_floating_point() else tensor.dtype
        return tensor.to(self.device, self.inputs[name].dtype or usual)

    def _of_any_batch(self, each: Input) -> Input:
        if not self.takes_one_row or each.shape is None:
            return each
        return replace(each, shape=(None, *each.shape[1:]))

    def _zeros(self, size: int) -> Arrays:
        needed = [each for each in self.inputs.values() if not each.is_optional]
        shapes = [each.shape for each in needed if each.shape is not None]
        if len(shapes) < len(needed):
            return {}
        batches = [(2 if shape[:1] == (None,) else shape[0], *shape[1:]) for shape in shapes]
        full = [[size if each is None else each for each in shape] for shape in batches]
        return {
            each.name: np.zeros(shape, numpy_dtype(each.dtype or self.floating))
            for each, shape in zip(needed, full, strict=True)
        }

    def _tried(self, zeros: Arrays) -> list[Arrays]:
        try:
            return [self._answer(zeros)]
        except Exception:
            logger.debug("A call with zeros failed", exc_info=True)
            return []

    def _blame(self, error: Exception, arrays: Arrays) -> ClientError | ModelError:
        if isinstance(error, REFUSALS) and not isinstance(error, TROUBLES) and _is_native(error):
            got = "; ".join(
                f"input {name!r}: expected {self.inputs[name].spec().expected()}, got"
                f" {array.dtype} of shape {list(array.shape)}"
                for name, array in arrays.items()
            )
            return ClientError(f"the model refuses the data: {_text(error)}; {got}")
        logger.error("The model failed", exc_info=error)
        return ModelError(f"the model failed: {describe(error)}")


def named(result: Any, name: str = "output") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in what forward gave, by name.

    A single one is `output`; those of a dict or a named tuple have the names there, those of a
    list or a tuple are `output_0`, `output_1`. Raises `ModelError` for other values.
    """
    if isinstance(result, Tensor):
        yield name, result
    elif isinstance(result, bool | int | float):
        yield name, torch.tensor(result)
    elif result is not None:
        for key, value in _parts(result):
            is_told = isinstance(key, str) and name == "output"
            yield from named(value, key if is_told else f"{name}_{key}")


def _parts(result: Any) -> Sequence[tuple[Any, Any]]:
    if isinstance(result, Mapping):
        return list(result.items())
    if hasattr(result, "_fields"):
        return list(zip(result._fields, result, strict=True))
    if isinstance(result, list | tuple):
        return list(enumerate(result))
    raise ModelError(f"forward gave a {type(result).__name__}; expected tensors")


def _array(tensor: Tensor) -> Array:
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    array: Array = tensor.numpy(force=True)
    return array


def _spec(name: str, arrays: Sequence[Array]) -> TensorSpec:
    """An output from the answers to inputs of several shapes; sizes that differ are free."""
    shapes = [np.atleast_1d(each).shape for each in arrays]
    if len(set(map(len, shapes))) > 1:
        return TensorSpec(name, arrays[0].dtype)
    sizes = [set(sizes) for sizes in zip(*shapes, strict=True)]
    return TensorSpec(
        name, arrays[0].dtype, [size.pop() if len(size) == 1 else None for size in sizes]
    )


def _is_native(error: Exception) -> bool:
    """Whether PyTorch or the interpreter raised it, rather than a `raise` of the author's."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    if trace is None or type(error).__name__ == "BackendCompilerFailed":
        return False
    frame = trace.tb_frame
    is_raised = dis.opname[frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
    return not is_raised or str(frame.f_globals.get("__name__")).partition(".")[0] == "torch"


def _text(error: Exception) -> str:
    """PyTorch's own words: of an error in TorchScript they are the last line."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return (lines[-1] if "TorchScript" in lines[0] else lines[0]).rstrip(".")
