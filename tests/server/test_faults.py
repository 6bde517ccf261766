import logging
from collections.abc import Iterator
from typing import Any

import pytest
from rawhttp import PREDICT, WAYS, chunked, connected, get, post, text

from prepackaged.testing import Served, serve

MOST = 100_000  # bytes that a body may have


class Mirror:
    """Returns its input and records it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def predict(self, X: Any, names: Any) -> Any:
        self.seen.append(X)
        return X


@pytest.fixture(scope="module")
def model() -> Mirror:
    """The model behind the server."""
    return Mirror()


@pytest.fixture(scope="module")
def running(model: Mirror) -> Iterator[Served]:
    """The server that all tests here share."""
    with serve(model, max_body=MOST) as served:
        yield served


@pytest.fixture
def url(running: Served, caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    """The server's address; afterwards it must answer good requests and have logged no error."""
    yield running.url
    for path in WAYS:
        with connected(running.url) as connection:
            assert connection.ask(post(text("still here"), path)).text == "still here"
    assert [record for record in caplog.records if record.levelno > logging.WARNING] == []


def part(name: str, content: bytes) -> bytes:
    """A multipart/form-data body with one file; its boundary is `b`."""
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n\r\n'
    return head.encode() + content + b"\r\n--b--\r\n"


BROKEN_CHUNK = chunked(text("bad"), b"more").replace(b"\r\n4\r\n", b"\r\nzz\r\n")
NO_HTTP = {
    "noise": b"\x00\xff\xfe noise\r\n\r\n",
    "TLS": bytes.fromhex("160301020001") + bytes(200),
    "HTTP/2 but for a letter": b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n",
    "no version": b"GET /health/ping HTTP/x\r\n\r\n",
    "an unknown method": b"PREDICT / HTTP/1.1\r\n\r\n",
    "CONNECT": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no Host": b"GET /health/ping HTTP/1.1\r\n\r\n",
    "two Hosts": get("/health/ping", "Host: elsewhere"),
    "HTTP/0.9": b"GET /health/ping\r\nHost: localhost\r\n\r\n",
    "HTTP/2.0": b"GET /health/ping HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "bytes that no path has": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a negative length": post(text("hi"), length=-5),
    "a length that is no number": post(text("hi"), length="five"),
    "a length beyond 64 bits": post(text("hi"), length=10**22),
    "two lengths": post(text("hi"), PREDICT, "Content-Length: 3"),
    "a length and chunks": post(text("hi"), PREDICT, "Transfer-Encoding: chunked"),
    "a folded header": post(text("hi"), PREDICT, "X: a\r\n b"),
    "a space before a colon": post(text("hi"), PREDICT, "X : a"),
    "a zero byte in a header": post(text("hi"), PREDICT, "X: a\x00b"),
    "a chunk of no size": BROKEN_CHUNK,
    "a chunk of no size, after a query": BROKEN_CHUNK.replace(b" HTTP", b"?way=query HTTP"),
}


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=NO_HTTP)
def test_bytes_that_are_not_http_get_400_and_close_the_connection(url: str, sent: bytes) -> None:
    """Invalid HTTP gets 400 and a closed connection, so nothing after it is read as a request."""
    with connected(url) as connection:
        answer = connection.ask(sent)
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert connection.is_closed()


@pytest.mark.parametrize("path", WAYS)
def test_requests_before_an_invalid_one_are_answered_first(url: str, path: str) -> None:
    """A good request is answered before the 400 for the invalid bytes after it."""
    with connected(url) as connection:
        connection.send(post(text("good"), path), b"noise\r\n\r\n")
        assert connection.answer().text == "good"
        assert connection.answer().status == 400
        assert connection.is_closed()


