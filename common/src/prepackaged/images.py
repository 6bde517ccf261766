"""Convert the bytes of an image to the array that a model needs.

Without parameters, pixels become float32 from 0 to 1, in a batch of one. If the model's input is
unambiguous, it determines the layout, the number of channels and whether pixels stay 0 to 255.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prepackaged.arrays import Array
from prepackaged.errors import ClientError, DeploymentError
from prepackaged.image_parameters import MOST_PIXELS, one_of, read_numbers, read_size
from prepackaged.parameters import wrong_parameter
from prepackaged.signature import TensorSpec

CHANNELS = {"L": 1, "RGB": 3, "BGR": 3}
MODES: dict[int | None, str] = {
    1: "L",
    3: "RGB",
}  # by number of channels, unless a parameter sets one
SIGNATURES = (b"\x89PNG", b"\xff\xd8", b"BM", b"GIF8", b"RIFF")  # the first bytes of these formats
LAYOUTS = ("NHWC", "NCHW")
RESAMPLING = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
MOST_VALUES = 3 * MOST_PIXELS  # the most values of all images of a request
BLOCK = 2**16  # the number of values that are looked up at a time
Size = tuple[int | None, int | None]  # height and width; None means any size


@dataclass(frozen=True, slots=True)
class Form:
    """The target form of an image for an input.

    `layout` is NHWC, NCHW, or NHW for an input without an axis for channels. `mode` is None if the
    image's mode is kept. `size` is the size that the model accepts. `table` maps each pixel value
    to its result; its shape is [1 or channels, 256].
    """

    layout: str
    mode: str | None
    size: Size
    table: Array


class Preprocessing:
    """How images become arrays, from the parameters of a deployment.

    `image_mode` is RGB, BGR (as OpenCV has it) or L (greyscale). `image_size` is "HxW", such as
    "224x224": images are resized to it without keeping their proportions, by `image_resampling`
    (bilinear by default, or nearest, box, hamming, bicubic, lanczos). Values become
    (value * image_scale - image_mean) / image_std, where value is 0 to 255, `image_scale` is
    1/255 by default (1 for an input of whole numbers), and the other two are one number or,
    with commas, one for each channel in the order of the mode. `image_layout` is NHWC or NCHW;
    if neither it nor the model determines the layout, it is `usual_layout`.

    Raises `DeploymentError` for other values.
    """

    def __init__(
        self,
        image_mode: str | None = None,
        image_size: str | None = None,
        image_resampling: str | None = None,
        image_scale: str | float | None = None,
        image_mean: str | float | None = None,
        image_std: str | float | None = None,
        image_layout: str | None = None,
        *,
        usual_layout: str = "NHWC",
    ) -> None:
        self.mode = one_of("image_mode", image_mode, tuple(CHANNELS))
        self.size = read_size(image_size)
        self.resampling = one_of("image_resampling", image_resampling, RESAMPLING) or "bilinear"
        self.scale = read_numbers("image_scale", image_scale, counts=(1,))
        self.mean = read_numbers("image_mean", image_mean)
        self.std = read_numbers("image_std", image_std)
        self.layout = one_of("image_layout", image_layout, LAYOUTS)
        self.usual_layout = usual_layout
        if self.std and 0 in self.std:
            raise wrong_parameter("image_std", "other than 0", image_std)

    def check(self, inputs: Sequence[TensorSpec]) -> None:
        """Raise `DeploymentError` if the parameters do not fit any of these inputs.

        They are used for each input that they fit.
        """
        asked = (self.mode, self.size, self.layout, self.scale, self.mean, self.std)
        if not any(asked) or any(map(self._fits_input, inputs[1:])):
            return
        if not inputs:
            raise DeploymentError(
                "the image parameters: expected a model that describes its inputs, got one that"
                " does not"
            )
        try:
            self._form(inputs[0])
        except ValueError as error:
            which = "" if len(inputs) == 1 else ", nor any other of its inputs"
            raise DeploymentError(
                f"the image parameters do not fit the model: {error}{which}"
            ) from error

    def use_size(self, size: tuple[int, int], inputs: Sequence[TensorSpec]) -> None:
        """Use the size in the model's file, if no parameter and no input sets one."""
        if self.leaves_size_free(inputs):
            self.size = size

    def leaves_size_free(self, inputs: Sequence[TensorSpec]) -> bool:
        """Whether an input accepts images of any size and nothing resizes them."""
        forms = [self._form(spec) for spec in inputs if self._fits_input(spec)]
        return self.size is None and any(form.size == (None, None) for form in forms)

    def batch(self, files: Sequence[bytes], wanted: TensorSpec) -> Array:
        """The arrays of several images, stacked; each as `array` returns it.

        Raises `ClientError` if they have different sizes, or too many pixels together.
        """
        if len(files) == 1:
            return self.array(files[0], wanted)
        _check_together(self._pixel_count(files[0]), len(files), wanted)  # before any is decoded
        first = self.array(files[0], wanted)
        _check_together(first.size, len(files), wanted)
        images = np.empty((len(files), *first.shape[1:]), first.dtype)
        for number, content in enumerate(files):
            image = self.array(content, wanted)
            if image.shape != first.shape:
                raise ClientError(
                    f"input {wanted.name!r}: expected images of one size, got {list(first.shape)}"
                    f" and, for image {number}, {list(image.shape)}: resize them, or have the"
                    " parameter image_size set"
                )
            images[number] = image[0]
        return images

    def array(self, content: bytes, wanted: TensorSpec) -> Array:
        """The image as [1, H, W, C], [1, C, H, W] or [1, H, W], in the dtype of `wanted`.

        It uses the first frame of an animation, rotates the image as its EXIF says, puts
        transparent parts on white, and reduces 16 bits to 8. Raises `ClientError` for data that is
        not an image, cannot be decoded, is too large, or does not fit `wanted`.
        """
        try:
            form = self._form(wanted)
        except ValueError as error:
            is_image = content.startswith(SIGNATURES)
            what = "an image" if is_image else f"{len(content)} bytes that are not an image"
            raise ClientError(f"got {what}: {error}") from error
        return _laid_out(self._pixels(content, wanted, form), form)

    def _pixel_count(self, content: bytes) -> int:
        """The number of pixels that the image will have, from its header."""
        from prepackaged import image_files

        if self.size:
            return self.size[0] * self.size[1]
        with image_files.reading(content):
            image = image_files.opened(content, will_be_resized=False)
            return image.width * image.height

    def _pixels(self, content: bytes, wanted: TensorSpec, form: Form) -> Array:
        from prepackaged import image_files  # imported here, because authors may lack Pillow

        with image_files.reading(content):
            image = image_files.opened(content, will_be_resized=self.size is not None)
            size = image_files.upright_size(image)
            if not self.size and not _fits(size, form.size):
                raise ClientError(
                    f"input {wanted.name!r}: expected an image of {_shown(form.size)} (height x"
                    f" width), got {_shown(size)}: resize it, or have the parameter image_size"
                    " set"
                )
            image = image_files.decoded(image, "RGB" if form.mode == "BGR" else form.mode)
            if self.size:
                image = image_files.resized(image, self.size, self.resampling)
            pixels = np.asarray(image)
        return pixels[..., ::-1] if form.mode == "BGR" else pixels

    def _fits_input(self, spec: TensorSpec) -> bool:
        try:
            self._form(spec)
        except ValueError:
            return False
        return True

    def _form(self, wanted: TensorSpec) -> Form:
        """The target form of an image for an input. Raises `ValueError` if there is none."""
        try:
            return self._fitted(wanted.dtype, *self._axes(wanted))
        except ValueError as error:
            takes = f"input {wanted.name!r} takes {wanted.expected()}"
            raise ValueError(f"{takes}, {error}") from error

    def _axes(self, wanted: TensorSpec) -> tuple[str, int | None, Size]:
        """Layout, number of channels, height and width, as far as the input's shape tells them."""
        shape = wanted.shape
        if wanted.is_text or (shape is not None and len(shape) not in (3, 4)):
            raise ValueError("which is not an image")
        if shape is None:
            return self.layout or self.usual_layout, None, (None, None)
        if len(shape) == 3:
            return "NHW", 1, (shape[1], shape[2])
        layout = self.layout or _layout_told_by(shape) or self.usual_layout
        height, width, channels = shape[2:] + shape[1:2] if layout == "NCHW" else shape[1:]
        if channels not in (None, *MODES):
            raise ValueError(f"which as {layout} is not an image of 1 or 3 channels")
        return layout, channels, (height, width)

    def _fitted(
        self, dtype: "np.dtype[Any] | None", layout: str, channels: int | None, size: Size
    ) -> Form:
        table = self._table(dtype or np.dtype(np.float32))
        mode = self.mode or MODES.get(channels or (3 if len(table) == 3 else None))
        if mode and channels not in (None, CHANNELS[mode]):
            raise ValueError(f"and image_mode is {mode}")
        if mode and len(table) not in (1, CHANNELS[mode]):
            raise ValueError(f"and image_mean or image_std has 3 values, but {mode} has 1 channel")
        if self.size and not _fits(self.size, size):
            raise ValueError(f"and image_size is {_shown(self.size)}")
        return Form(layout, mode, size, table)

    def _table(self, dtype: "np.dtype[Any]") -> Array:
        is_whole = dtype.kind in "biu"
        scale = self.scale or ((1.0,) if is_whole else (1 / 255,))
        mean, std = (np.array([each]).T for each in (self.mean or (0.0,), self.std or (1.0,)))
        values = (np.arange(256.0) * scale - mean) / std
        with np.errstate(invalid="ignore"):
            table: Array = values.astype(dtype)
        if is_whole and (table != values).any():
            raise ValueError(
                f"and the values of an image become {values.min():g} to {values.max():g};"
                " image_scale, image_mean and image_std must make whole numbers that fit"
            )
        return table


