import asyncio
import gzip
import socket
import weakref
import zlib
from collections.abc import Callable

import pytest

from prepackaged.server.transport import unread
from prepackaged.server.transport.compression import STEP, TooLargeError, inflated
from prepackaged.server.transport.exchange import Exchange, Response, TransportError
from prepackaged.server.transport.http1.body import TINY, Body
from prepackaged.server.transport.http1.framing import Fields
from prepackaged.server.transport.http1.head_size import (
    ALWAYS_FITS,
    FIELD_BYTES,
    LEAST_FIELD,
    PartialHead,
    memory_of,
)
from prepackaged.server.transport.http1.header_cache import HeaderCache
from prepackaged.server.transport.http1.incoming import Incoming
from prepackaged.server.transport.http1.reader import RequestReader
from prepackaged.server.transport.http2.memory import (
    FREE_STREAMS,
    STREAM_BYTES,
    STREAMS,
    StreamMemory,
)
from prepackaged.server.transport.memory import LARGE, MemoryBudget
from prepackaged.server.transport.routing import Target
from prepackaged.server.transport.unread import Unread, kept_by_kernel


def status_of(function: Callable[[], object]) -> int:
    """Return the status of the error that a function raises."""
    with pytest.raises(TransportError) as caught:
        function()
    return caught.value.status


def test_released_memory_can_be_used_again() -> None:
    """Released memory can be used again, exactly up to the limit."""
    budget = MemoryBudget(1000)
    budget.take(600)
    assert status_of(lambda: budget.take(401)) == 503
    budget.take(400)
    budget.give_back(600)
    budget.take(600)
    assert budget.used == 1000


def test_a_request_that_never_fits_is_413_and_one_that_does_not_fit_now_is_503() -> None:
    """A request that can never fit is 413; one that does not fit at the moment is 503."""
    budget = MemoryBudget(1000)
    assert status_of(lambda: budget.take(1001)) == 413
    budget.take(1000)
    assert status_of(lambda: budget.take(1000)) == 503
    assert status_of(lambda: budget.take(1, held=1000)) == 413


def test_large_requests_leave_a_part_to_small_ones() -> None:
    """Large requests cannot use the whole budget, so small ones are still admitted."""
    budget = MemoryBudget(4 * LARGE)
    budget.take(LARGE, held=LARGE)
    budget.take(LARGE, held=LARGE)
    budget.take(LARGE, held=LARGE)
    assert status_of(lambda: budget.take(LARGE, held=LARGE)) == 503
    budget.take(LARGE)


def test_incomplete_requests_leave_memory_for_complete_ones() -> None:
    """Streams and incomplete headers can never use the whole budget, so requests still fit."""
    budget = MemoryBudget(1000)
    budget.take(750, is_request=False)
    assert status_of(lambda: budget.take(1, is_request=False)) == 503
    budget.take(250)


def test_an_incomplete_header_block_is_counted_by_its_fields() -> None:
    """An incomplete header block is counted by its fields, which use far more than their bytes."""
    budget = MemoryBudget(400_000)
    head = PartialHead(budget)
    head.grow(0, 10)
    assert budget.used == 0
    head.grow(4000, 1000)
    assert budget.used == 4000 + 1000 * FIELD_BYTES
    head.grow(0, 1000)
    assert budget.used == 4000 + 1000 * FIELD_BYTES
    assert status_of(lambda: PartialHead(budget).grow(2000, 1000)) == 503
    assert status_of(lambda: head.grow(1, 2000)) == 431
    head.clear()
    assert budget.used == 0


