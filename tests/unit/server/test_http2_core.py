"""The core of an HTTP/2 connection: it turns bytes into events, and responses into bytes."""

import pytest
from h2_client import PREFACE, frames_in, raw
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from prepackaged.server.transport.http2.core import Http2Core
from prepackaged.server.transport.http2.credit import PADDING
from prepackaged.server.transport.http2.events import (
    ConnectionFailed,
    DataReceived,
    Event,
    HeadersReceived,
    PingAcknowledged,
    StreamReset,
)
from prepackaged.server.transport.http2.frames import MAX_FRAME, ErrorCode
from prepackaged.server.transport.http2.hpack import block_of
from prepackaged.server.transport.http2.streams import MOST_REMEMBERED

GREETING = PREFACE + raw(4, 0, 0)
REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/echo"),
    (b":authority", b"localhost"),
]
BLOCK = Encoder().encode(REQUEST, huffman=False)
OK = block_of((":status", "200"))
END = block_of(("x-end", "1"))
END_OF_DATA = DataReceived(1, b"", ended=True)
PLAIN = block_of(*((name.decode(), value.decode()) for name, value in REQUEST))


@pytest.fixture
def core() -> Http2Core:
    """A core that has received the client's preface and settings."""
    core = Http2Core()
    assert list(core.receive(GREETING)) == []
    core.take_output()
    return core


def received(core: Http2Core, *frames: bytes) -> list[Event]:
    """Return the events of some frames."""
    return [event for event in core.receive(b"".join(frames)) if event is not None]


def request(stream: int = 1, *, end: bool = False) -> bytes:
    """Build a HEADERS frame for a request."""
    return raw(1, 4 + end, stream, PLAIN)


def sent(core: Http2Core) -> list[tuple[str, int, list[str], bytes]]:
    """Return the frames that the core has to send."""
    return [
        (type(each).__name__, each.stream_id, sorted(each.flags), each.serialize_body())
        for each in frames_in(core.take_output())
    ]


def test_a_request_is_headers_and_data(core: Http2Core) -> None:
    """A request gives an event for its headers and one for its data, which ends it."""
    headers, data = received(core, request(), raw(0, 1, 1, b"hello"))

    assert isinstance(headers, HeadersReceived)
    assert (headers.stream, headers.headers.fields, headers.ended) == (1, REQUEST, False)
    assert data == DataReceived(1, b"hello", ended=True)


def test_padding_and_priorities_are_removed(core: Http2Core) -> None:
    """Padding and priorities are removed, at their maximum lengths too (RFC 9113, 6.1 and 6.2)."""
    padded = raw(1, 4 + 8 + 32, 1, b"\x03" + bytes(5) + PLAIN + bytes(3))

    headers, data, empty = received(
        core, padded, raw(0, 8, 1, b"\x02hi" + bytes(2)), raw(0, 9, 1, b"\x05" + bytes(5))
    )

    assert isinstance(headers, HeadersReceived)
    assert headers.headers.fields == REQUEST
    assert (data, empty) == (DataReceived(1, b"hi", ended=False), END_OF_DATA)


def test_a_response_with_trailers_is_three_frames(core: Http2Core) -> None:
    """A response with trailers is sent at once as three frames, if the windows allow it."""
    received(core, request(end=True))

    core.send_response(1, OK, b"hello", END)

    assert sent(core) == [
        ("HeadersFrame", 1, ["END_HEADERS"], OK),
        ("DataFrame", 1, [], b"hello"),
        ("HeadersFrame", 1, ["END_HEADERS", "END_STREAM"], END),
    ]
    assert not core.has_streams


def test_a_response_may_end_with_its_data(core: Http2Core) -> None:
    """A response without trailers ends with its last DATA frame."""
    received(core, request(end=True), request(3, end=True))

    core.send_headers(1, OK)
    core.send_data(1, b"hello", end=True)
    core.send_headers(3, OK)
    core.send_data(3, b"", end=True)

    assert sent(core) == [
        ("HeadersFrame", 1, ["END_HEADERS"], OK),
        ("DataFrame", 1, ["END_STREAM"], b"hello"),
        ("HeadersFrame", 3, ["END_HEADERS"], OK),
        ("DataFrame", 3, ["END_STREAM"], b""),
    ]


def test_a_response_before_its_request_ends_resets_the_stream(core: Http2Core) -> None:
    """A response before the request's end resets the stream, and ignores its further data (8.1)."""
    received(core, request())

    core.send_headers(1, OK, end=True)

    assert sent(core) == [
        ("HeadersFrame", 1, ["END_HEADERS", "END_STREAM"], OK),
        ("RstStreamFrame", 1, [], bytes(4)),
    ]
    assert received(core, raw(0, 0, 1, b"more"), raw(0, 1, 1, b"the last")) == []
    assert not core.has_failed


