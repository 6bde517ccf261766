import gc
import subprocess
import sys
from contextlib import suppress

import pytest

from prepackaged.server.runtime import memory

# A process of its own, which settles for good; it prints the megabytes that it has left of what
# it has used and freed, parts of a megabyte each, as the bodies of requests are.
PROGRAM = """
import os, sys
from prepackaged.server.runtime.memory import settle

def megabytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def use():
    parts = [bytearray(b"x" * 2**20) for _ in range(40)]

before = megabytes()
if sys.argv[1] == "settled":
    settle()
use()
print(megabytes() - before)
"""


def left_after_use(how: str) -> float:
    """What a process keeps of forty megabytes that it does not use any more."""
    command = [sys.executable, "-c", PROGRAM, how]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_memory_of_large_bodies_is_kept_for_the_next_ones() -> None:
    """Once the server has settled; by itself the C library gives it back to the system."""
    assert left_after_use("settled") > 30
    assert left_after_use("as it is") < 10


def test_a_c_library_that_cannot_be_told_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are others than glibc, and servers run on them as well."""
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    monkeypatch.setattr(memory.gc, "freeze", lambda: None)  # these tests' own objects

    memory.settle()


def test_what_is_imported_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector is off meanwhile, then told that all this stays, and on again whatever came."""
    frozen: list[bool] = []
    monkeypatch.setattr(memory.gc, "freeze", lambda: frozen.append(gc.isenabled()))

    with suppress(ImportError), memory.importing():
        assert not gc.isenabled()
        raise ImportError

    assert frozen == [False]
    assert gc.isenabled()
