import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from prepackaged import ClientError, DeploymentError, TensorSpec, image_parts
from prepackaged.image_parts import MOST_PARTS, check_parts, components_of_first_scan
from prepackaged.images import Preprocessing

ANY = TensorSpec("x", None)
NHWC = TensorSpec("x", "float32", (None, None, None, 3))
NCHW = TensorSpec("x", "float32", (None, 3, None, None))
BYTES = TensorSpec("x", "uint8", (None, None, None, 3))
GREY = TensorSpec("x", "uint8", (None, None, None))
FORMATS = ["PNG", "JPEG", "BMP", "GIF", "WEBP"]
RED, BLUE = (255, 0, 0), (0, 0, 255)
# an image of 2 x 3 pixels with a different value in each place and channel
COLOURS = (np.arange(18) * 10).astype(np.uint8).reshape(2, 3, 3)


def encoded(image: Any, form: str = "PNG", mode: str | None = None, **options: Any) -> bytes:
    """Encode an array of pixels or a Pillow image as a file."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, form, **options)
    return file.getvalue()


def png(width: int, height: int, *, bits: int = 8, colour: int = 0, rows: bytes = b"") -> bytes:
    """Build a PNG with these header fields and this data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def pixels(content: bytes, wanted: TensorSpec = BYTES, **parameters: Any) -> Any:
    """Return the image's rows of pixels as lists."""
    (image,) = Preprocessing(**parameters).array(content, wanted).tolist()
    return image


def refusal(content: bytes, wanted: TensorSpec = ANY, **parameters: Any) -> str:
    """Return the error message for an image."""
    with pytest.raises(ClientError) as caught:
        Preprocessing(**parameters).array(content, wanted)
    return str(caught.value)


def stop(*inputs: TensorSpec, **parameters: Any) -> str:
    """Return the deployment error message for these parameters."""
    with pytest.raises(DeploymentError) as caught:
        Preprocessing(**parameters).check(inputs)
    return str(caught.value)


# Defaults


def test_values_become_floats_from_0_to_1() -> None:
    """Values become float32 from 0 to 1, exactly as when divided by 255."""
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    answer = Preprocessing().array(encoded(values), TensorSpec("x", None, (None, 16, 16)))
    assert answer.dtype == np.float32
    assert (answer[0] == values.astype(np.float32) / np.float32(255)).all()


def test_an_image_is_a_batch_of_one() -> None:
    """An image becomes a batch of shape [1, height, width, 3]."""
    answer = Preprocessing(image_scale="1").array(encoded(COLOURS), ANY)
    assert answer.shape == (1, 2, 3, 3)
    assert answer[0].tolist() == COLOURS.tolist()


def test_a_grey_image_has_one_channel() -> None:
    """A grey image becomes a batch of shape [1, height, width, 1]."""
    answer = Preprocessing(image_scale="1").array(encoded(COLOURS[..., 0]), ANY)
    assert answer.shape == (1, 2, 3, 1)
    assert answer[0, ..., 0].tolist() == COLOURS[..., 0].tolist()


@pytest.mark.parametrize(
    ("wanted", "shape"),
    [
        ((None, None, None, 3), (1, 2, 3, 3)),
        ((None, 2, 3, 3), (1, 2, 3, 3)),
        ((1, 2, 3, 3), (1, 2, 3, 3)),
        ((None, None, None, 1), (1, 2, 3, 1)),
        ((None, 3, None, None), (1, 3, 2, 3)),
        ((None, 1, 2, None), (1, 1, 2, 3)),
        ((None, 2, 3), (1, 2, 3)),
        ((None, None, None), (1, 2, 3)),
        ((None, None, None, None), (1, 2, 3, 3)),
    ],
)
def test_channels_and_layout_follow_the_model(
    wanted: tuple[int | None, ...], shape: tuple[int, ...]
) -> None:
    """An axis of size 1 or 3 is the channels; an input of three axes has no channel axis."""
    assert (
        Preprocessing().array(encoded(COLOURS), TensorSpec("x", "float32", wanted)).shape == shape
    )


