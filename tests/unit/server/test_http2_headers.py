"""Header blocks are decoded like `hpack`, checked, and cached while their meaning is fixed."""

from typing import Any

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given
from hypothesis import strategies as st

from prepackaged.server.transport.grpc.headers import read_headers
from prepackaged.server.transport.http2.frames import ErrorCode, Http2Error
from prepackaged.server.transport.http2.headers import MOST_MISSES, HeaderReader, Headers
from prepackaged.server.transport.http2.hpack import HeaderBlockDecoder

REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/echo"),
    (b":authority", b"localhost"),
]
FIELDS = st.lists(
    st.tuples(st.sampled_from([b"x-a", b"x-b", b"accept", b"x-c"]), st.binary(max_size=60))
)


@given(
    st.lists(st.tuples(FIELDS, st.booleans(), st.sampled_from([None, 0, 100, 4096])), max_size=8)
)
def test_blocks_are_decoded_as_hpack_decodes_them(blocks: list[Any]) -> None:
    """Consecutive blocks are decoded like `hpack`, with table resizing and Huffman coding."""
    encoder, ours, theirs = Encoder(), HeaderBlockDecoder(), Decoder()
    for fields, is_compressed, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode(fields, huffman=is_compressed)
        expected = [(bytes(name), bytes(value)) for name, value in theirs.decode(block, raw=True)]
        decoded, total = ours.decode(block)
        assert decoded == expected == fields
        assert total == sum(len(name) + len(value) + 32 for name, value in fields)


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_blocks_are_refused_exactly_if_hpack_refuses_them(blocks: list[bytes]) -> None:
    """For any bytes, our decoder raises an error exactly if `hpack` does."""
    ours, theirs = HeaderBlockDecoder(), Decoder()
    for block in blocks:
        try:
            fields = theirs.decode(block, raw=True)
        except HPACKError:
            with pytest.raises(Http2Error) as caught:
                ours.decode(block)
            assert caught.value.code == ErrorCode.COMPRESSION_ERROR
            return
        assert ours.decode(block)[0] == [(bytes(name), bytes(value)) for name, value in fields]


@pytest.mark.parametrize(
    "block",
    [
        b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # an integer of more than 32 bits
        b"\x82\x20",  # a change of the table size in the middle
        b"\x3f\xe2\x1f",  # a table of 4,097 bytes
        b"\xff",  # a truncated integer
        b"\x00\x05ab",  # a truncated string
        b"\x80",  # the index 0
        b"\xbe",  # the first entry of an empty table
    ],
)
def test_a_block_that_breaks_a_rule_of_hpack_is_refused(block: bytes) -> None:
    """Invalid header blocks are a COMPRESSION_ERROR (RFC 7541, 5 and 6)."""
    with pytest.raises(Http2Error) as caught:
        HeaderBlockDecoder().decode(block)
    assert caught.value.code == ErrorCode.COMPRESSION_ERROR


def test_a_decompression_bomb_is_refused() -> None:
    """A block that decompresses to far too much is refused: one byte may stand for 4,000."""
    decoder = HeaderBlockDecoder()
    decoder.decode(Encoder().encode([(b"x", bytes(4000))], huffman=False))

    with pytest.raises(Http2Error) as caught:
        decoder.decode(b"\xbe" * 16_000)
    assert caught.value.code == ErrorCode.ENHANCE_YOUR_CALM


@given(st.lists(FIELDS.map(lambda fields: fields[:3]), max_size=8))
def test_repeated_headers_are_read_the_same(requests: list[Any]) -> None:
    """Repeated blocks are read correctly, even if the dynamic table changes in between."""
    encoder, reader = Encoder(), HeaderReader()
    for fields in requests * 3:
        headers = reader.read(encoder.encode([*REQUEST, *fields]))
        assert headers.fields == [*REQUEST, *fields]


def never_indexed(*fields: tuple[bytes, bytes]) -> bytes:
    """Build a block that does not change the dynamic table."""
    return b"".join(
        b"\x10" + bytes([len(name)]) + name + b"\x7f" + number(len(value)) + value
        for name, value in fields
    )


def number(size: int) -> bytes:
    """Encode a length of 127 or more (RFC 7541, 5.1)."""
    rest = size - 127
    return bytes([rest % 128 + 128, rest // 128])


def test_a_repeated_block_is_decoded_once() -> None:
    """A repeated block is decoded once, until the dynamic table changes."""
    reader, block = HeaderReader(), never_indexed((b"x-a", b"1" * 200))

    first = reader.read(block)
    assert reader.read(block) is first
    assert read_headers(first) is read_headers(first)

    reader.read(Encoder().encode([(b"x-b", b"2")]))
    assert reader.read(block) is not first


def test_nothing_above_a_kilobyte_is_cached() -> None:
    """Blocks above a kilobyte are not cached: 64 blocks of 64 KB would stay per connection."""
    reader, block = HeaderReader(), never_indexed((b"x-a", b"1" * 1100))

    assert reader.read(block) is not reader.read(block)


def test_caching_stops_if_blocks_never_repeat() -> None:
    """Caching stops if blocks never repeat, as behind a proxy that adds request ids."""
    reader, block = HeaderReader(), never_indexed((b"x-a", b"1" * 200))
    for count in range(MOST_MISSES + 1):
        reader.read(never_indexed((b"x-a", b"%0200d" % count)))

    assert reader.read(block) is not reader.read(block)
    assert not reader._cached


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"2H", 7200.0),
        (b"3M", 180.0),
        (b"4S", 4.0),
        (b"250m", 0.25),
        (b"500u", 0.0005),
        (b"1n", 1e-9),
        (b"123456789S", None),
        (b"-1S", None),
        (b"1s", None),
        (b"", None),
    ],
)
def test_a_timeout_is_read_in_the_format_of_grpc(text: bytes, seconds: float | None) -> None:
    """A grpc-timeout has at most eight digits and a unit; others are ignored."""
    assert read_headers(Headers([(b"grpc-timeout", text)], 0)).timeout == seconds
