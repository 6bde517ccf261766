"""Read the image size from an ONNX file's metadata_props."""

import re
from collections.abc import Mapping

from prepackaged.image_parameters import MOST_PIXELS

# Ultralytics writes `imgsz`, as 640 or [640, 480]: height and width.
KEYS = ("imgsz", "image_size", "input_size")
NUMBER = r"\s*([1-9]\d{0,4})\s*"
SIZE = re.compile(rf"\[{NUMBER},{NUMBER}\]|\({NUMBER},{NUMBER}\)|{NUMBER}[x,]{NUMBER}|{NUMBER}")


def image_size(properties: Mapping[str, str]) -> tuple[int, int] | None:
    """Height and width in pixels; None if they are missing, too large or in an unknown form."""
    for key in KEYS:
        if size := SIZE.fullmatch(properties.get(key, "").strip()):
            height, *others = (int(number) for number in size.groups() if number)
            width = others[0] if others else height
            return (height, width) if height * width <= MOST_PIXELS else None
    return None