def test_the_usual_layout_decides_what_the_model_leaves_open() -> None:
    """If the model and the parameters leave the layout open, the framework's usual one is used."""
    usual = Preprocessing(usual_layout="NCHW")
    assert usual.array(encoded(COLOURS), ANY).shape == (1, 3, 2, 3)
    assert usual.array(encoded(COLOURS[:, :, 0]), ANY).shape == (1, 1, 2, 3)
    assert usual.array(encoded(COLOURS), NHWC).shape == (1, 2, 3, 3)
    either = TensorSpec("x", "float32", (None, 3, None, 3))
    assert usual.array(encoded(COLOURS), either).shape == (1, 3, 2, 3)


def test_both_layouts_hold_the_same_pixels() -> None:
    """Both layouts hold the same pixels."""
    last = Preprocessing().array(encoded(COLOURS), NHWC)
    first = Preprocessing().array(encoded(COLOURS), NCHW)
    assert (first == last.transpose(0, 3, 1, 2)).all()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64", "uint16"])
def test_whole_numbers_stay_from_0_to_255(dtype: str) -> None:
    """Integer inputs get the pixel values unchanged."""
    answer = Preprocessing().array(encoded(COLOURS), TensorSpec("x", dtype, NHWC.shape))
    assert answer.dtype == dtype
    assert answer[0].tolist() == COLOURS.tolist()


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats_are_scaled_too(dtype: str) -> None:
    """Other float types get values from 0 to 1 too."""
    answer = Preprocessing().array(encoded(COLOURS), TensorSpec("x", dtype, NHWC.shape))
    assert answer.dtype == dtype
    assert answer[0, 1, 2, 2] == np.dtype(dtype).type(170 / 255)


# Parameters


def test_the_mode_may_be_set() -> None:
    """The mode L converts colours by Pillow's weights, and RGB repeats a grey channel."""
    grey = np.asarray(Image.fromarray(COLOURS).convert("L"))
    assert pixels(encoded(COLOURS), ANY, image_mode="L", image_scale=1) == grey[..., None].tolist()
    answer = pixels(encoded(grey), ANY, image_mode="rgb", image_scale=1)
    assert answer == np.stack([grey] * 3, axis=-1).tolist()


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_blue_may_come_first(layout: str) -> None:
    """BGR, as in OpenCV, reverses the channels; mean and deviation are in this order too."""
    answer = Preprocessing(
        image_mode="BGR", image_scale=1, image_mean="1,2,3", image_std="1,2,4", image_layout=layout
    ).array(encoded(np.full((1, 1, 3), (31, 22, 11), np.uint8)), ANY)
    assert answer.ravel().tolist() == [10.0, 10.0, 7.0]
    grey = encoded(np.full((1, 1), 7, np.uint8))
    assert pixels(grey, BYTES, image_mode="bgr") == [[[7, 7, 7]]]
    assert pixels(encoded(COLOURS), BYTES, image_mode="BGR") == COLOURS[..., ::-1].tolist()


