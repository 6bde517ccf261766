"""Find the images in the value of a request."""

from typing import Any

import numpy as np

from prepackaged.b64 import decode_b64, is_b64
from prepackaged.errors import ClientError


def image_files_in(value: Any) -> list[bytes]:
    """The bytes of the images in a request's value; empty if it contains none.

    The value is bytes, `{"b64": ...}`, or a list of them, one for each row of a batch. Raises
    `ClientError` for invalid Base64, and for lists that mix images with other values.
    """
    if isinstance(value, bytes) or is_b64(value):
        return [decode_b64(value)]
    rows = value.ravel().tolist() if _may_hold_images(value) else value
    if not isinstance(rows, list) or not rows or not _is_image(rows[0]):
        return []
    for number, row in enumerate(rows):
        if not _is_image(row):
            raise ClientError(f'expected an image as {{"b64": "..."}} in each row, got another'
                              f" value in row {number}")  # fmt: skip
    return [decode_b64(row[0] if isinstance(row, list) else row) for row in rows]


def _may_hold_images(value: Any) -> bool:
    is_column = isinstance(value, np.ndarray) and value.shape[1:] in ((), (1,))
    return is_column and value.dtype == object


def _is_image(row: Any) -> bool:
    inner = row[0] if isinstance(row, list) and len(row) == 1 else row
    return is_b64(inner) or isinstance(inner, bytes)
