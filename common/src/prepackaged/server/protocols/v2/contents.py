"""Encode outputs as binary tensors, for REST and gRPC."""

from collections.abc import Iterable

import pybase64

from prepackaged.server.protocols.v2 import raw
from prepackaged.server.protocols.v2.datatypes import BYTES
from prepackaged.server.protocols.v2.outputs import Output


def content_of(output: Output) -> bytes:
    """The bytes of an output as a binary tensor."""
    if output.datatype is BYTES:
        return raw.write_elements(elements_of(output))
    return raw.write(output.array, output.datatype)


def elements_of(output: Output) -> Iterable[bytes]:
    """The elements of an output of BYTES; a missing value becomes an empty one."""
    for value in output.array.ravel().tolist():
        element = value.encode(errors="replace") if isinstance(value, str) else value or b""
        yield bytes(pybase64.b64encode(element)) if output.is_base64 else element