@pytest.mark.parametrize("name", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_the_size_may_be_set(name: str) -> None:
    """The image is resized to this height and width with the named resampling."""
    expected = Image.fromarray(COLOURS).resize((5, 4), Image.Resampling[name.upper()])
    answer = pixels(encoded(COLOURS), image_size="4x5", image_resampling=name)
    assert answer == np.asarray(expected).tolist()


def test_the_usual_resampling_is_bilinear() -> None:
    """The default resampling is bilinear."""
    expected = Image.fromarray(COLOURS).resize((5, 4), Image.Resampling.BILINEAR)
    assert pixels(encoded(COLOURS), image_size="4 X 5") == np.asarray(expected).tolist()


def test_an_image_of_the_set_size_stays_as_it_is() -> None:
    """An image that already has this size is unchanged."""
    assert pixels(encoded(COLOURS), image_size="2x3") == COLOURS.tolist()


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_values_are_scaled_and_normalized_by_channel(layout: str) -> None:
    """Values are (value * scale - mean) / std, with the numbers of each channel, in any layout."""
    answer = Preprocessing(
        image_scale="1/255", image_mean="0.5, 0.25,0", image_std="0.5,0.25,1", image_layout=layout
    ).array(encoded(np.full((1, 2, 3), (0, 255, 51), np.uint8)), ANY)
    last = answer if layout == "NHWC" else answer.transpose(0, 2, 3, 1)
    assert last.tolist() == [[[[-1.0, 3.0, pytest.approx(0.2)]] * 2]]


def test_one_mean_and_deviation_are_for_all_channels() -> None:
    """A single mean and deviation applies to all channels."""
    content = encoded(np.array([[RED, BLUE]], np.uint8))
    answer = pixels(content, NHWC, image_mean="0.5", image_std=0.5)
    assert answer == [[[1, -1, -1], [-1, -1, 1]]]


def test_normalizing_by_channel_converts_to_colours() -> None:
    """A mean for each of three channels converts a grey image to RGB."""
    answer = Preprocessing(image_mean="0,0,0").array(encoded(COLOURS[..., 0]), ANY)
    assert answer.shape == (1, 2, 3, 3)


def test_the_scale_may_be_in_any_notation() -> None:
    """The scale may be a fraction, a decimal or a number."""
    content = encoded(np.full((1, 1), 100, np.uint8))
    for scale in ("1/100", "0.01", "1e-2", 0.01):
        assert pixels(content, ANY, image_scale=scale) == [[[1.0]]]


def test_signed_bytes_need_a_mean() -> None:
    """A mean of 128 converts to int8; without it, the values would not fit."""
    signed = TensorSpec("x", "int8", (None, None, None))
    content = encoded(np.array([[0, 128, 255]], np.uint8))
    assert pixels(content, signed, image_mean="128") == [[-128, 0, 127]]
    assert refusal(content, signed) == (
        "got an image: input 'x' takes int8 of shape [n, ?, ?], and the values of an image"
        " become 0 to 255; image_scale, image_mean and image_std must make whole numbers that fit"
    )


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("image_mode", "HSV", "one of L, RGB, BGR"),
        ("image_layout", "HWC", "one of NHWC, NCHW"),
        ("image_resampling", "cubic", "one of nearest, box, bilinear, hamming, bicubic, lanczos"),
        ("image_size", "224", 'height and width such as "224x224"'),
        ("image_size", "0x224", 'height and width such as "224x224"'),
        ("image_size", "224x224x3", 'height and width such as "224x224"'),
        ("image_size", "99999x99999", "at most 16,777,216 pixels"),
        ("image_scale", "1/0", "a number such as 0.5 or 1/255, got"),
        ("image_scale", "1,1,1", "a number such as 0.5 or 1/255, got"),
        ("image_scale", "small", "a number such as 0.5 or 1/255, got"),
        ("image_mean", "0.5,0.5", "one for each of 3 channels such as 0.5,0.5,0.5"),
        ("image_mean", "nan", "one for each of 3 channels such as 0.5,0.5,0.5"),
        ("image_std", "1,,1", "one for each of 3 channels such as 0.5,0.5,0.5"),
        ("image_std", "1,0,1", "other than 0"),
    ],
)
def test_a_wrong_parameter_stops_the_start(name: str, value: str, accepted: str) -> None:
    """The error names the parameter, the accepted values and the actual value."""
    message = stop(ANY, **{name: value})
    assert message.startswith(f"expected the parameter {name} to be ")
    assert accepted in message
    assert message.endswith(f", got {value!r}")