def test_a_short_header_block_always_fits() -> None:
    """A short header block always fits, whatever its fields, so it is not counted."""
    fields = [(b"a", b"")] * (ALWAYS_FITS // LEAST_FIELD)
    assert memory_of(b"/", fields) > 0
    with pytest.raises(TransportError, match="request line and headers of at most 65536 bytes"):
        memory_of(b"/", [(b"a", b"")] * 2000)


def test_streams_use_memory_until_they_end() -> None:
    """The first streams of a connection are free; large headers are counted separately."""
    budget = MemoryBudget(3 * STREAMS * STREAM_BYTES)
    streams = StreamMemory(budget)
    assert all(streams.admits(number, number, 100) for number in range(FREE_STREAMS))
    assert (budget.used, streams.is_used) == (0, False)
    assert streams.admits(5, FREE_STREAMS, 60_000)
    assert (budget.used, streams.room) == (60_000 + STREAMS * STREAM_BYTES, FREE_STREAMS + STREAMS)
    assert not streams.admits(7, streams.room, 60_000)  # of which nothing stays counted
    assert not streams.admits_block()
    streams.release(5, FREE_STREAMS + 1)
    assert (budget.used, streams.is_used) == (STREAMS * STREAM_BYTES, True)
    streams.release(7, FREE_STREAMS)
    assert (budget.used, streams.is_used, streams.room) == (0, False, FREE_STREAMS)


def test_a_closed_connection_holds_no_memory() -> None:
    """When a connection closes, all of its memory is released."""
    budget = MemoryBudget(10**6)
    streams = StreamMemory(budget)
    assert streams.admits(1, 0, 5000)
    assert streams.admits(3, FREE_STREAMS, 5000)
    assert streams.admits_block()
    streams.close()
    assert budget.used == 0


def test_a_peak_ends_when_less_than_half_of_it_is_used() -> None:
    """The end of a peak is reported once, when less than half of it is still used."""
    budget = MemoryBudget()
    budget.take(1000)
    assert not budget.peak_passed(100)
    budget.give_back(600)
    assert not budget.peak_passed(1000)
    assert budget.peak_passed(100)
    assert not budget.peak_passed(100)


@pytest.mark.parametrize("sizes", [[3], [1] * 500, [5000, 1, 1, 5000, 2], [TINY, TINY + 1, 0]])
def test_a_body_is_its_parts_in_their_order(sizes: list[int]) -> None:
    """A body is the concatenation of its parts, whatever their sizes."""
    parts = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    body = Body()
    for part in parts:
        body.add(part)
    assert body.size == sum(sizes)
    assert body.take() == b"".join(parts)
    assert (body.size, body.take()) == (0, b"")


def test_tiny_parts_of_a_body_are_merged() -> None:
    """Tiny parts are merged, so 100,000 single bytes take little more memory than that."""
    body = Body()
    for _ in range(100_000):
        body.add(b"x")
    assert len(body._parts) == 2


@pytest.mark.parametrize("size", [0, 1, STEP, 3 * STEP + 1])
def test_a_compressed_body_is_inflated_step_by_step(size: int) -> None:
    """Decompression reserves the memory of each step before it."""
    held: list[int] = []
    data = bytes(size)
    assert inflated(gzip.compress(data), b"gzip", size, held.append) == data
    assert inflated(zlib.compress(data), b"deflate", size) == data
    assert sum(held) == 2 * size
    assert max(held) <= 2 * STEP


def test_nothing_is_inflated_beyond_the_limit_or_the_memory() -> None:
    """Decompression stops at the size limit or the memory budget (zip bomb)."""
    bomb = zlib.compress(bytes(4 * STEP))
    with pytest.raises(TooLargeError):
        inflated(bomb, b"deflate", 4 * STEP - 1)
    budget = MemoryBudget(STEP)
    assert status_of(lambda: inflated(bomb, b"deflate", 4 * STEP, budget.take)) == 413


@pytest.mark.parametrize(
    "data", [b"other", gzip.compress(b"hello")[:-9], gzip.compress(b"a") + b"b"]
)
def test_truncated_data_is_an_error(data: bytes) -> None:
    """Truncated data or data after a gzip member is an error."""
    with pytest.raises(zlib.error):
        inflated(data, b"gzip", 100)


def test_unread_responses_count_as_memory_and_slow_readers_stay_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unread responses count as memory; only a client that reads nothing is disconnected."""
    monkeypatch.setattr(unread, "READER_SECONDS", 0)
    budget, sizes, given_up = MemoryBudget(), [100, 60, 60], []

    async def scenario() -> list[int]:
        used = []

        def look() -> tuple[int, int]:
            size = sizes.pop(0)
            used.append(budget.used)
            return size, size

        responses = Unread(budget, look, lambda: given_up.append(True))
        responses.update()
        while not given_up:
            await asyncio.sleep(0)
        used.append(budget.used)
        responses.close()
        return [*used, budget.used]

    sizes.insert(1, 60)
    assert asyncio.run(scenario()) == [0, 100, 100, 60, 60, 0]


def test_the_kernel_reports_what_a_client_has_not_read() -> None:
    """A client that reads makes what the kernel keeps for it less."""

    async def scenario() -> tuple[int, int, int]:
        loop = asyncio.get_running_loop()
        listener, client = socket.create_server(("127.0.0.1", 0)), socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=accepted)
        transport.write(bytes(1_000_000))
        before = kept_by_kernel(transport)
        while client.recv(2**20):
            await asyncio.sleep(0)
            if not (transport.get_write_buffer_size() or kept_by_kernel(transport)):
                break
        after = kept_by_kernel(transport)
        transport.abort()
        client.close()
        listener.close()
        await asyncio.sleep(0)
        return before, after, kept_by_kernel(transport)

    before, *none = asyncio.run(scenario())
    assert before > 0
    assert none == [0, 0]


def test_a_finished_request_is_not_kept() -> None:
    """A connection does not keep a finished request with its body."""

    def begin(method: str, target: bytes, fields: Fields) -> Incoming:
        exchange = Exchange(
            method,
            target.decode(),
            fields,
            carrier=None,  # type: ignore[arg-type]
            failure=lambda *_: Response(b""),
            observe=lambda *_: None,
        )
        return Incoming(exchange, Target(target.decode(), b"", {}, lambda *_: Response(b"")))

    reader = RequestReader(begin, None, HeaderCache())
    (incoming,) = reader.receive(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    assert incoming.exchange.body == b"hi"
    kept = weakref.ref(incoming.exchange)
    del incoming
    assert kept() is None
