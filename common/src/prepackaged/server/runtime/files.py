"""The limit of open files, and so of connections."""

import resource
from contextlib import suppress

PORTS = 2  # whose connections are bounded by the setting, REST's and gRPC's
OTHER_FILES = 256  # the files that a process may have open besides these, such as the metrics port


def allow_connections(most: int) -> None:
    """Raise the limit of open files for that many connections to each port, as far as allowed.

    Many systems begin with 1,024, for programs that call select(2).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = PORTS * most + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # a sandbox that does not allow it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def max_connections(most: int) -> int:
    """The connections that a port may have, within the limit of open files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return most
    return min(most, max((files - OTHER_FILES) // PORTS, 1))