def _check_together(values: int, count: int, wanted: TensorSpec) -> None:
    """Raise `ClientError` if `count` images of `values` values each are too large together."""
    if values * count > MOST_VALUES:
        raise ClientError(
            f"input {wanted.name!r}: expected images of at most {MOST_VALUES} values together, got"
            f" {count} images of {values}: send them in several requests"
        )


def _laid_out(pixels: Array, form: Form) -> Array:
    """Arrange pixels [H, W] or [H, W, C] as a batch of one in the form's layout."""
    if form.layout != "NHW":
        pixels = np.atleast_3d(pixels)
    if form.layout != "NCHW" and len(form.table) == 1:
        return _looked_up(form.table, pixels[None])
    planes = _looked_up(form.table, np.moveaxis(pixels, 2, 0))
    return (planes if form.layout == "NCHW" else np.moveaxis(planes, 0, 2))[None]


def _looked_up(table: Array, parts: Array) -> Array:
    """Look up the values of each part in the table, whose row i is for part i."""
    found = np.empty(parts.shape, table.dtype)
    rows = max(1, BLOCK // parts[0, 0].size)  # numpy converts each byte to an 8-byte index
    for number, part in enumerate(parts):
        for start in range(0, len(part), rows):
            block = slice(start, start + rows)
            np.take(table[number % len(table)], part[block], out=found[number, block], mode="clip")
    return found


def _layout_told_by(shape: tuple[int | None, ...]) -> str | None:
    """The layout, if only one of the possible channel axes has a size that channels can have."""
    first, last = shape[1] in MODES, shape[3] in MODES
    if first == last:
        return None
    return "NCHW" if first else "NHWC"


def _fits(size: Size, wanted: Size) -> bool:
    return all(want in (None, got) for got, want in zip(size, wanted, strict=True))


def _shown(size: Size) -> str:
    return "x".join("?" if each is None else str(each) for each in size)
