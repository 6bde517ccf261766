"""A limit for the memory of a server, as a container has one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Where a cgroup for memory can be made, and the files of its limit: of the first version, and
#: of the second.
CGROUPS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)
JOIN = 'echo $$ >"$0/cgroup.procs" && exec "$@"'


@contextmanager
def limited(size: int) -> Iterator[list[str]]:
    """A command that starts another with so many bytes of memory.

    By a cgroup, where one can be made; else the address space is limited.
    """
    for root, file in CGROUPS:
        group = root / f"chaos-{os.getpid()}"
        with suppress(OSError):
            group.mkdir(exist_ok=True)
            (group / file).write_text(str(size))
            try:
                yield ["sh", "-c", JOIN, str(group)]
            finally:
                with suppress(OSError):  # something is left in it
                    group.rmdir()
            return
    yield [shutil.which("prlimit") or "prlimit", f"--as={size}"]
