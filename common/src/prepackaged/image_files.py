"""Read image files. Any fault of a file is the client's mistake: a `ClientError`.

This module needs Pillow, so it is imported only when a request brings an image.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps, JpegImagePlugin, UnidentifiedImageError

from prepackaged.errors import ClientError, describe
from prepackaged.image_parameters import MOST_PIXELS
from prepackaged.image_parts import MOST_PARTS, check_parts, components_of_first_scan

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
MOST_TO_RESIZE = (
    2 * MOST_PIXELS
)  # the most pixels of an image that is decoded as a whole and then resized
MOST_TO_REDUCE = 4 * MOST_PIXELS  # the most pixels of a JPEG whose decoder reduces it row by row
MOST_SCANS = 100  # the most scans of a progressive JPEG, each as slow to decode as an image
MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # a marker after compressed data
START_OF_SCAN, END_OF_IMAGE = b"\xda", b"\xd9"
ORIENTATION = 0x0112  # the EXIF tag


@contextmanager
def reading(content: bytes) -> Iterator[None]:
    """Turn any exception in this block into a `ClientError` about the image."""
    try:
        yield
    except ClientError:
        raise
    except UnidentifiedImageError:
        formats = ", ".join(FORMATS)
        raise ClientError(f"expected an image ({formats}), got {_seen(content)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ClientError(f"expected a smaller image: {error}") from None
    except Exception as error:
        raise ClientError(
            f"the image cannot be decoded, it is truncated or damaged: {describe(error)}"
        ) from error


def opened(content: bytes, *, will_be_resized: bool) -> Image.Image:
    """Open an image and read only its header; an image that will be resized may have more pixels.

    A JPEG of more than `MOST_PIXELS` will be decoded at half its height and width, to bound its
    memory, unless it has several scans: then it is decoded in full. Raises `ClientError` for too
    many pixels, scans or parts.
    """
    check_parts(content)
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    is_progressive = bool(image.info.get("progressive"))
    can_be_reduced = (
        isinstance(image, JpegImagePlugin.JpegImageFile)
        and not is_progressive
        and components_of_first_scan(content) == image.layers
    )
    most = MOST_PIXELS
    if will_be_resized:
        most = MOST_TO_REDUCE if can_be_reduced else MOST_TO_RESIZE
    if image.width * image.height > most:
        raise ClientError(
            f"expected an image of at most {most} pixels, got {image.height}x{image.width}"
        )
    if is_progressive and (scans := _scans(content)) > MOST_SCANS:
        raise ClientError(f"expected a JPEG of at most {MOST_SCANS} scans, got {scans}")
    if image.width * image.height > MOST_PIXELS and can_be_reduced:
        image.draft(None, (image.width // 2, image.height // 2))
    return image


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width after the rotation that EXIF requires."""
    is_sideways = image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    return image.size if is_sideways else image.size[::-1]


def decoded(image: Image.Image, mode: str | None) -> Image.Image:
    """Decode the image, rotate it as EXIF says, and convert it to `mode`; None means L or RGB."""
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):  # 16 bits: keep the upper 8, as Pillow does with colours
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    mode = mode or ("L" if image.mode in ("1", "L", "LA") else "RGB")
    if image.has_transparency_data:
        white = Image.new("RGB", image.size, "white")
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        white.paste(image, mask=image)
        image = white
    return image if image.mode == mode else image.convert(mode)


def resized(image: Image.Image, size: tuple[int, int], resampling: str) -> Image.Image:
    """Resize the image to this height and width."""
    if size == (image.height, image.width):
        return image
    return image.resize(size[::-1], Image.Resampling[resampling.upper()])


def _scans(content: bytes) -> int:
    """The number of scans of the first image in a JPEG file; counts at most MOST_PARTS parts."""
    at, scans = 2, 0
    for _ in range(MOST_PARTS):
        marker = MARKER.search(content, at)
        if not marker or marker[1] == END_OF_IMAGE:
            return scans
        at = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
        scans += marker[1] == START_OF_SCAN
    return MOST_SCANS + 1


def _seen(content: bytes) -> str:
    """A description of the bytes, for error messages."""
    start = content[:16]
    is_text = content and all(byte >= 32 or byte in b"\t\r\n" for byte in start)
    looks = f"text that begins with {start.decode(errors='replace')!r}" if is_text else repr(start)
    return f"{len(content)} bytes: {looks}" if content else "0 bytes"
