"""The body of a request as its parts arrive."""

TINY = 1024  # bytes; smaller parts are gathered, for each object costs as much as 50 bytes


class Body:
    """Parts of a body, and their `size` in bytes."""

    __slots__ = ("_parts", "size")

    def __init__(self) -> None:
        self._parts: list[bytes | bytearray] = []
        self.size = 0

    def add(self, part: bytes) -> None:
        """Take a part."""
        self.size += len(part)
        parts = self._parts
        if len(part) > TINY or not parts:
            parts.append(part)
        elif type(parts[-1]) is bytearray:
            parts[-1] += part
        else:
            parts.append(bytearray(part))

    def take(self) -> bytes:
        """Return the whole body, and keep nothing of it."""
        parts, self._parts, self.size = self._parts, [], 0
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)
