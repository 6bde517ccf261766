"""Decode header blocks compressed with HPACK (RFC 7541).

The table and the Huffman code come from the library `hpack`. Its `Decoder` copies the rest of a
block for each field, which is quadratic; this one reads in place.
"""

from hpack import HeaderTuple, NeverIndexedHeaderTuple
from hpack.exceptions import HPACKError
from hpack.hpack import Encoder
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from prepackaged.server.transport.http2.frames import ErrorCode, Http2Error

Fields = list[tuple[bytes, bytes]]

FIELD_OVERHEAD = 32  # bytes that count for each field beside its name and value (4.1)
LARGEST_SHIFT = 28  # 5.1: numbers of more than 32 bits are refused
MOST_BYTES = 2**18  # the largest header block, decoded; a larger one ends the connection

# The first byte of a field (6)
INDEXED = 0x80
INCREMENTAL = 0x40
TABLE_SIZE = 0x20
HUFFMAN = 0x80


class HeaderBlockDecoder:
    """Decode the header blocks of a connection, in their order."""

    __slots__ = ("_largest_table", "_most_bytes", "_table", "changes")

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.changes = 0  # of the table; while it is empty, the same block always means the same
        self._table = HeaderTable()
        self._largest_table = self._table.maxsize
        self._most_bytes = most_bytes

    def decode(self, block: bytes) -> tuple[Fields, int]:
        """The fields of a block, and their size as counted for settings (RFC 9113, 6.5.2).

        Raises `Http2Error` if the block is malformed or a decompression bomb.
        """
        try:
            return self._decoded(block)
        except (HPACKError, IndexError) as error:
            why = f"the header block cannot be decoded: {error}"
            raise Http2Error(ErrorCode.COMPRESSION_ERROR, why) from error

    def _decoded(self, block: bytes) -> tuple[Fields, int]:
        fields: Fields = []
        place, end, size, entry_at = 0, len(block), 0, self._table.get_by_index
        while place < end:
            first = block[place]
            if first & INDEXED:
                index, place = integer(block, place, 0x7F)
                name, value = entry_at(index)
            elif first & TABLE_SIZE and not first & INCREMENTAL:
                place = self._resize(block, place, is_first=not fields)
                continue
            else:
                name, value, place = self._literal(block, place, first)
            fields.append((name, value))
            size += len(name) + len(value) + FIELD_OVERHEAD
            if size > self._most_bytes:
                why = f"expected header fields of at most {self._most_bytes} bytes"
                raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, why)
        return fields, size

    def _literal(self, block: bytes, place: int, first: int) -> tuple[bytes, bytes, int]:
        """A literal field (6.2)."""
        is_indexed = first & INCREMENTAL
        index, place = integer(block, place, 0x3F if is_indexed else 0x0F)
        if index:
            name = self._table.get_by_index(index)[0]
        else:
            name, place = text(block, place)
        value, place = text(block, place)
        if is_indexed:
            self.changes += 1
            self._table.add(name, value)
        return name, value, place

    def _resize(self, block: bytes, place: int, *, is_first: bool) -> int:
        """Change the table's size (6.3), allowed only at the beginning of a block (4.2)."""
        size, place = integer(block, place, 0x1F)
        if not is_first:
            raise HPACKError("the table's size changes within a block")
        if size > self._largest_table:
            raise HPACKError(f"expected a table of at most {self._largest_table}, got {size}")
        self.changes += 1
        self._table.maxsize = size
        return place


def integer(block: bytes, place: int, mask: int) -> tuple[int, int]:
    """An integer that begins with the bits of `mask`, and the position after it (5.1)."""
    value = block[place] & mask
    place += 1
    if value < mask:
        return value, place
    shift = 0
    while True:
        byte = block[place]
        place += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > LARGEST_SHIFT:
            raise HPACKError("a number is too large")


def text(block: bytes, place: int) -> tuple[bytes, int]:
    """A string, and the position after it (5.2)."""
    is_compressed = block[place] & HUFFMAN
    size, place = integer(block, place, 0x7F)
    end = place + size
    if end > len(block):
        raise HPACKError("a string is cut off")
    value = block[place:end]
    return (bytes(decode_huffman(value)) if is_compressed else value), end


def block_of(*fields: tuple[str, str] | tuple[bytes, bytes]) -> bytes:
    """A block that does not change the peer's table, so that it can be sent at any time."""
    never_indexed: list[HeaderTuple] = [NeverIndexedHeaderTuple(*field) for field in fields]
    return Encoder().encode(never_indexed, huffman=False)
