"""torchvision's operators in Python, for use when its compiled part cannot be loaded.

PyPI's torchvision is compiled for CUDA. With a CPU build of PyTorch its operators are missing, and
importing torchvision fails. This module implements the operators that detectors need; the others
are defined, but raise an error when called. If the compiled part loads, as in the image for GPUs or
with PyTorch's own CPU build of torchvision, it is used instead.
"""

import importlib.util
import re
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

EXTENSION = "torchvision.extension"
OURS = Path(__file__).with_name("vision_extension.py")
# The operators of the compiled part, from
# https://github.com/pytorch/vision/tree/main/torchvision/csrc/ops. Importing torchvision needs
# those that end in `backward`, for training, because it registers them by name.
SCHEMAS = """
nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor
qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor
roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt
    pooled_width, int sampling_ratio, bool aligned) -> Tensor
qroi_align(Tensor input, Tensor rois, float input_scale, int input_zero_point, float rois_scale,
    int rois_zero_point, float spatial_scale, SymInt pooled_height, SymInt pooled_width, int
    sampling_ratio, bool aligned) -> Tensor
roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt
    pooled_width) -> (Tensor, Tensor)
ps_roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt
    pooled_width, int sampling_ratio) -> (Tensor, Tensor)
ps_roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt
    pooled_width) -> (Tensor, Tensor)
deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, SymInt
    stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w,
    SymInt groups, SymInt offset_groups, bool use_mask) -> Tensor
box_iou_rotated(Tensor boxes1, Tensor boxes2) -> Tensor
_roi_align_backward(Tensor grad, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt
    pooled_width, SymInt batch_size, SymInt channels, SymInt height, SymInt width, int
    sampling_ratio, bool aligned) -> Tensor
_roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, float spatial_scale, SymInt
    pooled_height, SymInt pooled_width, SymInt batch_size, SymInt channels, SymInt height,
    SymInt width) -> Tensor
_ps_roi_align_backward(Tensor grad, Tensor rois, Tensor channel_mapping, float spatial_scale,
    SymInt pooled_height, SymInt pooled_width, int sampling_ratio, SymInt batch_size, SymInt
    channels, SymInt height, SymInt width) -> Tensor
_ps_roi_pool_backward(Tensor grad, Tensor rois, Tensor channel_mapping, float spatial_scale,
    SymInt pooled_height, SymInt pooled_width, SymInt batch_size, SymInt channels, SymInt
    height, SymInt width) -> Tensor
_deform_conv2d_backward(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor mask,
    Tensor bias, SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt
    dilation_h, SymInt dilation_w, SymInt groups, SymInt offset_groups, bool use_mask) ->
    (Tensor, Tensor, Tensor, Tensor, Tensor)
"""
MOST_SAMPLES = 2**22  # values that roi_align looks up at a time: 16 MB in float32