@pytest.mark.parametrize(
    ("wanted", "parameters", "reason"),
    [
        (TensorSpec("x", "float32", (None, 4)), {"image_mode": "L"}, "which is not an image"),
        (TensorSpec("x", "str", (None,)), {"image_mode": "L"}, "which is not an image"),
        (TensorSpec("x", "str"), {"image_mode": "L"}, "which is not an image"),
        (NHWC, {"image_mode": "L"}, "and image_mode is L"),
        (GREY, {"image_mode": "BGR"}, "and image_mode is BGR"),
        (TensorSpec("x", None, (None, 28, 28)), {"image_mode": "RGB"}, "and image_mode is RGB"),
        (
            TensorSpec("x", None, (None, 3, 8, 8)),
            {"image_layout": "NHWC"},
            "which as NHWC is not an image of 1 or 3 channels",
        ),
        (TensorSpec("x", None, (None, 3, 8, 9)), {"image_size": "9x8"}, "and image_size is 9x8"),
        (GREY, {"image_std": "1,1,1"}, "and image_mean or image_std has 3 values"),
        (ANY, {"image_std": "1,1,1", "image_mode": "L"}, "has 3 values, but L has 1 channel"),
        (BYTES, {"image_scale": "1/255"}, "the values of an image become 0 to 1;"),
        (BYTES, {"image_mean": "128"}, "the values of an image become -128 to 127;"),
    ],
)
def test_parameters_that_contradict_the_model_stop_the_start(
    wanted: TensorSpec, parameters: dict[str, str], reason: str
) -> None:
    """Parameters that do not fit the model's input are a deployment error."""
    message = stop(wanted, **parameters)
    assert message.startswith("the image parameters do not fit the model: input 'x' takes ")
    assert reason in message


def test_image_parameters_are_for_an_input_that_takes_images() -> None:
    """With several inputs, one that accepts images is enough."""
    ids = TensorSpec("ids", "int64", (None, 4))
    for inputs in ([ids, NHWC], [NHWC, ids], [NHWC, NHWC]):
        Preprocessing(image_mode="RGB").check(inputs)
    assert stop(ids, ids, image_mode="L") == (
        "the image parameters do not fit the model: input 'ids' takes int64 of shape [n, 4], which"
        " is not an image, nor any other of its inputs"
    )


def test_image_parameters_without_an_input_stop_the_start() -> None:
    """Image parameters are an error if the inputs are unknown."""
    assert stop(image_mode="L").endswith("that describes its inputs, got one that does not")


def test_a_model_that_takes_no_image_starts_without_parameters() -> None:
    """Without parameters, a model that takes no images is accepted."""
    Preprocessing().check([TensorSpec("x", "str", (None,)), TensorSpec("y", None)])
    Preprocessing(image_size="8x9").check([TensorSpec("x", None, (None, 3, 8, 9))])