def test_a_large_header_block_is_continued(core: Http2Core) -> None:
    """A large header block is continued in CONTINUATION frames (RFC 9113, 6.10)."""
    received(core, request(end=True))
    block = block_of(("x-long", "a" * 40_000))

    core.send_headers(1, block, end=True)

    first, second, third = sent(core)
    assert [first[0], second[0], third[0]] == ["HeadersFrame", *["ContinuationFrame"] * 2]
    assert (first[2], second[2], third[2]) == (["END_STREAM"], [], ["END_HEADERS"])
    assert first[3] + second[3] + third[3] == block


def test_data_above_the_windows_waits(core: Http2Core) -> None:
    """Data above the stream's or the connection's window of 65,535 bytes waits for an update."""
    received(core, request(end=True), request(3, end=True))
    core.send_response(1, OK, bytes(60_000), END)
    core.send_response(3, OK, bytes(10_000), END)

    amounts = [len(body) for name, _, _, body in sent(core) if name == "DataFrame"]
    assert sum(amounts) == 65_535
    assert max(amounts) == MAX_FRAME
    assert core.unsent == 4_465

    received(core, raw(8, 0, 0, (4_000).to_bytes(4, "big")))
    assert [len(body) for _, _, _, body in sent(core)] == [4_000]
    received(core, raw(8, 0, 0, (4_000).to_bytes(4, "big")))
    assert [(name, stream) for name, stream, _, _ in sent(core)] == [
        ("DataFrame", 3),
        ("HeadersFrame", 3),
    ]
    assert (core.unsent, core.has_streams) == (0, False)


def test_a_stream_that_waits_for_its_own_window_blocks_no_other(core: Http2Core) -> None:
    """A stream that waits for its own window does not block others."""
    received(core, raw(8, 0, 0, (2**20).to_bytes(4, "big")))
    received(core, request(end=True), request(3, end=True))
    core.send_response(1, OK, bytes(70_000), END)
    core.send_response(3, OK, bytes(70_000), END)
    core.take_output()

    received(core, raw(8, 0, 3, (5_000).to_bytes(4, "big")))

    assert [(name, stream) for name, stream, _, _ in sent(core)] == [
        ("DataFrame", 3),
        ("HeadersFrame", 3),
    ]
    assert core.unsent == 4_465


def test_streams_that_wait_for_the_connections_window_take_turns(core: Http2Core) -> None:
    """A short answer does not wait for the whole of a long one before it."""
    received(core, request(end=True), request(3, end=True))
    received(core, raw(8, 0, 1, (2**20).to_bytes(4, "big")))
    core.send_response(1, OK, bytes(500_000), END)
    core.send_response(3, OK, b"short", END)
    core.take_output()

    for _ in range(2):
        received(core, raw(8, 0, 0, (4_000).to_bytes(4, "big")))

    assert [stream for name, stream, _, _ in sent(core) if name == "HeadersFrame"] == [3]


def test_a_reset_drops_unsent_data(core: Http2Core) -> None:
    """A reset by either side drops the stream's unsent data."""
    received(core, request(end=True), request(3, end=True))
    core.send_response(1, OK, bytes(100_000), END)
    core.send_response(3, OK, bytes(100_000), END)
    core.take_output()

    assert received(core, raw(3, 0, 1, b"\0\0\0\x08")) == [StreamReset(1, 8)]
    core.reset(3, ErrorCode.CANCEL)

    assert core.unsent == 0
    assert sent(core) == [("RstStreamFrame", 3, [], b"\0\0\0\x08")]
    received(core, raw(8, 0, 0, (2**20).to_bytes(4, "big")))
    assert sent(core) == []


def test_credit_is_granted_to_a_message_whose_length_is_known(core: Http2Core) -> None:
    """A stream's window takes its announced message; more data is a FLOW_CONTROL_ERROR."""
    received(core, request())

    core.want(1, 100_000)

    more = 100_000 + PADDING - 2**16
    assert sent(core) == [("WindowUpdateFrame", 1, [], more.to_bytes(4, "big"))]
    chunk = raw(0, 0, 1, bytes(10_000))
    assert len(received(core, chunk * 10, raw(0, 0, 1, bytes(PADDING)))) == 11
    (failed,) = received(core, raw(0, 0, 1, b"\0"))
    assert isinstance(failed, ConnectionFailed)
    assert failed.code == ErrorCode.FLOW_CONTROL_ERROR


def test_the_credit_of_a_stream_is_limited(core: Http2Core) -> None:
    """A stream has a window of 65,536 bytes, unless it has announced a larger message."""
    received(core, request())

    *_, failed = received(core, raw(0, 0, 1, bytes(16_384)) * 4 + raw(0, 0, 1, b"\0"))

    assert isinstance(failed, ConnectionFailed)
    assert failed.code == ErrorCode.FLOW_CONTROL_ERROR


