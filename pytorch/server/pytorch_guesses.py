"""Choose shapes and kinds for trial inputs: the known ones, else common ones."""

from collections.abc import Iterator

import numpy as np
import torch
from pytorch_flow import width_of
from pytorch_specs import BECOMING, Input
from torch import nn

from prepackaged.arrays import Array

Shape = tuple[int, ...]
# Sizes to try for free axes: small ones, and the usual size of images.
SIZES = (32, 28, 224)
ROWS = 2  # rows of a trial input
MOST_WIDTHS = 4


def shapes_to_try(each: Input, size: int, module: nn.Module) -> list[Shape]:
    """Shapes to try for an input, with `ROWS` rows and `size` for free sizes."""
    if each.shape is not None:
        sizes = [want or size for want in each.shape]
        return [(ROWS, *sizes[1:]) if each.shape[:1] == (None,) else tuple(sizes)]
    widths = list(dict.fromkeys(_widths(module)))[:MOST_WIDTHS] or [3]
    shapes = [(ROWS, size), (ROWS,), (size, size), *[(ROWS, width) for width in widths]]
    shapes += [(ROWS, size, width) for width in widths]
    layers = module.modules()
    images = next((width_of(one) for one in layers if isinstance(one, nn.Conv2d)), None)
    return [(ROWS, images, size, size), *shapes] if images else shapes


def with_rows(rows: int, shape: Shape) -> Shape:
    """The shape with this number of rows."""
    return (rows, *shape[1:]) if shape else shape


def kinds_to_try(each: Input, sample: Array | None) -> str:
    """The kinds to try for an input, the most probable first.

    If there is a sample, only kinds that can represent its values are returned.
    """
    if each.dtype:
        return "f"  # unused, because the dtype is known
    order = "fib" if sample is None else BECOMING[sample.dtype.kind]
    return "".join(kind for kind in order if kind in each.kinds and _can_be(sample, kind))


def assumed_kinds(each: Input, module: nn.Module) -> str:
    """The assumed kinds: no integers if the input accepts floats and there are no embeddings."""
    names = (str(getattr(one, "original_name", type(one).__name__)) for one in module.modules())
    takes_tokens = any("Embedding" in name for name in names)
    return each.kinds if takes_tokens or "f" not in each.kinds else each.kinds.replace("i", "")


def _can_be(sample: Array | None, kind: str) -> bool:
    """Whether the kind can represent the sample's values."""
    if sample is None or kind == "f" or sample.dtype.kind == kind:
        return True
    return bool(np.isin(sample, (0, 1)).all() if kind == "b" else (sample == sample // 1).all())


def _widths(module: nn.Module) -> Iterator[int]:
    """The number of features that each layer takes."""
    for layer in module.modules():
        match layer:
            case nn.Linear():
                yield width_of(layer)
            case nn.RNNBase():
                yield layer.input_size
            case nn.modules.batchnorm._BatchNorm():
                yield layer.num_features
            case nn.LayerNorm():
                yield layer.normalized_shape[-1]
            case torch.jit.ScriptModule():
                weights = [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
                yield from (each.shape[1] for each in weights if each.ndim == 2)
