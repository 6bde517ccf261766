"""Read facts from the opcodes of a pickle, without importing or calling anything in it.

A joblib file is also a pickle; the values of each array follow the object that describes it, and
the file may be compressed.
"""

import bz2
import gzip
import io
import lzma
import math
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from prepackaged.bytecode import HERE, python_of
from prepackaged.errors import DeploymentError

CHUNK = 2**20  # the number of bytes read at a time when data is searched or skipped
OVERLAP = 100  # the last bytes of a block, which are searched again with the next block
MARGIN = 16  # bytes at the end of a block in which a version may be incomplete
HAS_OBJECTS = 1  # numpy's NPY_ITEM_HASOBJECT
MAIN = "__main__"
SHOWN = 5  # the most names of functions in an error
# scikit-learn stores its version in each estimator; a pickle contains the key only once.
VERSION = re.compile(
    rb"_sklearn_version.{1,12}?(\d+(?:\.\d+)+(?:(?:\.dev|\.post|a|b|rc)\d+)?)", re.S
)
SOUGHT = (VERSION, re.compile(b"CodeType"), re.compile(MAIN.encode()))


@dataclass
class PickleFacts:
    """Facts about a pickle.

    `imports` are the functions and classes that it names, as `module.name`. `sklearn` is the
    scikit-learn version that saved it, empty if it contains no estimators. `code` are functions
    that it contains by value, each with the Python version that compiled it. `script` are functions
    and classes of the notebook or script that saved it, which it contains only by name.
    """

    sklearn: str = ""
    code: dict[str, str] = field(default_factory=dict)
    script: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)

    def refuse_foreign_code(self, path: Path, python: str = "") -> None:
        """Raise `DeploymentError` if it contains code that this Python cannot run.

        `python` is the version that saved it according to `MLmodel`, empty if unknown.
        """
        named = ".".join(python.split(".")[:2])
        code = {name: named or compiled for name, compiled in self.code.items()}
        foreign = {name: compiled for name, compiled in code.items() if compiled != HERE}
        if not foreign:
            return
        names = ", ".join(list(foreign)[:SHOWN]) + (", ..." if len(foreign) > SHOWN else "")
        raise DeploymentError(
            f"model file {path}: this pickle holds code of Python {next(iter(foreign.values()))}"
            f" ({names}); this image runs {HERE}, where calling it would crash the process: save"
            f" the model with Python {HERE}, or define the code in a Python file beside the model"
            " file (with MLflow, in code_paths), which the pickle then only names"
        )


def read_facts(path: Path) -> PickleFacts:
    """The facts of the pickle at `path`, as far as it can be read; the loader reports damage.

    If its bytes show that it contains neither code nor names of a script, the opcodes are not read,
    because that takes as long as loading.
    """
    return _facts_of(lambda: opened(path))


def imports_of(path: Path) -> set[str] | None:
    """The imports of the pickles in a file; None if it contains no pickle.

    In PyTorch's archives, the pickle is `data.pkl`. For a damaged pickle, names may be missing.
    """
    facts = PickleFacts()
    with suppress(Exception):  # not a pickle, or damaged: the loader reports it
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name.endswith("data.pkl"):
                        _Reader(archive.open(name), facts).load()
        else:
            with opened(path) as stream:
                _Reader(stream, facts).load()
    return facts.imports or None


def facts_in(content: bytes) -> PickleFacts:
    """The facts of a pickle in memory, as far as it can be read."""
    return _facts_of(lambda: nullcontext(io.BytesIO(content)))


def _facts_of(stream_again: Callable[[], AbstractContextManager[IO[bytes]]]) -> PickleFacts:
    facts = PickleFacts()
    found: dict[re.Pattern[bytes], bytes] = {}
    with suppress(Exception), stream_again() as stream:
        found = _search(stream)
        facts.sklearn = found.pop(VERSION, b"").decode()
    if found:
        with suppress(Exception), stream_again() as stream:
            _Reader(stream, facts).load()
    return facts


def _search(stream: IO[bytes]) -> dict[re.Pattern[bytes], bytes]:
    """The first match in the stream of each pattern in SOUGHT."""
    found: dict[re.Pattern[bytes], bytes] = {}
    window = block = stream.read(CHUNK)
    while window:
        for pattern in SOUGHT:
            match = pattern.search(window)
            if match and (not block or match.end() + MARGIN < len(window)):
                found.setdefault(pattern, match[pattern.groups])
        if not block:
            break
        block = stream.read(CHUNK)
        window = window[-OVERLAP:] + block
    return found


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The decompressed content, as a stream, of a file that joblib may have compressed."""
    with path.open("rb") as file:
        begin = file.peek(2)[:2]
        decompress = next((DECOMPRESS[each] for each in DECOMPRESS if begin.startswith(each)), None)
        yield decompress(file) if decompress else file


class _Inflated(io.RawIOBase):
    """A zlib stream as a file, which Python provides only for gzip, bz2 and lzma."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._zlib = file, zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data and not self._zlib.eof:
            source = self._zlib.unconsumed_tail or self._file.read(CHUNK)
            if not source:
                break
            data = self._zlib.decompress(source, len(buffer))
        buffer[: len(data)] = data
        return len(data)


