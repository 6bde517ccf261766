"""gRPC calls over HTTP/2, tested with `h2`, a client that enforces the protocol."""

import asyncio
import gc
import gzip
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from h2.errors import ErrorCodes
from h2.events import ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from h2_client import LIMIT, Client, Service, framed, looping, raw

from prepackaged.server.protocols.grpc_health import Health
from prepackaged.server.protocols.grpc_reflection import Reflection
from prepackaged.server.transport.exchange import Response
from prepackaged.server.transport.grpc import calls, stream_calls
from prepackaged.server.transport.http2 import credit
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.memory import MemoryBudget

WATCH = "/grpc.health.v1.Health/Watch"
REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


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
    """A client of these methods."""
    return Client(service.port(Limits(LIMIT)))


def test_a_call_is_answered_with_headers_message_and_trailers(
    client: Client, service: Service
) -> None:
    """A response has headers, a message and trailers, and is observed once."""
    stream = client.call(b"hello")

    (begin,) = client.of(ResponseReceived)
    assert dict(begin.headers) == {":status": "200", "content-type": "application/grpc"}
    assert client.data(stream) == framed(b"hello")
    assert client.status(stream) == {"grpc-status": "0"}
    assert client.of(StreamEnded)
    assert not client.of(StreamReset)
    assert service.observed == [(200, 5, "OK")]


@pytest.mark.parametrize("pieces", [1, 7, 100])
def test_frames_may_arrive_in_pieces(client: Client, pieces: int) -> None:
    """Frames may arrive in pieces of any size."""
    first, second = client.begin(), client.begin()
    client.h2.send_data(first, framed(b"first"), end_stream=True)
    client.h2.send_data(second, framed(b"second"), end_stream=True)

    client.exchange(pieces)

    assert client.data(first) == framed(b"first")
    assert client.data(second) == framed(b"second")


def test_an_empty_data_frame_may_end_a_message(client: Client, service: Service) -> None:
    """An empty DATA frame may end the request, as some clients send it."""
    stream = client.begin()
    client.send(stream, framed(b"hello"), ends=False)
    assert service.observed == []

    client.h2.end_stream(stream)
    client.exchange()

    assert client.data(stream) == framed(b"hello")


def test_trailers_may_end_a_message(client: Client) -> None:
    """Trailers may end the request; gRPC ignores them."""
    stream = client.begin()
    client.send(stream, framed(b"hello"), ends=False)

    client.h2.send_headers(stream, [("x-checksum", "1")], end_stream=True)
    client.exchange()

    assert client.data(stream) == framed(b"hello")


def test_a_large_message_passes_in_parts(client: Client) -> None:
    """A large message passes in both directions within the flow-control windows."""
    message = bytes(range(256)) * 700

    stream = client.call(message)
    while not client.of(StreamEnded):
        before = len(client.data(stream))
        client.acknowledge()
        assert len(client.data(stream)) > before or client.of(StreamEnded)

    assert client.data(stream) == framed(message)


def test_a_response_waits_for_the_client_s_window(client: Client) -> None:
    """A response is sent only as far as the client's window allows; `h2` would reject more."""
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
    client.exchange()

    stream = client.call(b"a message that is longer than ten bytes")

    assert len(client.data(stream)) == 10
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 20})
    client.exchange()
    assert len(client.data(stream)) == 20
    client.h2.increment_flow_control_window(1000, stream)
    client.exchange()
    assert client.data(stream) == framed(b"a message that is longer than ten bytes")
    assert client.status(stream) == {"grpc-status": "0"}


def test_a_window_may_become_negative(client: Client) -> None:
    """If a window becomes negative, the server waits until it is positive (RFC 9113, 6.9.2)."""
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
    client.exchange()
    stream = client.call(b"0123456789")

    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 3})
    client.exchange()
    client.h2.increment_flow_control_window(2, stream)
    client.exchange()

    assert len(client.data(stream)) == 10
    client.h2.increment_flow_control_window(100, stream)
    client.exchange()
    assert client.data(stream) == framed(b"0123456789")


def test_headers_may_be_continued(client: Client) -> None:
    """Headers larger than a frame may continue in CONTINUATION frames."""
    stream = client.begin(("x-long", "a" * 40_000))

    client.send(stream, framed(b"hello"))

    assert client.data(stream) == framed(b"hello")


