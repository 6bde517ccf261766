"""The memory limit for requests, and returning freed memory to the system."""

import asyncio
import ctypes
import gc
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prepackaged.server.transport.memory import MemoryBudget

MEGABYTE = 2**20
# glibc's numbers for the parameters of mallopt (malloc.h), and what they are set to.
M_TRIM_THRESHOLD, KEPT = -1, 64 * MEGABYTE
M_MMAP_THRESHOLD, LARGEST_KEPT = -3, 32 * MEGABYTE
M_ARENA_MAX, ARENAS = -8, 2
LOOK_SECONDS = 0.25  # between looks whether a time of large requests is over
FULL = 0.6  # above this share of the memory in use, the process keeps no free memory


# The limit of a container's memory: that of cgroups in their second version, and in their first.
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
# The limit, the use, and the part of the use that is given up when others need it: file pages.
CGROUP_USES = tuple(
    (limit, limit.parent / use, inactive)
    for limit, use, inactive in zip(
        CGROUP_LIMITS,
        ("memory.current", "memory.usage_in_bytes"),
        ("inactive_file", "total_inactive_file"),
        strict=True,
    )
)
LEAST = 16 * MEGABYTE


def for_requests(workers: int = 1) -> int:
    """Half of the free memory, for each worker: the model needs as much for its answers."""
    free = memory_limit() // workers - resident()
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)  # of this process alone
    if soft != resource.RLIM_INFINITY:
        free = min(free, soft - addressed())
    return max(free // 2, LEAST)


def memory_limit() -> int:
    """The memory limit of the container, or else of the machine, in bytes."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # "max", where there is none
            limits.append(int(file.read_text()))
    return min(limits)


def available() -> int:
    """The memory that this process can still get in its container or machine, in bytes."""
    free = [_of_machine()]
    for limit, used, inactive in CGROUP_USES:
        with suppress(OSError, ValueError):  # no such cgroup, or "max" where there is no limit
            used_bytes = int(used.read_text()) - _counted(used.parent / "memory.stat", inactive)
            free.append(int(limit.read_text()) - used_bytes)
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        free.append(soft - addressed())
    return max(min(free), 0)


def _of_machine() -> int:
    """MemAvailable, see proc_meminfo(5)."""
    return _counted(Path("/proc/meminfo"), "MemAvailable:") * 1024


def _counted(file: Path, name: str) -> int:
    """The number after a name in a file of such lines. Raises `ValueError` without it."""
    for line in file.read_text().splitlines():
        first, _, rest = line.partition(" ")
        if first == name:
            return int(rest.split()[0])
    raise ValueError(f"{file} has no {name}")


@contextmanager
def importing() -> Iterator[None]:
    """Turn the garbage collector off during imports: it takes a tenth of a server's start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def settle() -> None:
    """Once the model is loaded: give back what loading it took, and keep what requests take.

    The garbage collector leaves alone what lasts: to look at it all takes a tenth of a second,
    which requests would wait for again and again. Memory of large bodies is kept for the next
    ones: to return its pages and to ask for them again takes longer than to decode an image.
    """
    gc.collect()
    gc.freeze()
    give_back()
    with suppress(AttributeError, OSError):  # another C library than glibc does as it likes
        libc = ctypes.CDLL(None)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)


def settle_again() -> None:
    """The same when a model has been replaced: the old one is among what lasted."""
    gc.unfreeze()
    settle()


def share_arenas() -> None:
    """Let threads share memory that is free: what one has used for a large body, others use too."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Return free memory to the system."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


async def give_back_after_peaks(budget: MemoryBudget, workers: int = 1) -> None:
    """Return what requests have used whenever a time of large ones is over; until cancelled.

    Also while there are large ones, when more is free in between than their budget is, or when
    this process has most of the memory that is for each of so many workers.
    """
    loop, before = asyncio.get_running_loop(), resident()
    full = FULL * memory_limit() / workers
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        most = min(before + budget.used + budget.limit, full)
        if budget.peak_passed(KEPT) or resident() > most:
            await loop.run_in_executor(None, give_back)


def addressed() -> int:
    """The bytes of this process's address space, in memory or not."""
    return _pages(0) * resource.getpagesize()


def resident() -> int:
    """The resident memory of this process, in bytes."""
    return _pages(1) * resource.getpagesize()


def _pages(place: int) -> int:
    """A number of statm's, see proc_pid_statm(5)."""
    return int(Path("/proc/self/statm").read_text().split()[place])