# File contents


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read(form: str) -> None:
    """All five formats are decoded."""
    grey = np.full((8, 16, 3), 128, np.uint8)
    assert pixels(encoded(grey, form)) == grey.tolist()


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, [[1, 2, 3], [4, 5, 6]]),
        (2, [[3, 2, 1], [6, 5, 4]]),
        (3, [[6, 5, 4], [3, 2, 1]]),
        (4, [[4, 5, 6], [1, 2, 3]]),
        (5, [[1, 4], [2, 5], [3, 6]]),
        (6, [[4, 1], [5, 2], [6, 3]]),
        (7, [[6, 3], [5, 2], [4, 1]]),
        (8, [[3, 6], [2, 5], [1, 4]]),
    ],
)
@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_an_image_is_rotated_by_its_exif_orientation(
    orientation: int, turned: list[list[int]], form: str
) -> None:
    """The image is rotated as its Exif orientation says."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if form == "WEBP" else {}
    content = encoded(np.array([[1, 2, 3], [4, 5, 6]], np.uint8), form, exif=exif, **lossless)
    assert pixels(content, GREY) == turned


def test_a_jpeg_is_rotated_by_its_exif_orientation() -> None:
    """A JPEG is rotated as its Exif orientation says."""
    exif = Image.Exif()
    exif[0x0112] = 6
    halves = np.repeat([[0, 255]], 8, axis=1).repeat(8, axis=0).astype(np.uint8)
    answer = Preprocessing().array(encoded(halves, "JPEG", exif=exif), GREY)[0]
    assert answer.shape == (16, 8)
    assert answer[:8].max() < 8
    assert answer[8:].min() > 247


@pytest.mark.parametrize(
    ("pixel", "mode", "seen"),
    [
        ((255, 0, 0, 255), "RGBA", [255, 0, 0]),
        ((0, 0, 0, 0), "RGBA", [255, 255, 255]),
        ((0, 0, 0, 51), "RGBA", [204, 204, 204]),
        ((100, 255), "LA", [100, 100, 100]),
        ((0, 0), "LA", [255, 255, 255]),
    ],
)
def test_transparent_pixels_are_blended_with_white(pixel: Any, mode: str, seen: list[int]) -> None:
    """Transparent pixels are blended with white."""
    assert pixels(encoded(Image.new(mode, (1, 1), pixel))) == [[seen]]


def test_grey_with_alpha_stays_one_channel() -> None:
    """A grey image with alpha has one channel."""
    answer = Preprocessing(image_scale=1).array(encoded(Image.new("LA", (1, 1), (7, 255))), ANY)
    assert answer.tolist() == [[[[7.0]]]]


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_a_palette_becomes_colours(form: str) -> None:
    """Palette images are converted to colours, including a transparent colour."""
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *BLUE, 0, 0, 0])
    image.putdata([0, 1, 2])
    assert pixels(encoded(image, form), ANY, image_scale=1) == [[[*RED], [*BLUE], [0, 0, 0]]]
    assert pixels(encoded(image, form, transparency=2)) == [[[*RED], [*BLUE], [255, 255, 255]]]


def test_a_transparent_colour_becomes_white() -> None:
    """A transparent colour in a PNG without alpha becomes white."""
    content = encoded(np.array([[RED, BLUE]], np.uint8), transparency=RED)
    assert pixels(content) == [[[255, 255, 255], [*BLUE]]]


def test_black_and_white_is_0_and_255() -> None:
    """Black and white become 0 and 255."""
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert pixels(encoded(image), GREY) == [[0, 255]]


def test_grey_of_16_bits_becomes_8() -> None:
    """Grey values of 16 bits are reduced to their upper 8 bits."""
    values = np.array([[0, 255, 256, 0x7FFF, 0xFFFF]], np.uint16)
    assert pixels(encoded(values), GREY) == [[0, 0, 1, 127, 255]]
    assert Preprocessing().array(encoded(values), ANY).shape == (1, 1, 5, 1)


def test_colours_of_16_bits_become_8() -> None:
    """Colours of 16 bits are reduced to their upper 8 bits."""
    row = b"\0" + struct.pack(">3H", 0x0100, 0x7FFF, 0xFFFF)
    assert pixels(png(1, 1, bits=16, colour=2, rows=row)) == [[[1, 127, 255]]]


def test_cmyk_is_converted_to_rgb() -> None:
    """A CMYK JPEG is converted to RGB."""
    red = np.asarray(pixels(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")))
    assert red[..., 0].min() > 247
    assert red[..., 1:].max() < 8


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_its_first_frame(form: str) -> None:
    """The first frame of an animation is used."""
    frames = [Image.new("RGB", (2, 1), colour) for colour in (RED, BLUE)]
    options = {"lossless": True} if form == "WEBP" else {}
    content = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    assert pixels(content) == [[[*RED], [*RED]]]


def test_a_jpeg_with_more_images_in_it_is_its_first() -> None:
    """The first image of a JPEG with several images is used."""
    frames = [Image.new("L", (8, 8), grey) for grey in (50, 100)]
    content = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert pixels(content, GREY) == [[50] * 8] * 8


# Errors


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "0 bytes"),
        (b"hello", "5 bytes: text that begins with 'hello'"),
        (b'{"data": {"ndarray": []}}', '25 bytes: text that begins with \'{"data": {"ndarr\''),
        (b"\0\1\2", r"3 bytes: b'\x00\x01\x02'"),
        (b"%PDF-1.7\n" * 9, r"81 bytes: text that begins with '%PDF-1.7\n%PDF-1.'"),
    ],
)
def test_the_error_for_a_file_that_is_no_image_shows_its_first_bytes(
    content: bytes, got: str
) -> None:
    """The error lists the supported formats and shows the first bytes."""
    assert refusal(content) == f"expected an image (PNG, JPEG, BMP, GIF, WEBP), got {got}"


def test_a_format_that_is_not_listed_is_refused() -> None:
    """Other formats are refused, although Pillow supports them."""
    assert "expected an image (PNG" in refusal(encoded(COLOURS, "TIFF"))
    assert "expected an image (PNG" in refusal(encoded(COLOURS, "PPM"))


@pytest.mark.parametrize("form", FORMATS)
def test_a_truncated_image_is_refused(form: str) -> None:
    """A truncated image is refused."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(noise, form)
    assert "it is truncated or damaged" in refusal(content[: len(content) // 2])


def declared(form: str, width: int, height: int) -> bytes:
    """Build a small file whose header declares an image of this size."""
    if form == "PNG":
        return png(width, height)
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    animated = {"save_all": True, "append_images": frames[1:]} if form == "WEBP" else {}
    content = bytearray(encoded(frames[0], form, **animated))
    if form == "JPEG":
        size = content.index(b"\xff\xc0") + 5
        content[size : size + 4] = struct.pack(">HH", height, width)
    elif form == "BMP":
        content[18:26] = struct.pack("<ii", width, height)
    elif form == "GIF":
        content[6:10] = struct.pack("<HH", width, height)
    else:
        content[24:27] = (width - 1).to_bytes(3, "little")
        content[27:30] = (height - 1).to_bytes(3, "little")
    return bytes(content)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (5000, 4000, "expected an image of at most 16777216 pixels, got 4000x5000"),
        (12000, 12000, "expected a smaller image: Image size (144000000 pixels) exceeds limit"),
        (16000, 15000, "expected a smaller image: Image size (240000000 pixels) exceeds limit"),
    ],
)
def test_a_decompression_bomb_is_refused_before_decoding(
    form: str, width: int, height: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decompression bomb is refused by its declared size, before decoding."""
    decode = Mock()
    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    assert refusal(declared(form, width, height)).startswith(reason)
    decode.assert_not_called()


def test_an_image_to_be_resized_may_be_larger() -> None:
    """An image that will be resized may have twice as many pixels."""
    grey = encoded(np.full((5000, 6000), 9, np.uint8))
    assert pixels(grey, GREY, image_size="1x2") == [[9, 9]]
    assert refusal(declared("GIF", 6000, 6000), image_size="1x2") == (
        "expected an image of at most 33554432 pixels, got 6000x6000"
    )


def halves(height: int, width: int, **options: Any) -> bytes:
    """Build a JPEG whose upper half is black and whose lower half is white."""
    grey = Image.new("L", (width, height))
    grey.paste(255, (0, height // 2, width, height))
    return encoded(grey, "JPEG", **options)


def test_a_photo_of_48_megapixels_is_resized() -> None:
    """A JPEG of 48 megapixels is decoded at half its size and resized, rotated or not."""
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate clockwise: black moves to the right
    size = {"image_size": "224x224"}
    upright = np.array(pixels(halves(6048, 8064), GREY, **size))
    turned = np.array(pixels(halves(6048, 8064, exif=exif), GREY, **size))
    for image in (upright, turned.T[::-1]):
        assert image.shape == (224, 224)
        assert image[:110].max() <= 2
        assert image[114:].min() >= 253
    assert refusal(declared("JPEG", 9000, 8000), image_size="1x2") == (
        "expected an image of at most 67108864 pixels, got 8000x9000"
    )


def test_a_large_photo_takes_no_more_memory_than_others() -> None:
    """Decoding a large JPEG never uses more pixels than the limit without resizing."""
    largest = []
    load = ImageFile.ImageFile.load

    def noting(image: Any) -> Any:
        largest.append(image.width * image.height)
        return load(image)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageFile.ImageFile, "load", noting)
        pixels(halves(8192, 8192), GREY, image_size="8x8")
    assert max(largest) <= 2**24


def test_a_photo_of_usual_size_is_decoded_at_full_size() -> None:
    """A JPEG of usual size is resized from all of its pixels, as in training."""
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    content = encoded(noise, "JPEG")
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image.resize((20, 10), Image.Resampling.BILINEAR))
    assert pixels(content, image_size="10x20") == expected.tolist()


def with_scans(count: int, *, exif: bytes = b"") -> bytes:
    """Build a progressive JPEG with this many scans by repeating the last one."""
    content = halves(64, 64, progressive=True, exif=exif)
    last = content.rindex(b"\xff\xda")
    scan = content[last:-2]
    return content[:last] + scan * (count - content[:last].count(b"\xff\xda")) + content[-2:]


def test_a_progressive_jpeg_of_many_scans_is_refused() -> None:
    """A JPEG of over 100 scans is refused, since each scan takes as long as an image."""
    assert np.shape(pixels(with_scans(10), GREY)) == (64, 64)
    assert refusal(with_scans(101), GREY) == "expected a JPEG of at most 100 scans, got 101"
    assert refusal(with_scans(5000), GREY) == "expected a JPEG of at most 100 scans, got 5000"


def test_bytes_that_look_like_scans_do_not_count() -> None:
    """Bytes that look like scans in metadata or behind the image do not count."""
    thumbnail = b"Exif\0\0" + b"\xff\xda\0\2" * 200
    content = with_scans(5, exif=thumbnail) + b"\xff\xda\0\2" * 200
    assert content.count(b"\xff\xda") == 405
    assert np.shape(pixels(content, GREY)) == (64, 64)


def test_a_large_jpeg_with_separate_scans_per_colour_is_refused() -> None:
    """A large JPEG with separate scans per colour, which needs full decoding, is refused."""
    content = bytearray(declared("JPEG", 6000, 6000))
    assert components_of_first_scan(bytes(content)) == 3
    assert np.shape(pixels(bytes(content), image_size="1x2")) == (1, 2, 3)
    content[content.index(b"\xff\xda") + 4] = 1
    assert components_of_first_scan(bytes(content)) == 1
    assert refusal(bytes(content), image_size="1x2") == (
        "expected an image of at most 33554432 pixels, got 6000x6000"
    )


def gif_with(blocks: bytes) -> bytes:
    """Build a GIF with blocks before its first frame."""
    content = encoded(Image.new("RGB", (8, 8), RED), "GIF")
    frame = content.index(b",\0\0\0\0")
    return content[:frame] + blocks + content[frame:]


def png_with(chunks: bytes) -> bytes:
    """Build a PNG with chunks before its pixels."""
    content = encoded(Image.new("RGB", (8, 8), RED))
    data = content.index(b"IDAT") - 4
    return content[:data] + chunks + content[data:]


def jpeg_with(segments: bytes) -> bytes:
    """Build a JPEG with segments before its frame."""
    content = encoded(Image.new("RGB", (8, 8), RED), "JPEG")
    return content[:2] + segments + content[2:]


CHUNK = bytes(4) + b"teSt" + struct.pack(">I", zlib.crc32(b"teSt"))
#: Files with this many additional parts.
IN_PARTS: dict[str, Callable[[int], bytes]] = {
    "PNG, chunks": lambda count: png_with(CHUNK * count),
    "PNG, chunks behind the pixels": lambda count: png_with(b"") + CHUNK * count,
    "JPEG, comments": lambda count: jpeg_with(b"\xff\xfe\0\2" * count),
    "JPEG, filling": lambda count: jpeg_with(b"\xff" * count),
    "GIF, comments": lambda count: gif_with(b"!\xfe\0" * count),
    "GIF, parts of a comment": lambda count: gif_with(b"!\xfe" + b"\1a" * count + b"\0"),
}


@pytest.mark.parametrize("file_of", IN_PARTS.values(), ids=IN_PARTS)
def test_a_file_with_too_many_parts_is_refused_unread(
    file_of: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with too many parts, which would take long to parse, is refused unread."""
    assert np.shape(pixels(file_of(50))) == (8, 8, 3)
    monkeypatch.setattr(Image, "open", Mock(side_effect=AssertionError))
    expected = "expected an image file of at most 20000 parts, got more"
    assert refusal(file_of(MOST_PARTS + 1)) == expected


def test_the_parts_of_a_photo_are_far_fewer() -> None:
    """Even a large photo has far fewer parts than the limit."""
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), dtype=np.uint8)
    for form in ("PNG", "JPEG", "GIF"):
        content = encoded(noise, form)
        check_parts(content)
        assert sum(1 for _ in image_parts._parts(content)) < MOST_PARTS / 10


