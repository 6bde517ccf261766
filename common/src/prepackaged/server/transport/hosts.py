"""The host that a request names: Host in HTTP/1, `:authority` in HTTP/2."""

import re

# RFC 9112, 3.2, and RFC 3986, 3.2: a name or an address, and a port; without a user.
HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d*)?", re.ASCII)
LONGEST_HOST = 300
KNOWN_HOSTS: set[bytes] = set()  # valid hosts, which are not checked again; a server has few names
MOST_KNOWN = 64


def is_host(value: bytes) -> bool:
    """Whether a host has a form that it may have; it may be empty."""
    if len(value) > LONGEST_HOST or not HOST.fullmatch(value):
        return False
    if len(KNOWN_HOSTS) < MOST_KNOWN:
        KNOWN_HOSTS.add(value)
    return True