def test_too_much_metadata_fails_only_its_call(client: Client, service: Service) -> None:
    """A call with too much metadata fails with the limit; other calls on the connection go on."""
    client.call(b"waits", path="/wait")

    stream = client.begin(("x-long", "X" * 100_000))  # eight bits per character in Huffman coding
    client.send(stream, framed(b"hello"))

    assert client.status(stream)["grpc-status"] == "8"
    assert "at most 65536 bytes" in client.status(stream)["grpc-message"]
    client.run(lambda: service.exchanges[0].respond(Response(b"answer")))
    client.take()
    assert client.data(1) == framed(b"answer")
    assert client.is_answered()


@pytest.mark.parametrize(
    ("encoding", "squeeze"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_compressed_message_is_read(
    client: Client, encoding: str, squeeze: Callable[[bytes], bytes]
) -> None:
    """A compressed request is decompressed, and the response is not compressed."""
    stream = client.begin(("grpc-encoding", encoding))
    client.send(stream, framed(squeeze(b"hello " * 100), flag=1))

    assert client.data(stream) == framed(b"hello " * 100)


@pytest.mark.parametrize(
    ("encoding", "data", "code", "details", "status"),
    [
        ("gzip", framed(gzip.compress(bytes(LIMIT + 1)), 1), "8", f"at most {LIMIT} bytes", 413),
        ("gzip", framed(gzip.compress(b"hello")[:-3], 1), "3", "incomplete", 400),
        ("gzip", framed(b"hello", 1), "3", "header", 400),
        ("snappy", framed(b"hello", 1), "12", "expected gzip or deflate, got snappy", 501),
        ("identity", framed(b"hello", 1), "13", "expected grpc-encoding for a compressed", 500),
        ("identity", framed(b"hello", 2), "13", "first byte to be 0 or 1, got 2", 500),
        ("identity", framed(b"hello")[:-1], "3", "expected one message, got a part of one", 400),
        ("identity", b"\0\0", "3", "expected one message, got a part of one", 400),
        ("identity", b"", "3", "expected one message, got none", 400),
        ("identity", framed(b"a") + framed(b"b"), "3", "expected one message, got another", 400),
        ("identity", framed(b"a") + b"\0", "3", "expected one message, got another", 400),
    ],
)
def test_an_invalid_message_is_refused(
    client: Client,
    service: Service,
    encoding: str,
    data: bytes,
    code: str,
    details: str,
    status: int,
) -> None:
    """An invalid message is refused with gRPC's code and a reason, and is observed once."""
    stream = client.begin(("grpc-encoding", encoding))
    client.send(stream, data)

    assert client.status(stream)["grpc-status"] == code
    assert details in client.status(stream)["grpc-message"]
    assert [observed[0] for observed in service.observed] == [status]
    assert client.is_answered()


def test_a_second_message_fails_a_unary_call_at_once(client: Client, service: Service) -> None:
    """A second message fails a unary call at once, so that messages cannot pile up."""
    stream = client.begin()

    client.send(stream, framed(b"one"), ends=False)
    client.send(stream, framed(b"two"), ends=False)

    assert client.status(stream)["grpc-status"] == "3"
    (reset,) = client.of(StreamReset)
    assert reset.error_code == ErrorCodes.NO_ERROR
    assert [code for _, _, code in service.observed] == ["INVALID_ARGUMENT"]
    assert client.is_answered()


def test_a_message_that_will_be_too_large_is_refused_before_it_arrives(client: Client) -> None:
    """A message above the limit is refused by its length prefix, before it arrives."""
    stream = client.begin()
    client.send(stream, b"\0" + (LIMIT + 1).to_bytes(4, "big"), ends=False)

    assert client.status(stream)["grpc-status"] == "8"
    (reset,) = client.of(StreamReset)
    assert reset.error_code == ErrorCodes.NO_ERROR
    client.raw(raw(0, 0, stream, b"more") + raw(0, 1, stream, b"the last"))
    assert client.is_answered()


def test_a_response_over_the_limit_is_refused_and_observed_as_413(
    client: Client, service: Service
) -> None:
    """A response above the limit is replaced by an error with the limit, and observed as 413."""
    stream = client.call(b"hello", path="/wait")

    client.run(lambda: service.exchanges[0].respond(Response(bytes(LIMIT + 1))))
    client.take()

    assert client.status(stream)["grpc-status"] == "8"
    assert f"at most {LIMIT} bytes" in client.status(stream)["grpc-message"]
    assert service.observed == [(413, 0, "RESOURCE_EXHAUSTED")]


def test_an_exception_in_a_handler_becomes_an_error_response(
    client: Client, service: Service
) -> None:
    """An exception in a handler becomes an error response of the protocol."""
    stream = client.call(b"hello", path="/fail")

    assert client.status(stream)["grpc-status"] == "13"
    assert client.status(stream)["grpc-message"] == "no luck"
    assert service.observed == [(500, 0, "INTERNAL")]


def test_an_unknown_path_is_unimplemented(client: Client, service: Service) -> None:
    """An unknown path is UNIMPLEMENTED."""
    stream = client.call(b"hello", path="/nobody")

    assert client.status(stream)["grpc-status"] == "12"
    assert client.status(stream)["grpc-message"] == "there is no /nobody"
    assert service.observed == []


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        (":method", "GET", "405"),
        ("content-type", "application/json", "415"),
        ("content-type", "application/grpc-web", "415"),
    ],
)
def test_a_request_that_is_not_grpc_gets_an_http_status(
    client: Client, name: str, value: str, status: str
) -> None:
    """A request that is not gRPC, as from a browser, gets an HTTP status."""
    stream = client.h2.get_next_available_stream_id()
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/echo",
        ":authority": "localhost",
        "content-type": "application/grpc+proto",
    }
    client.h2.send_headers(stream, list({**fields, name: value}.items()), end_stream=True)
    client.exchange()

    assert client.status(stream) == {":status": status}
    assert client.is_answered()