@pytest.mark.parametrize("start", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"GIF89a"])
@settings(max_examples=200, deadline=None)
@given(rest=st.binary(max_size=40))
def test_the_parts_of_any_bytes_can_be_counted(start: bytes, rest: bytes) -> None:
    """Any bytes can be counted, including truncated files and files that are no images."""
    check_parts(start + rest)
    assert components_of_first_scan(start + rest) >= 0


@pytest.mark.parametrize("orientation", [1, 6])
def test_an_image_of_another_size_is_refused(
    orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image of another size than the model's fixed one is refused before decoding."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(COLOURS, "WEBP", exif=exif)
    decode = Mock()
    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    got = "3x2" if orientation == 6 else "2x3"
    assert refusal(content, TensorSpec("x", "float32", (None, 3, 224, None))) == (
        f"input 'x': expected an image of 224x? (height x width), got {got}: resize it, or have"
        " the parameter image_size set"
    )
    decode.assert_not_called()


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (
            TensorSpec("x", "float32", (None, 784)),
            "float32 of shape [n, 784], which is not an image",
        ),
        (TensorSpec("x", "str", (None,)), "text of shape [n], which is not an image"),
        (
            TensorSpec("x", "float32", (None, 8, 8, 4)),
            "float32 of shape [n, 8, 8, 4], which as NHWC is not an image of 1 or 3 channels",
        ),
    ],
)
def test_an_image_for_another_input_is_refused(wanted: TensorSpec, reason: str) -> None:
    """If the input takes no images, the error says what it takes."""
    assert refusal(encoded(COLOURS), wanted) == f"got an image: input 'x' takes {reason}"


