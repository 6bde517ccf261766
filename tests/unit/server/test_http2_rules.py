"""The rules that a server must enforce in HTTP/2 (RFC 9113, sections 3 to 8), one test each.

Each rule is violated during other calls. Violating a connection rule ends the connection with the
prescribed code. Violating a stream rule ends the stream, and the other calls are answered.
"""

from collections.abc import Iterator

import pytest
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, StreamReset
from h2_client import CALL, LIMIT, PREFACE, Client, Service, framed, frames_in, looping, raw
from hpack import Encoder, NeverIndexedHeaderTuple
from hyperframe.frame import GoAwayFrame, SettingsFrame

from prepackaged.server.transport.exchange import Response
from prepackaged.server.transport.limits import Limits

WAITS = 1  # a stream with a complete message that waits for its response
OPEN = 3  # a stream with an incomplete message
ANSWERED = 5  # a stream that is closed
GIVEN_UP = 7  # a stream that the client has reset
NEW = 9  # the next stream
IDLE = 99
Rule = tuple[str, bytes, ErrorCodes]


def block(*changes: tuple[str, str | None], more: tuple[tuple[str, str], ...] = ()) -> bytes:
    """Build a call's header block with changes, which does not change the dynamic table."""
    changed = dict(changes)
    fields = [(name, changed.get(name, value)) for name, value in CALL]
    kept = [(name, value) for name, value in fields if value is not None]
    return bytes(Encoder().encode(never_indexed([*kept, *more]), huffman=False))


def never_indexed(fields: list[tuple[str, str]]) -> list[NeverIndexedHeaderTuple]:
    """Mark fields as never indexed, so that they do not change the dynamic table."""
    return [NeverIndexedHeaderTuple(*field) for field in fields]


def literal(name: str, value: str) -> bytes:
    """Encode a literal header field (RFC 7541, 6.2.2)."""
    return bytes([0, len(name), *name.encode(), len(value), *value.encode()])


def headers(fields: bytes, stream: int = NEW, flags: int = 4) -> bytes:
    """Build a HEADERS frame; by default it is complete."""
    return raw(1, flags, stream, fields)


def number(value: int) -> bytes:
    """Encode a number in four bytes."""
    return value.to_bytes(4, "big")