def test_a_reset_cancels_the_call(client: Client, service: Service) -> None:
    """If the client resets its call, the call is cancelled, and a late response is dropped."""
    stream = client.call(b"hello", path="/wait")

    client.h2.reset_stream(stream, ErrorCodes.CANCEL)
    client.exchange()
    client.run(lambda: service.exchanges[0].respond(Response(b"late")))

    assert service.cancelled == service.exchanges
    assert not client.transport.written
    assert service.observed == [(499, 0, "CANCELLED")]
    assert client.is_answered()


def test_a_lost_connection_cancels_its_calls(client: Client, service: Service) -> None:
    """If the connection is lost, all of its calls are cancelled."""
    client.call(b"one", path="/wait")
    client.call(b"two", path="/wait")

    client.transport.close()
    client.run(lambda: client.server.connection_lost(None))

    assert service.cancelled == service.exchanges
    assert service.observed == [(499, 0, "CANCELLED")] * 2


@pytest.mark.parametrize("sends", [True, False])
def test_the_client_s_deadline_ends_a_call(
    client: Client, service: Service, *, sends: bool
) -> None:
    """At the client's deadline the call ends, whether or not its message has arrived."""
    stream = client.begin(("grpc-timeout", "1m"), path="/wait")
    if sends:
        client.send(stream, framed(b"hello"))
    client.exchange()

    async def wait() -> None:
        while not service.observed:
            await asyncio.sleep(0)

    client.loop.run_until_complete(wait())
    client.take()

    assert client.status(stream)["grpc-status"] == "4"
    assert "0.001 s, the deadline of the call" in client.status(stream)["grpc-message"]
    assert service.cancelled == service.exchanges
    assert service.observed == [(504, 0, "DEADLINE_EXCEEDED")]


def test_the_port_s_timeout_ends_a_call(service: Service) -> None:
    """The port's timeout ends a call; it starts when the message is complete."""
    client = Client(service.port(Limits(LIMIT, timeout=0.001)))
    stream = client.call(b"hello", path="/wait")

    async def wait() -> None:
        while not service.observed:
            await asyncio.sleep(0)

    client.loop.run_until_complete(wait())
    client.take()

    assert client.status(stream)["grpc-status"] == "4"
    assert "the configured timeout" in client.status(stream)["grpc-message"]


def test_the_messages_of_a_stream_are_answered_one_by_one(client: Client, service: Service) -> None:
    """Each message of a stream is answered when it arrives; streams are not observed."""
    stream = client.begin(path="/repeat")

    client.send(stream, framed(b"one") + framed(b"two")[:3], ends=False)
    assert client.data(stream) == framed(b"one")
    client.send(stream, framed(b"two")[3:])

    assert client.data(stream) == framed(b"one") + framed(b"two")
    assert client.status(stream) == {"grpc-status": "0"}
    assert service.observed == []


def test_a_stream_may_have_more_messages_than_its_window(client: Client) -> None:
    """The server returns flow-control credit as it consumes the messages of a stream."""
    stream = client.begin(path="/repeat")

    for _ in range(20):
        client.send(stream, framed(bytes(10_000)), ends=False)
        client.acknowledge()
    client.h2.end_stream(stream)
    client.exchange()

    assert len(client.data(stream)) == 20 * 10_005
    assert client.status(stream) == {"grpc-status": "0"}


