"""The limit of open files, which limits the number of connections."""

import resource
from contextlib import suppress

PORTS = 2  # the ports to which the setting applies: REST and gRPC
OTHER_FILES = 256  # the open files that are allowed for other purposes, such as the metrics port


def allow_connections(most: int) -> None:
    """Raise the limit of open files for `most` connections to each port, up to the hard limit.

    Many systems start with 1,024 because of programs that call select(2).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = PORTS * most + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # some sandboxes do not allow it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def max_connections(most: int) -> int:
    """The number of connections that a port may have: `most`, or less if open files are limited."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return most
    return min(most, max((files - OTHER_FILES) // PORTS, 1))