GOOD = block()
PROTOCOL, SIZE, FLOW, CLOSED, CALM = (
    ErrorCodes.PROTOCOL_ERROR,
    ErrorCodes.FRAME_SIZE_ERROR,
    ErrorCodes.FLOW_CONTROL_ERROR,
    ErrorCodes.STREAM_CLOSED,
    ErrorCodes.ENHANCE_YOUR_CALM,
)
CONNECTION_RULES: list[Rule] = [
    ("4.2 a frame has at most 16,384 bytes", raw(0, 0, OPEN, bytes(16_385)), SIZE),
    ("4.2 also one of an unknown type", raw(99, 0, 0, bytes(16_385)), SIZE),
    ("4.3 a header block can be decoded", headers(b"\xff\xff"), ErrorCodes.COMPRESSION_ERROR),
    ("4.3 also trailers", headers(b"\xff\xff", OPEN, 5), ErrorCodes.COMPRESSION_ERROR),
    ("4.3 nothing comes between its frames", headers(GOOD, NEW, 0) + raw(0, 0, OPEN), PROTOCOL),
    ("4.3 nor does a ping", headers(GOOD, NEW, 0) + raw(6, 0, 0, bytes(8)), PROTOCOL),
    ("4.3 nor an unknown frame", headers(GOOD, NEW, 0) + raw(99, 0, 0), PROTOCOL),
    ("4.3 nor another's", headers(GOOD, NEW, 0) + raw(9, 4, NEW + 2), PROTOCOL),
    ("5.1 no data on an idle stream", raw(0, 0, IDLE), PROTOCOL),
    ("5.1 no data on a stream of the server's", raw(0, 0, 2), PROTOCOL),
    ("5.1 no reset of an idle stream", raw(3, 0, IDLE, bytes(4)), PROTOCOL),
    ("5.1 no window update on an idle stream", raw(8, 0, IDLE, number(1)), PROTOCOL),
    ("5.1 no window update on a stream of the server's", raw(8, 0, 2, number(1)), PROTOCOL),
    ("5.1 no data on a closed stream", raw(0, 0, ANSWERED, b"hello"), CLOSED),
    ("5.1 no headers on a closed stream", headers(GOOD, ANSWERED), CLOSED),
    ("5.1 no data on a stream that was given up", raw(0, 0, GIVEN_UP), CLOSED),
    ("5.1.1 a client's streams are odd", headers(GOOD, 10), PROTOCOL),
    ("5.1.1 streams have numbers", headers(GOOD, 0), PROTOCOL),
    ("5.1.1 numbers grow", headers(GOOD, 13) + headers(GOOD, 11, 5), CLOSED),
    ("6.1 data have a stream", raw(0, 0, 0, b"hello"), PROTOCOL),
    ("6.1 padding fits into data", raw(0, 8, OPEN, b"\x05" + bytes(4)), PROTOCOL),
    ("6.1 padding has a length", raw(0, 8, OPEN), PROTOCOL),
    ("6.2 padding fits into headers", raw(1, 12, NEW, b"\x05" + bytes(4)), PROTOCOL),
    ("6.2 a priority fits into headers", raw(1, 36, NEW, bytes(4)), SIZE),
    ("6.3 a priority has five bytes", raw(2, 0, OPEN, bytes(4)), SIZE),
    ("6.3 a priority has a stream", raw(2, 0, 0, bytes(5)), PROTOCOL),
    ("6.4 a reset has four bytes", raw(3, 0, OPEN, bytes(3)), SIZE),
    ("6.4 a reset has a stream", raw(3, 0, 0, bytes(4)), PROTOCOL),
    ("6.5 settings have no stream", raw(4, 0, OPEN), PROTOCOL),
    ("6.5 settings have six bytes each", raw(4, 0, 0, bytes(5)), SIZE),
    ("6.5 an acknowledgement is empty", raw(4, 1, 0, bytes(6)), SIZE),
    ("6.5.2 ENABLE_PUSH is 0 or 1", raw(4, 0, 0, b"\0\2" + number(2)), PROTOCOL),
    ("6.5.2 INITIAL_WINDOW_SIZE is below 2^31", raw(4, 0, 0, b"\0\4" + number(2**31)), FLOW),
    ("6.5.2 MAX_FRAME_SIZE is 16,384 or more", raw(4, 0, 0, b"\0\5" + number(16_383)), PROTOCOL),
    ("6.5.2 MAX_FRAME_SIZE is below 2^24", raw(4, 0, 0, b"\0\5" + number(2**24)), PROTOCOL),
    ("6.6, 8.4 a client cannot push", raw(5, 4, OPEN, number(2) + GOOD), PROTOCOL),
    ("6.7 pings have no stream", raw(6, 0, OPEN, bytes(8)), PROTOCOL),
    ("6.7 pings have eight bytes", raw(6, 0, 0, bytes(9)), SIZE),
    ("6.7 acknowledgements of pings too", raw(6, 1, 0, bytes(7)), SIZE),
    ("6.8 GOAWAY has no stream", raw(7, 0, OPEN, bytes(8)), PROTOCOL),
    ("6.8 GOAWAY has at least eight bytes", raw(7, 0, 0, bytes(7)), SIZE),
    ("6.9 a window update has four bytes", raw(8, 0, 0, bytes(5)), SIZE),
    ("6.9 a window grows by something", raw(8, 0, 0, number(0)), PROTOCOL),
    ("6.9 a stream's window too", raw(8, 0, OPEN, number(0)), PROTOCOL),
    ("6.9 the reserved bit is none of it", raw(8, 0, 0, number(2**31)), PROTOCOL),
    (
        "6.9.1 data fit into the stream's window",
        raw(0, 0, OPEN, b"\0" + number(100_000)) + raw(0, 0, OPEN, bytes(16_384)) * 7,
        FLOW,
    ),
    ("6.9.1 a window is below 2^31", raw(8, 0, 0, number(2**31 - 1)), FLOW),
    ("6.9.1 a stream's window too", raw(8, 0, OPEN, number(2**31 - 1)), FLOW),
    (
        "6.9.2 and when the initial window grows",
        raw(8, 0, OPEN, number(2**31 - 1 - 65_535)) + raw(4, 0, 0, b"\0\4" + number(65_536)),
        FLOW,
    ),
    ("6.10 a continuation continues headers", raw(9, 4, NEW, GOOD), PROTOCOL),
    ("6.10 headers that are not whole", headers(GOOD) + raw(9, 4, NEW), PROTOCOL),
    ("10.5 a header block has few frames", headers(b"", NEW, 0) + raw(9, 0, NEW) * 9, CALM),
]
STREAM_RULES: list[Rule] = [
    ("8.2.1 names have no upper case", headers(block(more=(("X-Upper", "1"),))), PROTOCOL),
    ("8.2.1 names have no spaces", headers(block(more=(("x y", "1"),))), PROTOCOL),
    ("8.2.1 names have no control characters", headers(block(more=(("x\x00", "1"),))), PROTOCOL),
    ("8.2.1 names are ASCII", headers(block(more=(("x\x7f", "1"),))), PROTOCOL),
    ("8.2.1 names are not empty", headers(block(more=(("", "1"),))), PROTOCOL),
    ("8.2.1 names have no colon", headers(block(more=(("x:y", "1"),))), PROTOCOL),
    ("8.2.1 values have no CR", headers(block(more=(("x", "a\rb"),))), PROTOCOL),
    ("8.2.1 values have no LF", headers(block(more=(("x", "a\nb"),))), PROTOCOL),
    ("8.2.1 values have no NUL", headers(block(more=(("x", "a\0b"),))), PROTOCOL),
    ("8.2.1 values do not begin with a space", headers(block(more=(("x", " a"),))), PROTOCOL),
    ("8.2.1 values do not end with a tab", headers(block(more=(("x", "a\t"),))), PROTOCOL),
    ("8.2.2 no connection", headers(block(more=(("connection", "close"),))), PROTOCOL),
    ("8.2.2 no keep-alive", headers(block(more=(("keep-alive", "1"),))), PROTOCOL),
    ("8.2.2 no proxy-connection", headers(block(more=(("proxy-connection", "1"),))), PROTOCOL),
    ("8.2.2 no chunks", headers(block(more=(("transfer-encoding", "chunked"),))), PROTOCOL),
    ("8.2.2 no upgrade", headers(block(more=(("upgrade", "h2c"),))), PROTOCOL),
    ("8.2.2 te is trailers", headers(block(("te", "gzip"))), PROTOCOL),
    ("8.3 pseudo-header fields are known", headers(literal(":new", "1") + GOOD), PROTOCOL),
    ("8.3 they come first", headers(block((":path", None), more=((":path", "/echo"),))), PROTOCOL),
    ("8.3.1 no :status", headers(b"\x88" + GOOD), PROTOCOL),
    ("8.3.1 one :method", headers(b"\x83" + GOOD), PROTOCOL),
    ("8.3.1 a :method", headers(block((":method", None))), PROTOCOL),
    ("8.3.1 a :scheme", headers(block((":scheme", None))), PROTOCOL),
    ("8.3.1 a :path that is not empty", headers(block((":path", ""))), PROTOCOL),
    ("8.3.1 a :path begins with a slash", headers(block((":path", "echo"))), PROTOCOL),
    ("8.3.1 also for OPTIONS", headers(block((":path", "*/echo"))), PROTOCOL),
    ("8.3.1 a :path names no server", headers(block((":path", "http://x/echo"))), PROTOCOL),
    ("8.3.1 a :path has no space", headers(block((":path", "/echo x"))), PROTOCOL),
    ("8.3.1 a :path has no control characters", headers(block((":path", "/\x1b"))), PROTOCOL),
    ("8.3.1 a :path is ASCII", headers(block((":path", "/\xe9"))), PROTOCOL),
    ("RFC 9110, 9.1 a :method is a token", headers(block((":method", 'PO"ST'))), PROTOCOL),
    ("RFC 9110, 9.1 without spaces", headers(block((":method", "POST /"))), PROTOCOL),
    ("RFC 9110, 9.1 and controls", headers(block((":method", "POST\x1b"))), PROTOCOL),
    ("RFC 3986, 3.1 a :scheme is a name", headers(block((":scheme", "h ttp"))), PROTOCOL),
    ("RFC 3986, 3.1 that begins with a letter", headers(block((":scheme", "1http"))), PROTOCOL),
    ("8.3.1 an :authority has no user", headers(block((":authority", "me@localhost"))), PROTOCOL),
    ("8.3.1 an :authority has no path", headers(block((":authority", "localhost/a"))), PROTOCOL),
    ("8.3.1 an :authority has no space", headers(block((":authority", "a b"))), PROTOCOL),
    ("8.3.1 an :authority is no list", headers(block((":authority", "a, b"))), PROTOCOL),
    (
        "8.3.1 nor has a host",
        headers(block((":authority", None), more=(("host", "me@localhost"),))),
        PROTOCOL,
    ),
    ("8.3.1 an :authority or host", headers(block((":authority", None))), PROTOCOL),
    ("8.3.1 that is not empty", headers(block((":authority", ""))), PROTOCOL),
    ("8.3.1 both are the same", headers(block(more=(("host", "elsewhere"),))), PROTOCOL),
    ("8.3.1 one host", headers(block(more=(("host", "localhost"),) * 2)), PROTOCOL),
    ("8.5 CONNECT has no :path", headers(block((":method", "CONNECT"))), PROTOCOL),
    (
        "8.1.1 content-length is a number",
        headers(block(more=(("content-length", "1x"),))),
        PROTOCOL,
    ),
    (
        "8.1.1 content-length is one number",
        headers(block(more=(("content-length", "1"), ("content-length", "2")))),
        PROTOCOL,
    ),
    (
        "8.1.1 content-length is data's",
        headers(block(more=(("content-length", "3"),))) + raw(0, 1, NEW, b"hello"),
        PROTOCOL,
    ),
    (
        "8.1.1 not more either",
        headers(block(more=(("content-length", "9"),))) + raw(0, 1, NEW, b"hello"),
        PROTOCOL,
    ),
    ("8.1.1 nor without data", headers(block(more=(("content-length", "9"),)), NEW, 5), PROTOCOL),
]
BROKEN_STREAMS: list[tuple[str, bytes, int, ErrorCodes]] = [
    ("5.1 no data after the end", raw(0, 1, WAITS, b"more"), WAITS, CLOSED),
    ("5.1 no headers after the end", headers(GOOD, WAITS, 5), WAITS, CLOSED),
    ("8.1 trailers end a stream", headers(block(), OPEN), OPEN, PROTOCOL),
    ("8.1 trailers have no pseudo-header fields", headers(GOOD, OPEN, 5), OPEN, PROTOCOL),
]


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    """The event loop of all servers in this module."""
    with looping():
        yield