class Extension(MetaPathFinder):
    """Replaces `torchvision.extension` if its compiled part cannot be loaded."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """Define the operators and return the spec of our file; None for other modules."""
        if name != EXTENSION or _loads_compiled():
            return None
        define_operators()
        return importlib.util.spec_from_file_location(name, OURS)


def complete() -> None:
    """Let `import torchvision` find its operators, in the whole process."""
    if not any(isinstance(each, Extension) for each in sys.meta_path):
        sys.meta_path.insert(0, Extension())


def complete_for(archive: Path) -> None:
    """Define the operators if the code in a TorchScript or `.pt2` archive uses torchvision."""
    with zipfile.ZipFile(archive) as opened:
        code = [name for name in opened.namelist() if name.endswith((".py", ".json"))]
        is_used = any(b"torchvision" in opened.read(name) for name in code)
    if is_used and not _loads_compiled():
        define_operators()


@cache
def define_operators() -> None:
    """Define every operator of the compiled part, once per process."""
    library = torch.library.Library("torchvision", "DEF")
    LIBRARIES.append(library)
    known: dict[str, Callable[..., Any]] = {"nms": nms, "qnms": nms, "roi_align": roi_align}
    for schema in re.split(r"\n(?! )", SCHEMAS.strip()):
        name = schema.partition("(")[0]
        library.define(" ".join(schema.split()))
        library.impl(name, known.get(name) or _absent(name), "CompositeExplicitAutograd")


LIBRARIES: list[Any] = []  # PyTorch removes the operators with this object


@cache
def _loads_compiled() -> bool:
    """Whether torchvision is installed and its compiled part loads with this PyTorch."""
    package = importlib.util.find_spec("torchvision")
    folders = package.submodule_search_locations if package else None
    try:
        torch.ops.load_library(next(Path(next(iter(folders or []))).glob("_C*.so")))
    except (StopIteration, OSError):
        return False
    return True


def _absent(name: str) -> Callable[..., Any]:
    def refuse(*_: Any) -> Any:
        raise NotImplementedError(
            f"torchvision's operator {name} is compiled for CUDA in this image: use the image for"
            " GPUs, or fork this one with PyTorch's own build of torchvision for CPUs"
        )

    return refuse


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Return the indices (int64, best first) of boxes that no better box overlaps.

    `dets` has shape [N, 4], `scores` [N]. The computation uses the dtype of the boxes and the
    order of the compiled operator for CPUs.
    """
    order = scores.sort(stable=True, descending=True).indices.cpu().numpy()
    boxes = dets if dets.is_floating_point() else dets.float()
    x1, y1, x2, y2 = boxes.detach().cpu().numpy().T[:, order]
    areas = (x2 - x1) * (y2 - y1)
    waiting, kept = np.arange(len(order)), []
    while len(waiting):
        best, rest = waiting[0], waiting[1:]
        kept.append(order[best])
        width = np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest])
        height = np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest])
        common = np.maximum(width, 0) * np.maximum(height, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            overlap = common / (areas[best] + areas[rest] - common)
        waiting = rest[~(overlap.astype(np.float64) > iou_threshold)]
    return torch.tensor(np.array(kept, dtype=np.int64), device=dets.device)


def roi_align(
    input: Tensor,  # noqa: A002  the operator's own name for it
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,  # noqa: FBT001  the operator's signature
) -> Tensor:
    """Pool regions [K, 5] of images [N, C, H, W] to [K, C, pooled_height, pooled_width].

    Each value is the mean of bilinearly interpolated points in its bin: `sampling_ratio` points
    per side or, if that is not positive, as many as the bin has pixels.
    """
    pooled = torch.tensor([pooled_height, pooled_width], device=rois.device)
    start = rois[:, [2, 1]] * spatial_scale - (0.5 if aligned else 0)
    size = rois[:, [4, 3]] * spatial_scale - (0.5 if aligned else 0) - start
    size = size if aligned else size.clamp(min=1)
    counts = (size / pooled).ceil().long() if sampling_ratio <= 0 else sampling_ratio
    counts = torch.as_tensor(counts, device=rois.device).expand(len(rois), 2)
    result = input.new_zeros((len(rois), input.shape[1], pooled_height, pooled_width))
    for count in torch.unique(counts, dim=0).tolist():
        if min(count) < 1:
            continue
        places = (counts == torch.tensor(count, device=rois.device)).all(1).nonzero()[:, 0]
        each = input.shape[1] * pooled_height * pooled_width * count[0] * count[1]
        for some in places.split(max(1, MOST_SAMPLES // each)):
            corners = [_axis(start[some, i], size[some, i] / pooled[i], int(pooled[i]), count[i],
                             input.shape[2 + i]) for i in (0, 1)]  # fmt: skip
            result[some] = _means(input, rois[some, 0].long(), *corners)
    return result


def _axis(start: Tensor, step: Tensor, bins: int, count: int, size: int) -> tuple[Tensor, Tensor]:
    """The pixels on both sides of each point on an axis, and their weights: [2, K, bins, count].

    Points more than one pixel outside the image have weight 0.
    """
    bin_at = torch.arange(bins, device=start.device)[:, None] * step[:, None, None]
    inside = torch.arange(count, device=start.device) + 0.5
    points = start[:, None, None] + bin_at + inside * step[:, None, None] / count
    is_near = (points >= -1) & (points <= size)
    points = points.clamp(0, size - 1)
    low = points.floor().long()
    share = points - low
    weights = torch.stack([1 - share, share]) * is_near
    return torch.stack([low, (low + 1).clamp(max=size - 1)]), weights


def _means(
    images: Tensor, of: Tensor, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]
) -> Tensor:
    """The mean of each bin of each region, of shape [K, C, rows' bins, columns' bins]."""
    total = images.new_zeros(())
    for y, y_weight in zip(*rows, strict=True):
        for x, x_weight in zip(*columns, strict=True):
            values = images[of[:, None, None, None, None], :, y[:, :, :, None, None],
                            x[:, None, None, :, :]]  # fmt: skip
            weight = y_weight[:, :, :, None, None] * x_weight[:, None, None, :, :]
            total = total + (values * weight[..., None].to(images.dtype)).sum((2, 4))
    return total.permute(0, 3, 1, 2) / (rows[0].shape[-1] * columns[0].shape[-1])
