"""Limit the memory or the CPU time of a server, as a container does."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Parents of cgroups and the files of their limits: version 1, then version 2.
MEMORY = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)
CPU = (
    (Path("/sys/fs/cgroup/cpu"), "cpu.cfs_quota_us"),
    (Path("/sys/fs/cgroup"), "cpu.max"),
)
PERIOD = 100_000  # the kernel's default period of a CPU quota, in microseconds
TRIES, TRY_SECONDS = 50, 0.1
JOIN = 'echo $$ >"$0/cgroup.procs" && exec "$@"'


@contextmanager
def limited_memory(size: int) -> Iterator[list[str]]:
    """Yield a command prefix that limits the memory of a command to `size` bytes.

    It uses a cgroup if one can be created, else it limits the address space.
    """
    with _group(MEMORY, size) as command:
        yield command or [shutil.which("prlimit") or "prlimit", f"--as={size}"]


@contextmanager
def limited_cpu(cores: float) -> Iterator[list[str]]:
    """Yield a command prefix that limits a command to this many CPUs; empty without a cgroup."""
    with _group(CPU, int(cores * PERIOD)) as command:
        yield command


@contextmanager
def _group(places: tuple[tuple[Path, str], ...], limit: int) -> Iterator[list[str]]:
    """Yield a command prefix that runs a command in a new cgroup; empty if none can be created."""
    for root, file in places:
        group = root / f"bench-{os.getpid()}"
        with suppress(OSError):
            group.mkdir(exist_ok=True)
        try:
            (group / file).write_text(str(limit))
        except OSError:
            _remove(group)
            continue
        try:
            yield ["sh", "-c", JOIN, str(group)]
        finally:
            _remove(group)
        return
    yield []


def _remove(group: Path) -> None:
    """Remove a cgroup if it exists, after its last killed process has exited."""
    for _ in range(TRIES):
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(TRY_SECONDS)
