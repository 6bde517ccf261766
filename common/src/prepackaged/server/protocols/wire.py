"""Write parts of protobuf's wire format directly, which is faster than building messages."""


def varint(number: int) -> bytes:
    """A whole number in protobuf's encoding: seven bits per byte, lowest first."""
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])


def delimited(number: int, content: bytes) -> bytes:
    """A length-delimited field (bytes, text or a message) with a field number below 16."""
    return b"%c%b%b" % (number << 3 | 2, varint(len(content)), content)
