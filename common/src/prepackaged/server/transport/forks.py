"""Forked children of the model keep none of the server's sockets.

Otherwise, a child that outlives the server would keep its ports open, although nobody accepts
connections there, and a client would not notice that the server has closed its connection.
"""

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

DESCRIPTORS = Path("/dev/fd")

_ports: set[int] = set()


def keep_from_children(listener: socket.socket) -> None:
    """Drop this listener and the connections to its port in every child forked from now on."""
    if not _ports:
        os.register_at_fork(after_in_child=_drop_sockets)
    _ports.add(int(listener.getsockname()[1]))


def _drop_sockets() -> None:
    """Replace the server's sockets with /dev/null, so that no file gets their descriptors."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in [int(each.name) for each in DESCRIPTORS.iterdir()]:
        with suppress(OSError):  # the descriptor of the directory itself, which is closed
            if _is_the_servers(number):
                os.dup2(null, number, inheritable=False)
    os.close(null)


def _is_the_servers(descriptor: int) -> bool:
    """Whether it is a TCP socket with one of the server's ports as its own port."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    found = socket.socket(fileno=descriptor)
    try:
        is_tcp = found.type == socket.SOCK_STREAM and found.family != socket.AF_UNIX
        return is_tcp and found.getsockname()[1] in _ports
    finally:
        found.detach()
