"""A memory limit for a server, like a container's."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Parents of memory cgroups and the files of their limits: version 1, then version 2.
CGROUPS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)
JOIN = 'echo $$ >"$0/cgroup.procs" && exec "$@"'


@contextmanager
def limited(size: int) -> Iterator[list[str]]:
    """Yield a command that starts another one with this much memory.

    It uses a cgroup if one can be created, or else limits the address space.
    """
    for root, file in CGROUPS:
        group = root / f"chaos-{os.getpid()}"
        with suppress(OSError):
            group.mkdir(exist_ok=True)
            (group / file).write_text(str(size))
            try:
                yield ["sh", "-c", JOIN, str(group)]
            finally:
                with suppress(OSError):  # a process is left in it
                    group.rmdir()
            return
    yield [shutil.which("prlimit") or "prlimit", f"--as={size}"]