@pytest.fixture
def service() -> Service:
    """Methods that respond, wait or fail."""
    return Service()


@pytest.fixture
def client(service: Service) -> Client:
    """A client with one stream in each state."""
    client = Client(service.port(Limits(LIMIT)))
    client.call(b"hello", path="/wait")
    client.begin()
    client.exchange()
    client.call(b"hello")
    client.h2.reset_stream(client.call(b"hello", path="/wait"))
    client.exchange()
    return client


def announce(client: Client) -> None:
    """Make the client assume that it has opened the stream NEW."""
    client.h2.send_headers(NEW, never_indexed(CALL))
    client.h2.clear_outbound_data_buffer()


def names(rules: list[Rule]) -> list[object]:
    """Use the names of the rules as test ids."""
    return [pytest.param(*rest, id=name) for name, *rest in rules]


@pytest.mark.parametrize(("data", "code"), names(CONNECTION_RULES))
def test_a_violated_connection_rule_ends_the_connection_with_a_reason(
    client: Client, service: Service, data: bytes, code: ErrorCodes
) -> None:
    """Violating a connection rule ends the connection with the prescribed code and a reason."""
    client.raw(data)

    (end,) = client.of(ConnectionTerminated)
    assert (end.error_code, end.last_stream_id >= GIVEN_UP) == (code, True)
    assert end.additional_data
    assert client.transport.is_closed
    client.run(lambda: client.server.connection_lost(None))
    assert service.cancelled[-1] is service.exchanges[0]