@pytest.mark.parametrize("path", WAYS)
def test_a_broken_chunk_spoils_no_request_before_it(url: str, path: str) -> None:
    """A good request is answered before the 400 for a broken chunk in the next request."""
    with connected(url) as connection:
        connection.send(post(text("good"), path), BROKEN_CHUNK)
        assert connection.answer().text == "good"
        assert connection.answer().status == 400
        assert connection.is_closed()


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize("size", [MOST + 1, 10**15])
def test_a_body_declared_too_large_is_413_before_it_is_sent(url: str, path: str, size: int) -> None:
    """A declared length beyond the limit gets 413 at once, with Expect: 100-continue or without."""
    for expect in ([], ["Expect: 100-continue"]):
        with connected(url) as connection:
            answer = connection.ask(post(b"", path, *expect, length=size))
            assert (answer.status, answer.info) == (413, "the body has more than 100000 bytes")
            assert connection.is_closed()  # and nothing follows, such as 100 Continue


@pytest.mark.parametrize("path", WAYS)
def test_a_chunked_body_is_413_once_it_is_too_large(url: str, path: str) -> None:
    """A chunked body gets 413 as soon as its received bytes exceed the limit."""
    with connected(url) as connection:
        connection.send(chunked(*[b" " * 1000] * 50, path=path)[:-5])
        connection.send(*[b"3e8\r\n" + b" " * 1000 + b"\r\n"] * 51)
        answer = connection.answer()
        assert (answer.status, answer.info) == (413, "the body has more than 100000 bytes")
        assert connection.is_closed()


def test_a_client_that_sends_a_large_body_first_reads_its_413(url: str) -> None:
    """A client that reads only after sending everything still receives the 413."""
    with connected(url) as connection:
        answer = connection.ask(post(b" " * 5_000_000))
        assert answer.status == 413


@pytest.mark.parametrize("path", WAYS)
def test_a_body_of_exactly_the_limit_is_accepted(url: str, path: str) -> None:
    """A body of exactly the limit is accepted."""
    value = "x" * (MOST - len(text("")))
    with connected(url) as connection:
        assert connection.ask(post(text(value), path)).text == value


@pytest.mark.parametrize("start", ["GET / HTTP/1.1\r\nX: ", "GET /"])
def test_a_head_without_end_is_431(url: str, start: str) -> None:
    """Endless headers or paths are refused and the connection is closed, so they fill no memory."""
    with connected(url) as connection:
        answer = connection.ask(start.encode() + b"x" * 1_000_000)
        assert answer.status == 431
        assert connection.is_closed()


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("path", WAYS)
def test_a_truncated_request_is_not_predicted(
    url: str, model: Mirror, path: str, content_type: str
) -> None:
    """A body shorter than its Content-Length is never predicted, even if it is valid JSON."""
    for body in (text("cut"), b"json=" + text("cut")):
        with connected(url) as connection:
            connection.send(post(body, path, length=500, content_type=content_type))
            connection.socket.shutdown(1)
            assert connection.is_closed()
    assert "cut" not in model.seen


@pytest.mark.parametrize("path", WAYS)
def test_a_request_that_breaks_off_is_not_predicted(url: str, model: Mirror, path: str) -> None:
    """A chunked body that breaks off is never predicted, even if it is valid JSON so far."""
    with connected(url) as connection:
        connection.send(chunked(text("broken"), path=path)[:-5])
        with connected(url) as other:
            assert other.ask(get("/health/ping")).status == 200  # the first part is read
        assert connection.ask(b"zz\r\n").status == 400
        assert connection.is_closed()
    with connected(url) as connection:
        assert connection.ask(post(text("next"), path)).text == "next"
    assert "broken" not in model.seen


@pytest.mark.parametrize("path", WAYS)
def test_bytes_beyond_the_length_are_another_request(url: str, path: str) -> None:
    """Content-Length cuts the body, and the bytes after it are read as another request."""
    with connected(url) as connection:
        connection.send(post(text("hello"), path, length=5))
        first = connection.answer()
        assert first.status == 400
        assert first.info.startswith("Can't find JSON in data: ")
        assert connection.is_closed() or connection.answer().status == 400


@pytest.mark.parametrize("path", WAYS)
def test_a_request_may_come_byte_by_byte(url: str, path: str) -> None:
    """A request that arrives byte by byte is answered."""
    with connected(url) as connection:
        for byte in post(text("slow"), path):
            connection.send(bytes([byte]))
        assert connection.answer().text == "slow"
        assert connection.ask(post(text("again"), path)).text == "again"


