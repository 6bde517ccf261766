"""The Python version that compiled a pickled code object, found without creating the object."""

import opcode
import sys
from collections.abc import Sequence
from itertools import islice
from typing import Any

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# The number of arguments of `types.CodeType`: Python 3.8 added posonlyargcount, Python 3.11
# qualname and the exception table.
ARGUMENTS = {15: "3.7 or earlier", 16: "3.8 to 3.10"}
SINCE_3_11 = 18
UNKNOWN = "an unknown version"
BYTECODE = 6  # the position of the bytecode among these arguments
# The opcode of RESUME, which is among the first instructions of every code object.
RESUME = {151: ("3.11", "3.12"), 149: ("3.13",), 128: ("3.14",)}
BEFORE_RESUME = ("COPY_FREE_VARS", "MAKE_CELL", "RETURN_GENERATOR", "POP_TOP")
PROLOGUE = 8  # the most instructions before RESUME, not counting one for each cell variable


def python_of(arguments: Sequence[Any]) -> str:
    """The Python version of the code, such as `3.12`; HERE if this Python can run it.

    `arguments` are those of `types.CodeType`. Python creates a code object of another minor
    version without an error, but crashes when it runs it, because nothing checks bytecode.
    """
    if len(arguments) != SINCE_3_11 or not isinstance(arguments[BYTECODE], bytes):
        return ARGUMENTS.get(len(arguments), UNKNOWN)
    code, cells = arguments[BYTECODE], arguments[-1]
    if _is_of_this_python(code):
        return HERE
    most = PROLOGUE + (len(cells) if isinstance(cells, tuple) else 0)
    names = [name for name in _by_resume(code, most) if name != HERE]
    return names[0] if names else UNKNOWN


def _by_resume(code: bytes, most: int) -> tuple[str, ...]:
    begun = set(islice(code[::2], most))
    return next((pythons for number, pythons in RESUME.items() if number in begun), ())


def _is_of_this_python(code: bytes) -> bool:
    """Whether all instructions and their numbers of cache entries are those of this Python.

    Both differ between versions: LOAD_GLOBAL has four cache entries in 3.12 and five in 3.11.
    """
    numbers = list(code[::2])
    names = iter([opcode.opname[number] for number in numbers])
    if next((name for name in names if name not in BEFORE_RESUME), "") != "RESUME":
        return False
    known, at = set(opcode.opmap.values()) - {opcode.opmap["CACHE"]}, 0
    while at < len(numbers):
        caches = numbers[at + 1 : at + 1 + _cache_entries(numbers[at])]
        if numbers[at] not in known or len(caches) < _cache_entries(numbers[at]) or any(caches):
            return False
        at += 1 + len(caches)
    return True


def _cache_entries(number: int) -> int:
    entries: Any = opcode._inline_cache_entries  # type: ignore[attr-defined]  # no public API
    if isinstance(entries, dict):  # since 3.13
        return int(entries.get(opcode.opname[number], 0))
    return int(entries[number])