def test_the_window_of_the_connection_is_refilled(core: Http2Core) -> None:
    """The connection's window is refilled, also for data of closed streams."""
    total = 0
    for stream in range(1, 1025, 2):
        received(core, request(stream), raw(0, 0, stream, bytes(16_384)) * 3)
        core.reset(stream, ErrorCode.CANCEL)
        received(core, raw(0, 0, stream, bytes(16_384)))
        total += sum(
            int.from_bytes(body, "big")
            for name, number, _, body in sent(core)
            if (name, number) == ("WindowUpdateFrame", 0)
        )

    assert total >= 512 * 65_536 - 2**24


def test_events_can_be_consumed_one_by_one(core: Http2Core) -> None:
    """Events can be consumed one by one; later calls return the rest in order."""
    events = core.receive(request() + raw(0, 0, 1, b"one" * 30) + raw(0, 1, 1, b"two"))
    assert isinstance(next(events), HeadersReceived)
    del events

    assert core.has_more
    assert list(core.receive(b"")) == [
        DataReceived(1, b"one" * 30, ended=False),
        DataReceived(1, b"two", ended=True),
    ]
    assert not core.has_more


def test_pings_are_acknowledged_and_acknowledgements_are_events(core: Http2Core) -> None:
    """Pings are acknowledged, and acknowledgements are events (RFC 9113, 6.7)."""
    assert received(core, raw(6, 0, 0, b"12345678"), raw(6, 1, 0, b"abcdefgh")) == [
        PingAcknowledged(b"abcdefgh")
    ]
    assert sent(core) == [("PingFrame", 0, ["ACK"], b"12345678")]


def test_a_connection_error_is_an_event_and_a_goaway(core: Http2Core) -> None:
    """A connection error is an event and a GOAWAY frame; all further input is ignored."""
    received(core, request(5))

    (failed,) = received(core, raw(6, 0, 0, bytes(7)), request(7))

    why = "a frame of type 6 cannot have 7 bytes"
    assert failed == ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, why)
    assert sent(core) == [("GoAwayFrame", 0, [], b"\0\0\0\x05\0\0\0\x06" + why.encode())]
    assert received(core, request(9)) == []


def test_the_budget_refills_over_time() -> None:
    """The budget for cheap frames refills over time, so that rare pings never exhaust it."""
    now = 0.0
    core = Http2Core(lambda: now)
    received(core, GREETING)
    for _ in range(4 * 3600):  # an hour, four times a second
        now += 0.25
        assert received(core, raw(6, 0, 0, bytes(8))) == []

    *_, failed = received(core, raw(6, 0, 0, bytes(8)) * 10_001)
    assert isinstance(failed, ConnectionFailed)
    assert failed.code == ErrorCode.ENHANCE_YOUR_CALM


@given(st.lists(st.integers(1, 400)))
def test_the_input_may_be_split_anywhere(sizes: list[int]) -> None:
    """The events do not depend on how the input is split."""
    data = GREETING + request() + raw(0, 0, 1, b"one" * 100) + raw(6, 1, 0, bytes(8))
    data += raw(0, 1, 1, b"two") + request(3, end=True)
    whole = [event for event in Http2Core().receive(data) if not isinstance(event, HeadersReceived)]
    core, events, place = Http2Core(), [], 0
    for size in [*sizes, len(data)]:
        events += core.receive(data[place : place + size])
        place += size

    assert [event for event in events if not isinstance(event, HeadersReceived)] == whole
    assert len(events) == len(whole) + 2


@given(st.binary(max_size=200))
def test_any_input_is_accepted_or_ends_the_connection(data: bytes) -> None:
    """Any input is either accepted or ends in a single connection error."""
    for start in (b"", PREFACE, GREETING, GREETING + request()):
        core = Http2Core()
        failures = [
            event for event in core.receive(start + data) if isinstance(event, ConnectionFailed)
        ]
        assert core.has_failed == bool(failures)


def test_single_bytes_are_copied_once(core: Http2Core) -> None:
    """An incomplete frame is buffered in a single bytearray, without copying it again."""
    received(core, raw(0, 0, 1, bytes(MAX_FRAME))[:9])
    waiting = core._reader._part
    for byte in bytes(MAX_FRAME - 1):
        assert received(core, bytes([byte])) == []
        assert core._reader._part is waiting


def test_frames_of_streams_reset_long_ago_are_ignored(core: Http2Core) -> None:
    """Of many reset streams the oldest are remembered as a range, whose frames stay ignored."""
    for stream in range(1, 2 * MOST_REMEMBERED + 10, 2):
        received(core, request(stream))
        core.send_headers(stream, OK, end=True)
    core.take_output()

    assert received(core, raw(0, 0, 1, b"more"), raw(0, 1, 2 * MOST_REMEMBERED + 9, b"last")) == []
    assert not core.has_failed
