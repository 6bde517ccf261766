"""Count the parts of an image file without reading them.

Pillow parses parts in Python, so a part of a few bytes takes as long as thousands of bytes in a
large part: a few megabytes of empty parts would take a minute.
"""

from collections.abc import Iterator

from prepackaged.errors import ClientError

MOST_PARTS = 20_000  # the most parts of an image file; photographs have hundreds
PNG, JPEG, GIF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", (b"GIF87a", b"GIF89a")
GIF_SCREEN = 13  # bytes of a GIF's header, before its colour table
START_OF_SCAN = 0xDA


def check_parts(content: bytes) -> None:
    """Raise `ClientError` if the image has too many parts."""
    for number, _ in enumerate(_parts(content)):
        if number == MOST_PARTS:
            raise ClientError(f"expected an image file of at most {MOST_PARTS} parts, got more")


def components_of_first_scan(content: bytes) -> int:
    """The number of components in a JPEG's first scan; 0 if there is no scan."""
    at = 0
    for at in _jpeg_parts(content):  # noqa: B007  find the last part
        pass
    is_scan = content[at : at + 2] == bytes([0xFF, START_OF_SCAN])
    return content[at + 4] if is_scan and at + 4 < len(content) else 0


def _parts(content: bytes) -> Iterator[int]:
    """The positions of the parts that Pillow reads one by one."""
    if content.startswith(PNG):
        return _png_parts(content)
    if content.startswith(JPEG):
        return _jpeg_parts(content)
    return _gif_parts(content) if content.startswith(GIF) else iter(())


def _png_parts(content: bytes) -> Iterator[int]:
    """The positions of chunks, each of which has a length, a type, data and a checksum."""
    at = len(PNG)
    while at < len(content):
        yield at
        at += 12 + int.from_bytes(content[at : at + 4])


def _jpeg_parts(content: bytes) -> Iterator[int]:
    """The positions of segments and of bytes between them, up to and including the first scan."""
    at = len(JPEG)
    while at + 1 < len(content):
        yield at
        marker = content[at + 1]
        if content[at] != 0xFF or marker in (0, 0xFF):  # Pillow skips such bytes one by one
            at += 1
        elif marker == START_OF_SCAN:
            return
        elif marker == 0x01 or 0xD0 <= marker <= 0xD9:  # a marker without a length
            at += 2
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4])


def _gif_parts(content: bytes) -> Iterator[int]:
    """The positions of extension blocks, up to the first frame."""
    flags = content[10] if len(content) > GIF_SCREEN else 0
    at = GIF_SCREEN + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while content[at : at + 1] == b"!":
        yield at
        at += 2
        while at < len(content) and content[at]:
            yield at
            at += 1 + content[at]
        at += 1