DECOMPRESS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x78": lambda file: io.BufferedReader(_Inflated(file), CHUNK),
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZ": bz2.BZ2File,
    b"\xfd7": lzma.LZMAFile,
    b"\x5d\x00": lzma.LZMAFile,
}


class _Stub:
    """A harmless placeholder for a function, a class, or an object that one of them created.

    For a function or class, `maker` is the module and `arguments` the name; for an object, the
    callable that created it and its arguments.
    """

    __slots__ = ("arguments", "maker", "state")

    def __init__(self, maker: Any, *arguments: Any) -> None:
        self.maker, self.arguments, self.state = maker, arguments, None

    def __call__(self, *arguments: Any) -> "_Stub":
        return _Stub(self, *arguments)

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, *_: Any) -> None:
        """Accept an item, as a list would."""

    add = extend = append

    @property
    def name(self) -> str:
        """The name of the function or class, or of the one that created the object."""
        return self.maker.name if isinstance(self.maker, _Stub) else str(self.arguments[0])


class _Reader(pickle._Unpickler):
    """Execute the opcodes as Python's unpickler does, with placeholders for all objects."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]
    read: Callable[[int], bytes]

    def __init__(self, stream: IO[bytes], facts: PickleFacts) -> None:
        super().__init__(stream)
        self._stream, self._facts = stream, facts

    def find_class(self, module: str, name: str) -> _Stub:
        self._facts.imports.add(f"{module}.{name}")
        if module == MAIN:
            self._facts.script.add(name)
        return _Stub(module, name)

    def persistent_load(self, pid: Any) -> _Stub:
        return _Stub("", pid)

    def get_extension(self, code: int) -> None:
        self.stack.append(_Stub("", code))

    def _instantiate(self, klass: _Stub, args: list[Any]) -> None:
        self.stack.append(klass(*args))

    def _make(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(function(*arguments))
        if function.name == "CodeType" or function.arguments == ("CodeType",):
            self._note_code(arguments)

    def _make_with_keywords(self) -> None:
        del self.stack[-1]
        self._make()

    def _build(self) -> None:
        state, stub = self.stack.pop(), self.stack[-1]
        stub.state = state
        if isinstance(state, dict) and stub.name == "NumpyArrayWrapper":
            self._pass_array(**state)

    def _note_code(self, arguments: tuple[Any, ...]) -> None:
        name = next((each for each in arguments[12:10:-1] if isinstance(each, str)), "?")
        self._facts.code[name] = python_of(arguments)

    def _pass_array(self, dtype: _Stub, shape: tuple[int, ...], **more: Any) -> None:
        """Skip the values of an array, which joblib writes after its description."""
        if _has_objects(dtype):  # joblib writes objects as a separate pickle
            _Reader(self._stream, self._facts).load()
            return
        if "numpy_array_alignment_bytes" in more:  # since joblib 1.2
            _pass(self._stream.read, self._stream.read(1)[0])
        _pass(self._stream.read, math.prod(shape) * np.dtype(dtype.arguments[0]).itemsize)

    def _bytes_of(self, size: int) -> None:
        """Read bytes, but skip data that only a tensor can contain."""
        is_short = size <= CHUNK
        self.stack.append(self.read(size) if is_short else _pass(self.read, size))

    def _binbytes(self) -> None:
        self._bytes_of(int.from_bytes(self.read(4), "little"))

    def _binbytes8(self) -> None:
        self._bytes_of(int.from_bytes(self.read(8), "little"))

    dispatch |= {
        pickle.REDUCE[0]: _make,
        pickle.NEWOBJ[0]: _make,
        pickle.NEWOBJ_EX[0]: _make_with_keywords,
        pickle.BUILD[0]: _build,
        pickle.BINBYTES[0]: _binbytes,
        pickle.BINBYTES8[0]: _binbytes8,
        pickle.BYTEARRAY8[0]: _binbytes8,
    }


def _has_objects(dtype: _Stub) -> bool:
    *_, flags = dtype.state or (0,)
    return dtype.arguments[0] == "O8" or bool(flags & HAS_OBJECTS)


def _pass(read: Callable[[int], bytes], size: int) -> bytes:
    """Skip `size` bytes. Raises `EOFError` if there are fewer."""
    while size > 0:
        passed = len(read(min(size, CHUNK)))
        if not passed:
            raise EOFError
        size -= passed
    return b""
