"""Recognise a file by its bytes, for errors about files with misleading names."""

import re
from collections.abc import Collection
from pathlib import Path

from prepackaged.errors import DeploymentError

HEAD = 1024  # bytes at the beginning of a file that are examined
GIT_LFS = b"version https://git-lfs.github.com/spec/"
# The beginning of each kind of file, and its description; the first match is used.
KINDS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), words)
    for pattern, words in (
        (re.escape(GIT_LFS), "a Git LFS pointer"),
        (rb"(\xef\xbb\xbf)?\s*<(!--|!doctype html|html|head|body)", "an HTML page"),
        (rb"(\xef\xbb\xbf)?\s*<\?xml", "an XML document"),
        (rb"\x80[\x02-\x05]", "a pickle"),
        (rb"PK\x03\x04", "a ZIP archive"),
        (rb"\x1f\x8b", "compressed by gzip"),
        (rb"BZh", "compressed by bzip2"),
        (rb"\xfd7zXZ", "compressed by xz"),
        (rb"\x28\xb5\x2f\xfd", "compressed by zstd"),
        (rb"\x04\x22\x4d\x18", "compressed by LZ4"),
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (rb"Rar!", "a RAR archive"),
        (rb".{257}ustar", "a tar archive"),
        (rb"\x89HDF\r\n", "an HDF5 file, as Keras saves with .h5"),
        (rb"\x93NUMPY", "an array of numpy (.npy)"),
        (rb"PAR1", "a Parquet table"),
        (rb".{4}TFL3", "a TensorFlow Lite model"),
        (rb".{6}\0\0\{\s*\"", "a safetensors file"),
        (rb"\{L\0{7}.\x07learner|\{L.{8}learner", "an XGBoost model in UBJSON"),
        (rb"\x89PNG", "a PNG image"),
        (rb"\xff\xd8\xff", "a JPEG image"),
        (rb"GIF8", "a GIF image"),
        (rb"%PDF", "a PDF document"),
        (rb"\x7fELF", "a program or library (ELF)"),
        (rb"SQLite format 3", "an SQLite database"),
        (rb"\0{64}", "zero bytes, as after an interrupted copy"),
        (rb"\s*[\[{]\s*[\"\[\]{}\d-]", "JSON text"),
    )
)
FIRST_LINE = 60  # the most characters of a text in an error


def describe_file(path: Path) -> str:
    """A description of the file by its first bytes, such as `a Git LFS pointer`.

    Raises `DeploymentError` if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return describe_bytes(file.read(HEAD))
    except OSError as error:
        raise DeploymentError(f"model file {path}: {error.strerror}") from error


def describe_bytes(head: bytes) -> str:
    """A description of a file that begins with these bytes."""
    for pattern, words in KINDS:
        if pattern.match(head):
            return words
    return _text(head) or f"of an unknown kind; it begins with the bytes {head[:8].hex(' ')}"


def expect_kinds(path: Path, kinds: Collection[str], writer: str) -> None:
    """Raise `DeploymentError` if the file is not one of the expected kinds."""
    kind = describe_file(path)
    if kind not in kinds:
        raise DeploymentError(f"model file {path} is {kind}, which {writer} does not write")


def why_no_model(path: Path) -> str | None:
    """The reason why the file cannot be a model, and what to do; None if it may be one."""
    kind = describe_file(path)
    if kind == "a Git LFS pointer":
        return f"{kind} ({path.stat().st_size} bytes), not the model: fetch it with `git lfs pull`"
    if kind == "an HTML page":
        return f"{kind}, not the model: the download probably led to a login or error page"
    return None


def _text(head: bytes) -> str:
    """The first line if the bytes are text, else an empty string."""
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if len(head) < HEAD or error.start < HEAD - 3:  # else the head ends within a character
            return ""
        text = head[: error.start].decode()
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if not line or not all(char.isprintable() or char.isspace() for char in text):
        return ""
    return f"text that begins with {line[:FIRST_LINE]!r}"
