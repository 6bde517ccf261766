"""Parts of protobuf's wire format, for messages that are faster to write by hand."""


def varint(number: int) -> bytes:
    """A whole number in protobuf's encoding: seven bits per byte, lowest first."""
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])


def delimited(number: int, content: bytes) -> bytes:
    """A field of bytes, text or a message, of a number below 16."""
    return b"%c%b%b" % (number << 3 | 2, varint(len(content)), content)