def test_a_stream_whose_responses_are_not_read_is_reset(client: Client) -> None:
    """A stream is reset if its client does not read the responses, so that memory stays bounded."""
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    client.exchange()
    stream = client.begin(path="/repeat")
    sent = 0
    while not client.of(StreamReset):
        client.send(stream, framed(bytes(40_000)), ends=False)
        sent += 1

    assert 2**22 < sent * 40_005 < 2**22 + 100_000
    assert client.server.core.unsent == 0
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 65_535})
    client.exchange()
    assert client.is_answered()


def health_request(service: str = "") -> bytes:
    """Build a request to the health service."""
    return bytes(health_pb2.HealthCheckRequest(service=service).SerializeToString())


def statuses(data: bytes) -> list[int]:
    """Return the health statuses of a sequence of messages."""
    found = []
    while data:
        end = 5 + int.from_bytes(data[1:5], "big")
        found.append(health_pb2.HealthCheckResponse.FromString(data[5:end]).status)
        data = data[end:]
    return found


def test_a_health_check_is_answered_and_not_observed(service: Service) -> None:
    """Health checks are answered, but not observed as requests to the model."""
    client = Client(service.port_of(Health(["a.Service"]).protocol()))
    check = "/grpc.health.v1.Health/Check"

    known = client.call(health_request("a.Service"), path=check)
    unknown = client.call(health_request("b.Service"), path=check)
    broken = client.call(b"\xff", path=check)

    assert statuses(client.data(known)) == [health_pb2.HealthCheckResponse.SERVING]
    assert client.status(unknown)["grpc-status"] == "5"
    assert client.status(broken)["grpc-status"] == "3"
    assert "expected a HealthCheckRequest" in client.status(broken)["grpc-message"]
    assert service.observed == []


def test_open_health_watches_receive_the_change(service: Service) -> None:
    """Open health watches receive the change of status; closed ones do not."""
    health = Health(["a.Service"])
    client = Client(service.port_of(health.protocol()))
    stays, leaves, unknown = (
        client.begin(path=WATCH),
        client.begin(path=WATCH),
        client.begin(path=WATCH),
    )
    for stream, name in ((stays, ""), (leaves, "a.Service"), (unknown, "b.Service")):
        client.send(stream, framed(health_request(name)))
    client.h2.reset_stream(leaves)
    client.exchange()

    client.run(partial(health.set_status, is_serving=False))
    client.take()

    serving, not_serving, nobody = (
        health_pb2.HealthCheckResponse.SERVING,
        health_pb2.HealthCheckResponse.NOT_SERVING,
        health_pb2.HealthCheckResponse.SERVICE_UNKNOWN,
    )
    assert statuses(client.data(stays)) == [serving, not_serving]
    assert statuses(client.data(leaves)) == [serving]
    assert statuses(client.data(unknown)) == [nobody, nobody]


def test_a_health_watch_accepts_one_message(service: Service) -> None:
    """A health watch takes a single message, or 20,000 messages would start 20,000 watches."""
    client = Client(service.port_of(Health([]).protocol()))
    watch, empty = client.begin(path=WATCH), client.begin(path=WATCH)

    client.send(watch, framed(health_request()) * 2, ends=False)
    client.send(empty, b"")

    assert client.status(watch)["grpc-status"] == "3"
    assert "got another" in client.status(watch)["grpc-message"]
    assert client.status(empty)["grpc-status"] == "3"


def test_reflection_lists_services_and_refuses_invalid_messages(service: Service) -> None:
    """Reflection lists the services, and refuses invalid messages."""
    client = Client(service.port_of(Reflection(["grpc.health.v1.Health"]).protocol()))
    question = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()

    good = client.call(question, path=REFLECT)
    bad = client.call(b"\xff", path=REFLECT)

    answer = reflection_pb2.ServerReflectionResponse.FromString(client.data(good)[5:])
    assert [each.name for each in answer.list_services_response.service] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    ]
    assert client.status(good) == {"grpc-status": "0"}
    assert client.status(bad)["grpc-status"] == "3"