@pytest.mark.parametrize("path", WAYS)
def test_a_body_may_come_in_chunks(url: str, path: str) -> None:
    """Chunked bodies are accepted."""
    body = text("in chunks")
    with connected(url) as connection:
        assert connection.ask(chunked(body[:3], body[3:], path=path)).text == "in chunks"
        assert connection.ask(post(text("again"), path)).text == "again"


@pytest.mark.parametrize("path", WAYS)
def test_a_client_that_expects_100_continue_gets_it_before_the_answer(url: str, path: str) -> None:
    """The server answers Expect: 100-continue with 100, as curl needs for larger bodies."""
    body = text("after 100")
    with connected(url) as connection:
        connection.send(post(b"", path, "Expect: 100-continue", length=len(body)))
        assert connection.answer().status == 100
        assert connection.ask(body).text == "after 100"


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
@pytest.mark.parametrize("path", WAYS)
def test_an_upgrade_to_another_protocol_is_ignored(url: str, path: str, protocol: str) -> None:
    """The server ignores Upgrade: Java's client offers HTTP/2 with every request."""
    offer = [f"Upgrade: {protocol}", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAM"]
    with connected(url) as connection:
        assert connection.ask(post(text("one"), path, *offer)).text == "one"
        request = post(text("two"), path, *offer)
        connection.send(request[:-4])
        connection.send(request[-4:])
        assert connection.answer().text == "two"
        assert connection.ask(get("/health/ping", *offer)).body == b"pong"


@pytest.mark.parametrize("path", WAYS)
def test_http_1_0_is_answered_and_closed(url: str, path: str) -> None:
    """HTTP/1.0 requests are answered, and the connection is closed."""
    with connected(url) as connection:
        assert connection.ask(post(text("old"), path, version="1.0")).text == "old"
        assert connection.is_closed()


def test_head_is_get_without_its_body(url: str) -> None:
    """HEAD gets GET's Content-Length without a body, and the connection stays open."""
    with connected(url) as connection:
        connection.send(get("/health/ping", method="HEAD"), get("/health/ping"))
        head = connection.answer(has_body=False)
        assert (head.status, head.headers["content-length"]) == (200, "4")
        assert connection.answer().body == b"pong"


@pytest.mark.parametrize("path", WAYS)
def test_browsers_of_any_origin_may_ask(url: str, path: str) -> None:
    """Answers and OPTIONS have the CORS headers that browsers require."""
    with connected(url) as connection:
        asked = connection.ask(get(path, "Origin: http://elsewhere", method="OPTIONS"))
        assert asked.status == 200
        assert asked.headers["access-control-allow-origin"] == "*"
        assert "POST" in asked.headers["access-control-allow-methods"]
        answer = connection.ask(post(text("hi"), path, "Origin: http://elsewhere"))
        assert answer.headers["access-control-allow-origin"] == "*"


BAD_MESSAGES = {
    "nothing": (b"", "Can't find JSON in data: "),
    "null": (b"null", "Can't find JSON in data: "),
    "half of it": (b'{"strData": "hi', "Can't find JSON in data: "),
    "lists too deep for JSON": (b"[" * 50_000, "Can't find JSON in data: "),
    "objects too deep for JSON": (b'{"a":' * 15_000, "Can't find JSON in data: "),
    "lists too deep for an array": (
        b'{"data": {"ndarray": ' + b"[" * 200 + b"1" + b"]" * 200 + b"}}",
        "expected at most 64 dimensions, ",
    ),
    "text that is no UTF-8": (b'{"strData": "\xff\xfe"}', "Can't find JSON in data: "),
    "a list": (b"[1, 2]", "Invalid request data type: "),
    "a number": (b"1", "Invalid request data type: "),
    "unknown fields alone": (b'{"inputs": [[1]]}', "Invalid request data type: "),
    "half a surrogate": (b'{"inputs": "\\ud800"}', "Invalid request data type: "),
    "no Base64": (b'{"binData": "%%%"}', "expected binData in Base64; "),
    "Base64 cut off": (b'{"binData": "abc"}', "expected binData in Base64; "),
    "a shape too large": (b'{"data":{"tensor":{"shape":[3],"values":[1]}}}', "expected as many "),
    "a shape too small": (b'{"data":{"tensor":{"shape":[0],"values":[1]}}}', "expected as many "),
    "a negative shape": (
        b'{"data":{"tensor":{"shape":[-1],"values":[1]}}}',
        "expected shape as whole numbers from 0, got [-1]",
    ),
    "a giant shape": (
        b'{"data":{"tensor":{"shape":[4000000000,4000000000],"values":[1]}}}',
        "expected as many values as shape [4000000000, 4000000000] holds, got 1",
    ),
    "a giant shape without places": (
        b'{"data":{"tensor":{"shape":[0,4000000000,4000000000],"values":[]}}}',
        "expected a shape of reasonable size, ",
    ),
    "a shape of halves": (b'{"data":{"tensor":{"shape":[0.5],"values":[1]}}}', "expected shape "),
    "no values": (b'{"data":{"tensor":{"shape":[1]}}}', "expected data.tensor.values as a list"),
    "rows of unequal length": (b'{"data":{"ndarray":[[1],[1,2]]}}', "expected rows of equal len"),
}


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize(("body", "info"), BAD_MESSAGES.values(), ids=BAD_MESSAGES)
def test_a_message_that_cannot_be_read_is_400_with_the_reason(
    url: str, path: str, body: bytes, info: str
) -> None:
    """An invalid message gets 400 with what was expected and received; the connection stays."""
    with connected(url) as connection:
        answer = connection.ask(post(body, path))
        assert answer.status == 400
        assert answer.info.startswith(info)
        assert connection.ask(post(text("next"), path)).text == "next"


@pytest.mark.parametrize("path", WAYS)
def test_unknown_fields_beside_known_ones_are_ignored(url: str, path: str) -> None:
    """Unknown fields beside known ones are ignored."""
    with connected(url) as connection:
        assert connection.ask(post(b'{"strData": "hi", "x": {"y": 1}}', path)).text == "hi"


WRONG_TYPES = {
    "none": ("", text("hi"), "Can't find JSON in data: expected Content-Type"),
    "text": ("text/plain", text("hi"), "Can't find JSON in data: expected Content-Type"),
    "noise": ("\xff;;=", text("hi"), "Can't find JSON in data: expected Content-Type"),
    "a form without json": ("application/x-www-form-urlencoded", b"a=b", "Can't find JSON in da"),
    "a form of noise": ("application/x-www-form-urlencoded", b"json=%ff%00", "Can't find JSON in"),
    "parts without a boundary": ("multipart/form-data", text("hi"), "Invalid request data type"),
    "parts that are none": ("multipart/form-data; boundary=b", text("hi"), "Invalid request data"),
    "a text that is no UTF-8": (
        "multipart/form-data; boundary=b",
        part("strData", b"\xff"),
        "expected the file strData in UTF-8; ",
    ),
}


@pytest.mark.parametrize(("content_type", "body", "info"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_a_wrong_content_type_is_400_with_the_reason(
    url: str, content_type: str, body: bytes, info: str
) -> None:
    """A wrong Content-Type, or a body that does not match it, gets 400 with the reason."""
    with connected(url) as connection:
        answer = connection.ask(post(body, content_type=content_type))
        assert answer.status == 400
        assert answer.info.startswith(info)


def test_an_uploaded_file_becomes_bin_data(url: str, model: Mirror) -> None:
    """A binData file may hold any bytes, also invalid UTF-8."""
    content_type = "multipart/form-data; boundary=b"
    with connected(url) as connection:
        answer = connection.ask(post(part("binData", b"\xff\x00\r\n--"), content_type=content_type))
    assert (answer.status, model.seen[-1]) == (200, b"\xff\x00\r\n--")
