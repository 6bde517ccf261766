import asyncio
import gc
import subprocess
import sys
from contextlib import suppress

import pytest

from prepackaged.server.runtime import memory
from prepackaged.server.transport.memory import MemoryBudget

# Runs in a subprocess, since settling lasts. It prints how many megabytes remain after using
# and freeing 40 MB in pieces of 1 MB, like request bodies.
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
    """Return how many megabytes a process keeps of 40 MB that it has freed."""
    command = [sys.executable, "-c", PROGRAM, how]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_memory_of_large_bodies_is_kept_for_later_ones() -> None:
    """Once settled, the process keeps freed memory, which glibc would return to the system."""
    assert left_after_use("settled") > 30
    assert left_after_use("as it is") < 10


def test_an_unknown_c_library_is_left_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A C library without glibc's functions is left unchanged."""
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    monkeypatch.setattr(memory.gc, "freeze", lambda: None)  # else it would last for all tests

    memory.settle()


def test_imported_objects_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector is off during imports; then objects are frozen and it is turned on again."""
    frozen: list[bool] = []
    monkeypatch.setattr(memory.gc, "freeze", lambda: frozen.append(gc.isenabled()))

    with suppress(ImportError), memory.importing():
        assert not gc.isenabled()
        raise ImportError

    assert frozen == [False]
    assert gc.isenabled()


BUDGET = """
import resource, sys
from prepackaged.server.runtime import memory

memory.memory_limit = lambda: memory.resident() + 400 * 2**20
if sys.argv[1] == "limited":
    resource.setrlimit(resource.RLIMIT_AS, (memory.addressed() + 100 * 2**20,) * 2)
print(memory.for_requests(int(sys.argv[2])) / 2**20)
"""


@pytest.mark.parametrize(
    ("how", "workers", "megabytes"),
    [("free", 1, 200), ("limited", 1, 50), ("limited", 2, 50)],
)
def test_requests_may_use_half_of_the_free_memory(how: str, workers: int, megabytes: float) -> None:
    """Requests may use half of the free memory; an address space limit applies per process."""
    command = [sys.executable, "-c", BUDGET, how, str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(megabytes, abs=2)


@pytest.mark.parametrize(("limit", "is_given_back"), [(10**15, False), (1, True)])
def test_freed_memory_is_returned_if_most_of_the_limit_is_used(
    monkeypatch: pytest.MonkeyPatch, limit: int, *, is_given_back: bool
) -> None:
    """Freed memory is returned to the system only if most of the memory limit is used."""
    given: list[bool] = []
    monkeypatch.setattr(memory, "memory_limit", lambda: limit)
    monkeypatch.setattr(memory, "LOOK_SECONDS", 0)
    monkeypatch.setattr(memory, "give_back", lambda: given.append(True))

    async def look() -> None:
        looking = asyncio.create_task(memory.give_back_after_peaks(MemoryBudget()))
        for _ in range(20):
            await asyncio.sleep(0)
        looking.cancel()

    asyncio.run(look())
    assert bool(given) == is_given_back


PARSING = """
import resource, sys
from prepackaged.errors import ClientError
from prepackaged.server.protocols.json_reading import read_json
from prepackaged.server.runtime import memory

body = b"[" + b",".join([sys.argv[1].encode()] * 700_000) + b"]"
outcomes = []
for megabytes in range(5, 200, 5):
    soft = memory.addressed() + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))
    try:
        outcomes.append(len(read_json(body)))
    except MemoryError:
        outcomes.append("none")
print(outcomes[0], outcomes[-1], len({*outcomes}))
"""


@pytest.mark.parametrize("part", ["[]", '{"a":1}', '"abcdefgh"', "1.5"])
def test_a_body_without_memory_does_not_end_the_process(part: str) -> None:
    """However little there is under `ulimit -v`, reading JSON works or fails with MemoryError."""
    command = [sys.executable, "-c", PARSING, part]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "none 700000 2\n")
