import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from prepackaged.file_kinds import describe_bytes, describe_file, why_no_model

LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


def zipped() -> bytes:
    """Create a ZIP archive with one file."""
    with zipfile.ZipFile(content := io.BytesIO(), "w") as archive:
        archive.writestr("a", "b")
    return content.getvalue()


def tarred() -> bytes:
    """Create a tar archive with one file."""
    with tarfile.open(fileobj=(content := io.BytesIO()), mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pkl"))
    return content.getvalue()


def saved_array() -> bytes:
    """Return the output of numpy.save."""
    np.save(content := io.BytesIO(), np.zeros(3))
    return content.getvalue()


def database() -> bytes:
    """Create an SQLite database with one table."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table t (a)")
        return connection.serialize()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (LFS, "a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html lang=en>", "an HTML page"),
        (b"\xef\xbb\xbf\r\n  <HTML><head>", "an HTML page"),
        (b"<!-- saved from url --><html>", "an HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "an XML document"),
        (pickle.dumps({"a": 1}), "a pickle"),
        (pickle.dumps({"a": 1}, 2), "a pickle"),
        (zipped(), "a ZIP archive"),
        (tarred(), "a tar archive"),
        (gzip.compress(b"a"), "compressed by gzip"),
        (bz2.compress(b"a"), "compressed by bzip2"),
        (lzma.compress(b"a"), "compressed by xz"),
        (saved_array(), "an array of numpy (.npy)"),
        (database(), "an SQLite database"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG image"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\x7fELF\x02\x01", "a program or library (ELF)"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras saves with .h5"),
        (b"PAR1\x15\x04", "a Parquet table"),
        (b"\x1c\x00\x00\x00TFL3\x14\x00", "a TensorFlow Lite model"),
        (b'\x40\x00\x00\x00\x00\x00\x00\x00{"w":{"dtype":"F32"', "a safetensors file"),
        (bytes(4096), "zero bytes, as after an interrupted copy"),
        (b'{"message": "Not Found"}', "JSON text"),
        (b"[[1.0, 2.0]]", "JSON text"),
        (b"\n\nage,city\n3,Taipei\n", "text that begins with 'age,city'"),
        ("年齡,城市\n".encode() * 200, "text that begins with '年齡,城市'"),
        (b"a" * 500, f"text that begins with '{'a' * 60}'"),
        (b"\xde\xad\xbe\xef\x00", "of an unknown kind; it begins with the bytes de ad be ef 00"),
        (b"a\x00b", "of an unknown kind; it begins with the bytes 61 00 62"),
    ],
)
def test_files_are_recognised_by_their_first_bytes(
    content: bytes, words: str, tmp_path: Path
) -> None:
    """The kind of a file is recognised by its first bytes."""
    (tmp_path / "model.bin").write_bytes(content)

    assert describe_file(tmp_path / "model.bin") == words


def test_many_comments_before_html_take_no_time() -> None:
    """Many comments before HTML do not make the description slow."""
    assert describe_bytes(b"<!---->" * 10_000 + b"x") == "an HTML page"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (LFS, f"a Git LFS pointer ({len(LFS)} bytes), not the model: fetch it with `git lfs pull`"),
        (
            b"<html>login",
            "an HTML page, not the model: the download probably led to a login or error page",
        ),
    ],
)
def test_files_that_cannot_be_a_model_are_refused_with_a_remedy(
    content: bytes, words: str, tmp_path: Path
) -> None:
    """Files that cannot be a model are reported with a remedy before any framework reads them."""
    (tmp_path / "model.pkl").write_bytes(content)

    assert words in (why_no_model(tmp_path / "model.pkl") or "")


@pytest.mark.parametrize("content", [b'{"learner": 1}', b"any bytes", pickle.dumps(1), zipped()])
def test_files_that_may_be_a_model_are_left_to_the_framework(
    content: bytes, tmp_path: Path
) -> None:
    """Files that may be a model are not refused before the framework reads them."""
    (tmp_path / "model.pkl").write_bytes(content)

    assert why_no_model(tmp_path / "model.pkl") is None
