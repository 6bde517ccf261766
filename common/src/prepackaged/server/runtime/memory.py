"""The memory limit for requests; tuning of the garbage collector and of malloc."""

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
# The parameter numbers of glibc's mallopt (malloc.h), and their values.
M_TRIM_THRESHOLD, KEPT = -1, 64 * MEGABYTE
M_MMAP_THRESHOLD, LARGEST_KEPT = -3, 32 * MEGABYTE
M_ARENA_MAX, ARENAS = -8, 2
LOOK_SECONDS = 0.25  # the interval between checks whether a peak of large requests has passed
FULL = 0.6  # if more than this share of the memory is in use, free memory is returned


# The files with a container's memory limit, of cgroups v2 and v1.
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
# The files of limit and usage, and the statistic for reclaimable usage: inactive file pages.
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
    """The bytes for the requests of each worker: half of the free memory, at least LEAST.

    The model needs as much memory for its results.
    """
    free = memory_limit() // workers - resident()
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)  # for this process only
    if soft != resource.RLIM_INFINITY:
        free = min(free, soft - addressed())
    return max(free // 2, LEAST)


def memory_limit() -> int:
    """The memory limit of the container, or the machine's memory if that is less, in bytes."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # no such file, or "max" if there is no limit
            limits.append(int(file.read_text()))
    return min(limits)


def available() -> int:
    """The memory that this process can still allocate, in bytes."""
    free = [_of_machine()]
    for limit, used, inactive in CGROUP_USES:
        with suppress(OSError, ValueError):  # no such cgroup, or "max" if there is no limit
            used_bytes = int(used.read_text()) - _counted(used.parent / "memory.stat", inactive)
            free.append(int(limit.read_text()) - used_bytes)
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        free.append(soft - addressed())
    return max(min(free), 0)


def _of_machine() -> int:
    """The machine's available memory in bytes: MemAvailable in proc_meminfo(5)."""
    return _counted(Path("/proc/meminfo"), "MemAvailable:") * 1024


def _counted(file: Path, name: str) -> int:
    """The number after a name in a file of `name number` lines. Raises `ValueError` without it."""
    for line in file.read_text().splitlines():
        first, _, rest = line.partition(" ")
        if first == name:
            return int(rest.split()[0])
    raise ValueError(f"{file} has no {name}")


@contextmanager
def importing() -> Iterator[None]:
    """Turn off the garbage collector during imports, where it takes a tenth of the startup time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def settle() -> None:
    """After loading the model, return free memory to the system, and keep what requests will use.

    Existing objects are frozen, so that the garbage collector skips them: scanning them takes a
    tenth of a second, for which requests would wait repeatedly. malloc keeps the memory of large
    bodies: returning its pages and requesting them again takes longer than decoding an image.
    """
    gc.collect()
    gc.freeze()
    give_back()
    with suppress(AttributeError, OSError):  # C libraries other than glibc may lack mallopt
        libc = ctypes.CDLL(None)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)


def settle_again() -> None:
    """Settle after the model was replaced: unfreeze first, because the old model is frozen."""
    gc.unfreeze()
    settle()


def share_arenas() -> None:
    """Let threads share malloc arenas, so that all can reuse the memory of a large body."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Return malloc's free memory to the system."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


async def give_back_after_peaks(budget: MemoryBudget, workers: int = 1) -> None:
    """Until cancelled, return free memory to the system after each peak of large requests.

    During a peak, too, if the process has grown by more than the bytes in use plus the budget for
    requests, or if it has more than FULL of its share among `workers` of the memory limit.
    """
    loop, before = asyncio.get_running_loop(), resident()
    full = FULL * memory_limit() / workers
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        most = min(before + budget.used + budget.limit, full)
        if budget.peak_passed(KEPT) or resident() > most:
            await loop.run_in_executor(None, give_back)


def addressed() -> int:
    """The size of this process's address space in bytes, whether resident or not."""
    return _pages(0) * resource.getpagesize()


def resident() -> int:
    """The resident memory of this process, in bytes."""
    return _pages(1) * resource.getpagesize()


def _pages(place: int) -> int:
    """The number at this position of /proc/self/statm; see proc_pid_statm(5)."""
    return int(Path("/proc/self/statm").read_text().split()[place])