@given(
    st.sampled_from(FORMATS),
    st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=4),
    st.integers(0, 2**12),
)
def test_damaged_images_are_read_or_refused(
    form: str, changes: list[tuple[int, int]], cut: int
) -> None:
    """Any damaged image is decoded or refused with a ClientError."""
    content = bytearray(encoded(COLOURS.repeat(9, axis=0).repeat(9, axis=1), form))
    for place, value in changes:
        content[place % len(content)] = value
    with suppress(ClientError):
        answer = Preprocessing().array(bytes(content[: max(1, len(content) - cut)]), NHWC)
        assert answer.shape[::3] == (1, 3)


# Authoring


def test_importing_prepackaged_does_not_import_pillow() -> None:
    """Importing prepackaged does not import Pillow, which images without image models may lack."""
    script = "import sys, prepackaged; print('PIL' in sys.modules)"
    command = [sys.executable, "-c", script]
    completed = subprocess.run(command, check=True, capture_output=True, text=True)
    assert completed.stdout.strip() == "False"


@pytest.mark.parametrize("parameters", [{}, {"image_size": "4096x4096"}], ids=["as it is", "set"])
def test_images_that_are_too_large_in_total_are_refused_before_decoding(
    monkeypatch: pytest.MonkeyPatch, parameters: dict[str, str]
) -> None:
    """Images that are too large in total are refused before decoding: one alone takes 256 MB."""
    decoded = Mock()
    monkeypatch.setattr("prepackaged.image_files.decoded", decoded)
    with pytest.raises(ClientError, match="values together, got 4 images of 16777216: send them"):
        Preprocessing(**parameters).batch([png(4096, 4096)] * 4, NHWC)
    decoded.assert_not_called()