@pytest.mark.parametrize(("data", "code"), names(STREAM_RULES))
def test_a_malformed_request_ends_only_its_stream(
    client: Client, service: Service, data: bytes, code: ErrorCodes
) -> None:
    """A malformed request resets its stream only, without calling a handler (RFC 9113, 8.1.1)."""
    announce(client)
    before = len(service.observed)
    client.raw(data)

    (reset,) = client.of(StreamReset)
    assert (reset.stream_id, reset.error_code) == (NEW, code)
    assert len(service.observed) - before in (0, 1)  # 1 if only the data is wrong
    assert [status for status, _, _ in service.observed[before:]] in ([], [499])
    others_are_answered(client, service)


@pytest.mark.parametrize(
    ("data", "stream", "code"), [pytest.param(*rest, id=name) for name, *rest in BROKEN_STREAMS]
)
def test_a_violated_stream_rule_ends_only_the_stream(
    client: Client, service: Service, data: bytes, stream: int, code: ErrorCodes
) -> None:
    """Violating a stream rule resets the stream only and cancels its call."""
    client.raw(data)

    (reset,) = client.of(StreamReset)
    assert (reset.stream_id, reset.error_code) == (stream, code)
    client.raw(raw(0, 0, stream, b"more") + raw(0, 1, stream))
    assert not client.of(ConnectionTerminated)
    if stream == WAITS:
        assert service.cancelled[-1] is service.exchanges[0]
        assert client.is_answered()
    else:
        others_are_answered(client, service)


