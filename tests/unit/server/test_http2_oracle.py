"""Fuzzing with frames: our core and `h2` as a server refuse the same input.

To refuse means to end the connection or to reset the stream. The two count alike, since `h2` ends
the connection for a malformed request, where RFC 9113, 8.1.1 asks for a stream error, and our core
ends it for a frame on a stream that the client had closed, as 5.4.1 allows.
"""

from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from h2_client import PREFACE, frames_in, raw
from hpack import Decoder, Encoder, NeverIndexedHeaderTuple
from hpack.exceptions import HPACKError
from hypothesis import event, given, settings
from hypothesis import strategies as st

from prepackaged.server.transport.http2.core import Http2Core
from prepackaged.server.transport.http2.events import (
    ConnectionFailed,
    DataReceived,
    HeadersReceived,
    StreamReset,
)
from prepackaged.server.transport.http2.hpack import block_of

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION, ALTSVC = 8, 9, 10
REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/echo"),
    (":authority", "localhost"),
]


def block(*fields: tuple[str, str]) -> bytes:
    """Build a header block that does not change the dynamic table."""
    never_indexed = [NeverIndexedHeaderTuple(*each) for each in fields]
    return bytes(Encoder().encode(never_indexed, huffman=False))


USUAL = {b"", b"CONNECT", b"/again", b"elsewhere", *(value.encode() for _, value in REQUEST)}
GOOD = block(*REQUEST)
LENGTH = block(("content-length", "3"))
BLOCKS = [
    *[GOOD] * 30,
    block(*REQUEST, ("te", "trailers")),
    block(*REQUEST, ("content-length", "3")),
    block(*REQUEST, ("content-length", "0")),
    block(*REQUEST, ("host", "localhost")),
    *[block(("x-checksum", "1"))] * 5,
    b"",
    block(*REQUEST, ("content-length", "x")),
    block(*REQUEST, ("host", "elsewhere")),
    block(*REQUEST, ("X-Upper", "1")),
    block(*REQUEST, ("x y", "1")),
    block(*REQUEST, ("", "1")),
    block(*REQUEST, ("x:y", "1")),
    block(*REQUEST, ("x", "a\rb")),
    block(*REQUEST, ("x", "a\0b")),
    block(*REQUEST, ("x", " a")),
    block(*REQUEST, ("connection", "close")),
    block(*REQUEST, ("te", "gzip")),
    block(*REQUEST, (":path", "/again")),
    block(("x", "1"), *REQUEST),
    block((":new", "1"), *REQUEST),
    block((":status", "200"), *REQUEST),
    block(*REQUEST[1:]),
    block(*REQUEST[:2], REQUEST[3]),
    block(*REQUEST[:3]),
    block((":method", "CONNECT"), *REQUEST[1:]),
    block((":method", "CONNECT"), REQUEST[3]),
    b"\xff\xff",
    b"\xbe",
    Encoder().encode([("x-indexed", "1")]),
]
CONNECTIONS = {SETTINGS, PING, GOAWAY}  # the types of frames without a stream
NUMBERS = st.sampled_from(
    [1, 2, 3, 9, 0, 100, 16_384, 65_535, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 1]
)


@dataclass
class OurCore:
    """Feeds our core frame by frame."""

    core: Http2Core = field(default_factory=Http2Core)

    def refuses(self, data: bytes) -> bool:
        """Return whether these bytes cause a connection error or a stream reset."""
        events = [each for each in self.core.receive(data) if each is not None]
        written = frames_in(self.core.take_output())
        resets = [each for each in written if each.type == RST_STREAM]
        assert not self.core.has_failed or isinstance(events[-1], ConnectionFailed)
        return self.core.has_failed or bool(resets)

    def answers(self, stream: int) -> bool:
        """Return whether a valid call is answered."""
        call = raw(HEADERS, 4, stream, GOOD) + raw(DATA, 1, stream, b"hello")
        headers, data = self.core.receive(call)
        assert isinstance(headers, HeadersReceived)
        assert data == DataReceived(stream, b"hello", ended=True)
        self.core.take_output()
        self.core.send_headers(stream, block_of((":status", "200")), end=True)
        (answer,) = frames_in(self.core.take_output())
        return (answer.type, answer.stream_id) == (HEADERS, stream)