@pytest.mark.parametrize("outcome", ["answered", "failed", "given up", "expired", "unknown"])
def test_a_finished_call_leaves_no_reference_cycles(
    client: Client, service: Service, outcome: str
) -> None:
    """A finished call leaves no reference cycles, whose collection would delay later calls."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        finish(client, service, outcome)
        gc.collect()
        left = [each for each in gc.garbage if type(each).__module__.startswith("prepackaged")]
        assert left == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def finish(client: Client, service: Service, outcome: str) -> None:
    """Make a call that ends with this outcome."""
    stream = client.call(b"hello", path="/nobody" if outcome == "unknown" else "/wait")
    exchanges, service.exchanges = service.exchanges, []
    for exchange in exchanges:
        exchange.on_cancel = None
    if outcome == "answered":
        client.run(lambda: exchanges[0].respond(Response(b"answer")))
    elif outcome == "failed":
        client.run(lambda: exchanges[0].fail(ValueError("no luck")))
    elif outcome == "given up":
        client.h2.reset_stream(stream)
    elif outcome == "expired":
        client.run(lambda: exchanges[0]._expire(1, "a test's limit"))
    client.exchange()


def test_messages_of_a_connection_are_admitted_in_turn(service: Service) -> None:
    """Each message is granted its full window in turn, as far as the connection's budget allows."""
    client = Client(service.port(Limits(2**27)))
    size = 40 * 2**20
    first, second, third = (client.begin(path="/wait") for _ in range(3))
    for stream in (first, second):
        client.send(stream, b"\0" + size.to_bytes(4, "big"), ends=False)
    assert client.h2.local_flow_control_window(first) >= 2**16
    assert window_of(client, first) == size + credit.PADDING
    assert window_of(client, second) == 2**16 - 5
    assert list(map(client.server.core.keeps_waiting, (first, second, third))) == [0, 1, 0]

    client.h2.reset_stream(first)
    client.exchange()

    assert window_of(client, second) == size + credit.PADDING
    assert not client.server.core.keeps_waiting(second)
    assert window_of(client, third) == 2**16


def test_a_large_message_may_be_padded(
    client: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padding may use up credit without end (RFC 9113, 6.9.1), since it takes no memory."""
    monkeypatch.setattr(credit, "MOST_EXTRA", 1000)
    data, size, padding = framed(bytes(150_000)), 1000, 255
    stream = client.begin()
    while data:
        assert window_of(client, stream) > min(size, len(data)) + padding
        client.h2.send_data(stream, data[:size], pad_length=padding)
        client.exchange()
        data = data[size:]
    client.h2.end_stream(stream)
    client.exchange()

    assert service.observed == [(200, 150_000, "OK")]


def window_of(client: Client, stream: int) -> Any:
    """Return how many bytes the server allows a client to send on a stream."""
    return client.h2.streams[stream].outbound_flow_control_window


def test_a_message_that_stays_incomplete_ends_the_call(
    client: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call whose message stays incomplete is refused at the next look; others go on."""
    monkeypatch.setattr(calls, "MESSAGE_SECONDS", 0)
    stuck, late = client.begin(), client.begin()
    client.send(stuck, framed(bytes(100))[:50], ends=False)
    client.send(late, framed(b"hello"), ends=True)

    client.run(client.server._look)
    client.take()

    assert client.status(stuck)["grpc-message"] == "the rest of the message did not arrive"
    assert client.status(late) == {"grpc-status": "0"}


def look(client: Client) -> None:
    """Let the server check its client, as it does every minute, and answer its ping."""
    client.run(client.server._look)
    client.take()
    client.exchange()


@pytest.mark.parametrize("path", ["/repeat", "/unknown"])
def test_a_message_that_stays_incomplete_ends_a_streaming_call(
    service: Service, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A streaming call whose message stays incomplete is refused, and holds no more memory."""
    monkeypatch.setattr(stream_calls, "MESSAGE_SECONDS", 0)
    budget = MemoryBudget(1_000_000)
    client = Client(service.port(Limits(LIMIT, memory=budget)))
    stuck = client.begin(path=path)
    client.send(stuck, framed(bytes(2**16))[:40_000], ends=False)
    assert budget.used == 40_000

    look(client)  # the client has a second for each 500 bytes
    assert budget.used == 40_000
    look(client)

    assert client.status(stuck)["grpc-status"] == "4"
    assert client.status(stuck)["grpc-message"] == "the rest of the message did not arrive"
    assert budget.used == 0
    assert client.is_answered()


def test_the_timeout_of_a_stream_applies_to_each_message(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream stays open while it waits for nothing, and while its messages become complete."""
    monkeypatch.setattr(stream_calls, "MESSAGE_SECONDS", 90)  # more than one look, less than two
    message = framed(b"hello")
    stream, idle = client.begin(path="/repeat"), client.begin(path="/repeat")
    client.send(idle, message, ends=False)
    client.send(stream, message[:7], ends=False)

    for _ in range(3):
        look(client)
        client.send(stream, message[7:] + message[:7], ends=False)
    client.send(stream, message[7:])
    client.send(idle, b"")

    assert client.data(stream) == message * 4
    assert client.status(stream) == client.status(idle) == {"grpc-status": "0"}
