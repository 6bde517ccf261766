"""Validate the header fields of a request (RFC 9113, 8.2 and 8.3)."""

import re
from collections.abc import Sequence

from prepackaged.server.transport.hosts import is_host

Fields = Sequence[tuple[bytes, bytes]]

# 8.2.1: no upper case, no spaces, no control characters, nothing beyond ASCII; a colon only in
# front. All names are looked at together, a line each, and all values.
NAMES = re.compile(rb"(?::?[!-9;-@\[-~]+\n)*")
BAD_VALUES = re.compile(rb"[\0\r]|[ \t]\n|\n[ \t]")

PSEUDO = {b":method", b":scheme", b":path", b":authority"}  # 8.3.1
CONNECTION_SPECIFIC = {  # 8.2.2
    b"connection",
    b"proxy-connection",
    b"keep-alive",
    b"transfer-encoding",
    b"upgrade",
}
# 8.3.1: the values of pseudo-header fields (RFC 9110, 9.1; RFC 3986, 3.1, 3.3 and 3.4)
FORMS = {
    b":method": re.compile(rb"[\w!#$%&'*+.^`|~-]+", re.ASCII),
    b":scheme": re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*"),
    b":path": re.compile(rb"/[!-~]*|\*"),
}
MOST_DIGITS = 18  # the most digits of a content-length
SCHEMES_WITH_AUTHORITY = {b"http", b"https"}  # 8.3.1


class MalformedError(Exception):
    """A request or its trailers are malformed (RFC 9113, 8.1.1); the message names the rule."""


def check_request(fields: Fields) -> int | None:
    """The content-length, None without one. Raises `MalformedError`."""
    check_characters(fields)
    pseudo = pseudo_fields(fields)
    others = fields[len(pseudo) :]
    check_target(pseudo, [value for name, value in others if name == b"host"])
    return check_others(others)


def check_trailers(fields: Fields) -> None:
    """Raise `MalformedError` unless these may end a request: no pseudo-header fields (8.1)."""
    check_characters(fields)
    check_others(fields)


def check_characters(fields: Fields) -> None:
    """8.2.1: the characters of names and values."""
    if not NAMES.fullmatch(b"".join([name + b"\n" for name, _ in fields])):
        raise MalformedError("expected a field's name in lower case, without controls")
    values = b"\n".join([b"", *[value for _, value in fields], b""])
    if BAD_VALUES.search(values) or values.count(b"\n") != len(fields) + 1:
        raise MalformedError("expected a field's value without NUL, CR, LF and outer spaces")


def pseudo_fields(fields: Fields) -> dict[bytes, bytes]:
    """8.3: the pseudo-header fields, which come first, occur once and have known names."""
    pseudo: dict[bytes, bytes] = {}
    for name, value in fields:
        if not name.startswith(b":"):
            break
        if name in pseudo or name not in PSEUDO:
            raise MalformedError(f"expected known pseudo-header fields once, got {shown(name)}")
        pseudo[name] = value
    return pseudo


def check_target(pseudo: dict[bytes, bytes], hosts: list[bytes]) -> None:
    """8.3.1, and 8.5 for CONNECT: check that the request's target is complete."""
    authority = pseudo.get(b":authority")
    if pseudo.get(b":method") == b"CONNECT":
        if authority is None or b":path" in pseudo or b":scheme" in pseudo:
            raise MalformedError("expected CONNECT with :authority only")
        return
    for name, form in FORMS.items():
        if not (value := pseudo.get(name)):
            raise MalformedError(f"expected {name.decode()}, got none")
        if not form.fullmatch(value):
            raise MalformedError(f"expected a valid {name.decode()}")
    check_authority(pseudo[b":scheme"], authority, hosts)


def check_authority(scheme: bytes, authority: bytes | None, hosts: list[bytes]) -> None:
    """8.3.1: :authority or host, not empty; if both are present, they must be equal."""
    named = {host.lower() for host in hosts}
    if authority is not None:
        named.add(authority.lower())
    if scheme in SCHEMES_WITH_AUTHORITY and (not named or b"" in named):
        raise MalformedError("expected :authority or host, got none")
    if len(named) > 1 or len(hosts) > 1:
        raise MalformedError("expected one authority, got several")
    if not all(map(is_host, named)):
        raise MalformedError("expected an authority that is a name and a port")


def check_others(fields: Fields) -> int | None:
    """The content-length, or None; 8.2.2 and 8.3 for all other fields."""
    length = None
    for name, value in fields:
        if name.startswith(b":"):
            raise MalformedError(f"expected pseudo-header fields first, got {shown(name)} later")
        if name in CONNECTION_SPECIFIC or (name == b"te" and value.lower() != b"trailers"):
            raise MalformedError(f"expected no connection-specific field, got {shown(name)}")
        if name == b"content-length":
            length = content_length(value, length)
    return length


def shown(name: bytes) -> str:
    """A name as errors show it; it may be of any length."""
    return name[:80].decode()


def content_length(value: bytes, before: int | None) -> int:
    """8.1.1: a number, and the same each time."""
    is_number = value.isdigit() and len(value) <= MOST_DIGITS
    if not is_number or (before is not None and int(value) != before):
        raise MalformedError("expected content-length to be one number")
    return int(value)