class TheirCore:
    """Feeds `h2` frame by frame."""

    def __init__(self) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.h2.initiate_connection()
        self.h2.data_to_send()

    def refuses(self, data: bytes) -> bool:
        """Return whether these bytes cause a connection error or a stream reset."""
        try:
            self.h2.receive_data(data)
        except ProtocolError:
            return True
        return any(each.type == RST_STREAM for each in frames_in(self.h2.data_to_send()))


@dataclass(frozen=True)
class Sent:
    """A frame that a client sends."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    def bytes(self) -> bytes:
        """Return the frame as bytes."""
        return raw(self.kind, self.flags, self.stream, self.payload)


def payload_of(kind: int) -> st.SearchStrategy[bytes]:
    """Generate mostly valid payloads for this frame type."""
    number = NUMBERS.map(lambda value: value.to_bytes(4, "big"))
    setting = st.tuples(st.sampled_from([1, 2, 3, 4, 5, 6, 8, 99]), NUMBERS)
    right: dict[int, st.SearchStrategy[bytes]] = {
        DATA: st.binary(max_size=6),
        HEADERS: st.sampled_from(BLOCKS),
        CONTINUATION: st.sampled_from(BLOCKS),
        PRIORITY: number.map(lambda value: value + b"\x10"),
        RST_STREAM: number,
        SETTINGS: st.lists(setting, max_size=2).map(
            lambda each: b"".join(n.to_bytes(2, "big") + v.to_bytes(4, "big") for n, v in each)
        ),
        PUSH_PROMISE: number,
        PING: st.just(b"12345678"),
        GOAWAY: st.just(bytes(8)),
        WINDOW_UPDATE: number,
    }
    good = right.get(kind, st.binary(max_size=9))
    return st.one_of(*[good] * 9, st.binary(max_size=9))


def flags_of(kind: int) -> st.SearchStrategy[int]:
    """Generate mostly usual flags for this frame type."""
    usual = {DATA: [0, 1], HEADERS: [4, 5, 4, 5, 0, 1], CONTINUATION: [4, 0]}.get(kind, [0, 0, 1])
    return st.one_of(*[st.sampled_from(usual)] * 9, st.sampled_from([8, 12, 13, 32, 36, 0xFF]))


def streams_of(kind: int) -> st.SearchStrategy[int]:
    """Generate mostly usual streams for this frame type."""
    usual = [0] if kind in CONNECTIONS else [1, 3, 5, 7] + [0] * (kind == WINDOW_UPDATE)
    return st.one_of(*[st.sampled_from(usual)] * 9, st.sampled_from([0, 1, 2, 101]))


KINDS = st.sampled_from(
    [DATA] * 4 + [HEADERS] * 6 + [CONTINUATION, WINDOW_UPDATE, SETTINGS] * 2 + list(range(12))
)
FRAMES = KINDS.flatmap(
    lambda kind: st.builds(Sent, st.just(kind), flags_of(kind), streams_of(kind), payload_of(kind))
)


def is_exempt(frame: Sent, core: Http2Core) -> bool:
    """Return whether the two cores differ on this frame on purpose."""
    seen = core._early_ends.seen
    is_idle = frame.stream > seen or frame.stream % 2 == 0
    is_padded = frame.kind == HEADERS and frame.flags & 8  # PRIORITY has no flags (6.3)
    priority = frame.payload[1:] if is_padded else frame.payload
    depends_on = int.from_bytes(priority[:4], "big") & (2**31 - 1)
    has_priority = frame.kind == PRIORITY or (frame.kind == HEADERS and frame.flags & 32)
    beside_padding = len(frame.payload) - (6 if frame.flags & 32 else 1)
    is_all_padding = frame.payload[:1] == bytes([max(beside_padding, 0) & 0xFF])
    return bool(
        # 6.2: HEADERS may consist of padding only, which `hyperframe` refuses.
        (is_padded and is_all_padding)
        # 6.4: a reset of an idle stream is a connection error, but `h2` ignores it.
        or (frame.kind == RST_STREAM and is_idle)
        # 5.3.2: priorities are obsolete, so a stream that depends on itself is no error.
        or (has_priority and depends_on == frame.stream)
        # 6.8: after a client's GOAWAY its streams may go on, but `h2` accepts no more frames.
        or frame.kind == GOAWAY
        # 6.9: the first bit of a window update is reserved, but `h2` counts it.
        or (frame.kind == WINDOW_UPDATE and frame.payload[:1] >= b"\x80")
        # 5.1.1, 8.4: our core refuses these before the header block is complete.
        or (not frame.flags & 4 and frame.kind == PUSH_PROMISE)
        or (not frame.flags & 4 and frame.kind == HEADERS and frame.stream % 2 == 0)
        # 8.1.1: at a stream's end data may be missing, which `h2` only checks in DATA frames.
        or (frame.kind in (HEADERS, CONTINUATION) and is_length_missing(frame, core))
        # RFC 7838, 4: ALTSVC is an extension, but `h2` parses it.
        or frame.kind == ALTSVC
        # 8.3.1: `h2` does not check the values of pseudo-header fields.
        or (frame.kind in (HEADERS, CONTINUATION) and has_unusual_request(frame.payload))
    )


def has_unusual_request(block: bytes) -> bool:
    """Return whether a header block has pseudo-header fields with other values than BLOCKS have."""
    try:
        fields = Decoder().decode(block, raw=True)
    except HPACKError:
        return False
    pseudo = {(name, value) for name, value in fields if name.startswith(b":")}
    return any(value not in USUAL for _, value in pseudo)


def is_length_missing(frame: Sent, core: Http2Core) -> bool:
    """Return whether a header block ends a stream that has less data than its content-length."""
    stream = core._streams.get(frame.stream)
    is_end = frame.kind == CONTINUATION or frame.flags & 1
    return bool(is_end and (LENGTH in frame.payload or (stream and stream.length_left)))


@settings(max_examples=400, deadline=None)
@given(st.lists(FRAMES, max_size=12))
def test_exactly_the_frames_that_h2_refuses_are_refused(sent: list[Sent]) -> None:
    """Our core refuses exactly the frames that `h2` refuses; otherwise it still answers calls."""
    ours, theirs = OurCore(), TheirCore()
    start = PREFACE + raw(SETTINGS, 0, 0) + raw(SETTINGS, 1, 0)
    assert (ours.refuses(start), theirs.refuses(start)) == (False, False)
    for frame in sent:
        if is_exempt(frame, ours.core):
            break
        refused = ours.refuses(frame.bytes())
        assert refused == theirs.refuses(frame.bytes()), frame
        if refused:
            break
    if not ours.core.has_failed and ours.core.open_block is None:
        event("goes on")
        assert ours.answers(1001)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_bytes_are_refused_exactly_if_h2_refuses_them(data: st.DataObject) -> None:
    """Valid sequences with one changed byte are refused exactly if `h2` refuses them."""
    good = raw(HEADERS, 4, 1, GOOD) + raw(DATA, 0, 1, b"hello") + raw(HEADERS, 5, 3, GOOD)
    wire = bytearray(good + raw(PING, 0, 0, bytes(8)) + raw(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"))
    place = data.draw(st.integers(0, len(wire) - 1))
    wire[place] = data.draw(st.integers(0, 255))
    ours, theirs = OurCore(), TheirCore()
    start = PREFACE + raw(SETTINGS, 0, 0) + raw(SETTINGS, 1, 0)
    assert (ours.refuses(start), theirs.refuses(start)) == (False, False)
    for frame in split(bytes(wire)):
        if is_exempt(frame, ours.core):
            return
        refused = ours.refuses(frame.bytes())
        assert refused == theirs.refuses(frame.bytes()), frame
        if refused:
            return


def split(wire: bytes) -> list[Sent]:
    """Split bytes into their complete frames."""
    frames = []
    while len(wire) >= 9 and len(wire) >= 9 + (size := int.from_bytes(wire[:3], "big")):
        stream = int.from_bytes(wire[5:9], "big")
        frames.append(Sent(wire[3], wire[4], stream, wire[9 : 9 + size]))
        wire = wire[9 + size :]
    return frames


def test_our_core_only_resets_the_stream_of_a_malformed_request() -> None:
    """After a malformed request our core resets only the stream (8.1.1), unlike `h2`."""
    ours = OurCore()
    ours.refuses(PREFACE + raw(SETTINGS, 0, 0))

    assert ours.refuses(raw(HEADERS, 4, 1, block(*REQUEST, ("X-Upper", "1"))))
    assert list(ours.core.receive(raw(DATA, 1, 1, b"hello"))) == []
    assert not any(isinstance(each, StreamReset) for each in ours.core.receive(b""))
    assert ours.answers(3)