def others_are_answered(client: Client, service: Service) -> None:
    """Check that a waiting call and a new one are answered."""
    client.run(lambda: service.exchanges[0].respond(Response(b"answer")))
    client.take()
    assert client.data(WAITS) == framed(b"answer")
    assert client.is_answered()


ALLOWED = {
    "5.5 frames of extensions": raw(0xBE, 0xFF, 1, b"abc") + raw(0xBE, 0, 0),
    "4.1 unknown flags": raw(6, 0xFE, 0, bytes(8)),
    "4.1 the reserved bit of a stream": raw(2, 0, OPEN | 2**31, bytes(5)),
    "5.1 a reset of a stream that is over": raw(3, 0, ANSWERED, bytes(4)),
    "5.1 a window update of a stream that is over": raw(8, 0, ANSWERED, number(1)),
    "5.1 a priority of any stream": raw(2, 0, IDLE, bytes(5)) + raw(2, 0, ANSWERED, bytes(5)),
    "5.3.1 a priority that depends on itself": raw(2, 0, OPEN, number(OPEN) + b"\0"),
    "6.1 data of padding alone": raw(0, 8, OPEN, b"\x03" + bytes(3)),
    "6.5.2 unknown settings": raw(4, 0, 0, b"\0\x99" + number(2**32 - 1)),
    "6.5.2 no push": raw(4, 0, 0, b"\0\2" + number(0)),
    "6.5.2 larger frames": raw(4, 0, 0, b"\0\5" + number(2**24 - 1)),
    "6.8 a client that goes away": raw(7, 0, 0, bytes(8) + b"bye"),
    "6.9.2 no window for a while": raw(4, 0, 0, b"\0\4" + number(0) + b"\0\4" + number(65_535)),
    "6.10 an empty continuation": headers(GOOD, NEW, 1) + raw(9, 0, NEW) + raw(9, 4, NEW),
}


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in ALLOWED.items()])
def test_valid_frames_do_not_affect_other_calls(
    client: Client, service: Service, data: bytes
) -> None:
    """Unusual but valid frames do not affect other calls."""
    announce(client)
    client.raw(data)
    assert not client.of(ConnectionTerminated)
    others_are_answered(client, service)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(raw(6, 0, 0, bytes(8)), id="a ping"),
        pytest.param(raw(4, 1, 0), id="an acknowledgement"),
        pytest.param(headers(GOOD, 1, 5), id="a request"),
        pytest.param(raw(99, 0, 0), id="an unknown frame"),
    ],
)
def test_the_first_frame_is_the_client_s_settings(service: Service, first: bytes) -> None:
    """If the first frame is not SETTINGS, the connection ends with a GOAWAY (RFC 9113, 3.4)."""
    client = Client(service.port(Limits(LIMIT)), greets=False)

    client.receive(PREFACE + first)

    settings, *_, goaway = frames_in(bytes(client.transport.written))
    assert isinstance(settings, SettingsFrame)
    assert isinstance(goaway, GoAwayFrame)
    assert goaway.error_code == ErrorCodes.PROTOCOL_ERROR
    assert client.transport.is_closed
