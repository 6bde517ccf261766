"""Rules of HTTP/1.1 that a server must check (RFC 9112 for syntax, RFC 9110 for fields).

A request that breaks a rule gets the prescribed status and ends its connection: a proxy that
parses it differently must not have its next request read as a part of this one. Where the RFCs
leave the choice to the server, it does what the stricter of nginx and Envoy does.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from rawhttp import PREDICT, connected, get, post, text

from prepackaged import request_headers
from prepackaged.testing import serve

BODY = text("hi")
SIZE = b"%x\r\n" % len(BODY)
END = b"\r\n0\r\n\r\n"
CHUNKS = SIZE + BODY + END
REST = b"%x\r\n" % (len(BODY) - 16) + BODY[16:] + END
PING = b"GET /health/ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
Rule = tuple[str, bytes, int]


class Mirror:
    """Returns its input, with the request's headers as a tag."""

    def predict(self, X: Any, names: Any) -> Any:
        return X

    def tags(self) -> dict[str, Any]:
        return {"headers": dict(request_headers())}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server that all tests here share."""
    with serve(Mirror()) as served:
        yield served.url


def line(first: bytes) -> bytes:
    """A request with this request line."""
    return first + b"\r\nHost: localhost\r\n\r\n"


def field(field: bytes) -> bytes:
    """A ping with one more field."""
    return PING[:-2] + field + b"\r\n\r\n"


def host(field: bytes) -> bytes:
    """A ping with this in place of its Host field."""
    return b"GET /health/ping HTTP/1.1\r\n" + field + b"\r\n\r\n"


def length(*values: str) -> bytes:
    """A prediction with these Content-Length values."""
    fields = "".join(f"Content-Length:{value}\r\n" for value in values)
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return (head + fields + "\r\n").encode() + BODY


def chunks(body: bytes, *fields: str, coding: str = "chunked", version: str = "1.1") -> bytes:
    """A prediction with this chunked body, sent unchanged."""
    head = [f"POST {PREDICT} HTTP/{version}", "Host: localhost", "Content-Type: application/json"]
    lines = (*head, f"Transfer-Encoding: {coding}", *fields, "", "")
    return "\r\n".join(lines).encode("latin-1") + body


REFUSED: list[Rule] = [
    # The request line, 3
    ("3 one space, and no tab", line(b"GET\t/health/ping\tHTTP/1.1"), 400),
    ("3 no space before the method", line(b" GET /health/ping HTTP/1.1"), 400),
    ("3 no space behind the version", line(b"GET /health/ping HTTP/1.1 "), 400),
    ("3.1 a method is a token", line(b"GE(T /health/ping HTTP/1.1"), 400),
    ("3.1 methods are case-sensitive", line(b"get /health/ping HTTP/1.1"), 400),
    ("3.1 and known", line(b"FOO /health/ping HTTP/1.1"), 400),
    ("3.2 no space in the target", line(b"GET /health /ping HTTP/1.1"), 400),
    ("3.2 no control characters there", line(b"GET /health/\x01ping HTTP/1.1"), 400),
    ("3.2 nor NUL", line(b"GET /health/\0ping HTTP/1.1"), 400),
    ("3.2 nor what is no ASCII", line(b"GET /\xff HTTP/1.1"), 400),
    ("3.2.1 a path begins with a slash", line(b"GET health HTTP/1.1"), 400),
    (
        "RFC 9110, 4.2.1 a target's host is not empty",
        line(b"GET http:///health/ping HTTP/1.1"),
        400,
    ),
    ("RFC 9110, 4.2.1 nor is it missing", line(b"GET http:// HTTP/1.1"), 400),
    ("RFC 9110, 4.2.1 nor is it a port alone", line(b"GET http://:80/health/ping HTTP/1.1"), 400),
    ("RFC 9110, 4.2.4 no user", line(b"GET http://user@localhost/health/ping HTTP/1.1"), 400),
    ("RFC 3986, 3.2.2 no markup", line(b"GET http://<b>/health/ping HTTP/1.1"), 400),
    ("3.2.3 an authority is CONNECT's", line(b"GET localhost:80 HTTP/1.1"), 400),
    ("3.2.3 and no tunnel is there", line(b"CONNECT localhost:80 HTTP/1.1"), 400),
    ("2.3 the version is HTTP's", line(b"GET /health/ping XTTP/1.1"), 400),
    ("2.3 in upper case", line(b"GET /health/ping http/1.1"), 400),
    ("2.3 of two digits", line(b"GET /health/ping HTTP/11"), 400),
    ("2.3 and no more", line(b"GET /health/ping HTTP/1.10"), 400),
    ("2.3 no HTTP/0.9", b"GET /health/ping\r\n\r\n", 400),
    ("2.3 whatever it says", line(b"GET /health/ping HTTP/0.9"), 400),
    ("2.3 no HTTP/1.2", line(b"GET /health/ping HTTP/1.2"), 400),
    ("2.3 no HTTP/2.0", line(b"GET /health/ping HTTP/2.0"), 400),
    # Lines, 2.2
    ("2.2 no bare CR for a line's end", b"GET /health/ping HTTP/1.1\rHost: x\r\n\r\n", 400),
    ("2.2 no bare LF", PING.replace(b"\r\n", b"\n"), 400),
    ("2.2 no bare LF behind the first line", PING.replace(b"\r\n", b"\n", 1), 400),
    ("2.2 no space before the first field", PING.replace(b"Host", b" Host"), 400),
    ("2.2 no CR in a value", field(b"X: a\rb"), 400),
    ("2.2 no CR more at a line's end", field(b"X: a\r"), 400),
    # Fields, 5
    ("5.1 no space before the colon", field(b"X : a"), 400),
    ("5.1 nor for Content-Length", post(BODY).replace(b"Length:", b"Length :"), 400),
    ("5.1 nor for Transfer-Encoding", chunks(CHUNKS).replace(b"Encoding:", b"Encoding :"), 400),
    ("5.2 no folded lines", field(b"X: a\r\n b"), 400),
    ("5.2 nor with a tab", field(b"X: a\r\n\tb"), 400),
    ("5 a name and a colon", field(b"X"), 400),
    ("RFC 9110, 5.1 a name is a token", field(b"X(y): a"), 400),
    ("RFC 9110, 5.1 it is not empty", field(b": a"), 400),
    ("RFC 9110, 5.1 no NUL", field(b"X\0: a"), 400),
    ("RFC 9110, 5.1 ASCII alone", field(b"X\xff: a"), 400),
    ("RFC 9110, 5.5 no NUL in a value", field(b"X: a\0b"), 400),
    ("RFC 9110, 5.5 no control characters", field(b"X: a\x01b"), 400),
    ("RFC 9110, 5.5 nor DEL", field(b"X: a\x7fb"), 400),
    ("RFC 9110, 5.4 not too many", field(b"a:\r\n" * 3000 + b"b: c"), 431),
    # Host, 3.2
    ("3.2 a Host", host(b"X: y"), 400),
    ("3.2 one", field(b"Host: localhost"), 400),
    ("3.2 not two of HTTP/1.0 either", field(b"Host: x").replace(b"1.1", b"1.0"), 400),
    ("3.2 no space", host(b"Host: a b"), 400),
    ("3.2 no path", host(b"Host: a/b"), 400),
    ("3.2 no list", host(b"Host: a, b"), 400),
    ("RFC 9110, 4.2.4 no user", host(b"Host: user@localhost"), 400),
    ("3.2 a port is a number", host(b"Host: localhost:http"), 400),
    ("3.2 no markup", host(b"Host: <b>"), 400),
    ("3.2 ASCII alone", host(b"Host: \xff"), 400),
    ("3.2 no longer than a name is", host(b"Host: " + b"a" * 500), 400),
    # Content-Length, 6.2 and RFC 9110, 8.6
    ("6.3 one length", length("16", "17"), 400),
    ("6.3 also where it is the same", length(f"{len(BODY)}", f"{len(BODY)}"), 400),
    ("6.3 no list", length(f"{len(BODY)}, {len(BODY)}"), 400),
    ("6.3 not empty", length(" "), 400),
    ("RFC 9110, 8.6 no sign", length(f"+{len(BODY)}"), 400),
    ("RFC 9110, 8.6 not below 0", length("-1"), 400),
    ("RFC 9110, 8.6 decimal", length("0x10"), 400),
    ("RFC 9110, 8.6 whole", length(f"{len(BODY)}.0"), 400),
    ("RFC 9110, 8.6 no spaces within", length("1 6"), 400),
    ("RFC 9110, 8.6 digits alone", length("1_6"), 400),
    ("RFC 9110, 8.6 no overflow", length(f"{2**64 + len(BODY)}"), 400),
    # Transfer-Encoding, 6.1
    ("6.3 chunks and no length", chunks(CHUNKS, "Content-Length: 3"), 400),
    ("6.3 nor before", chunks(CHUNKS, coding="chunked\r\nContent-Length: 3"), 400),
    ("6.3 chunked is the last", chunks(CHUNKS, coding="chunked, gzip"), 400),
    ("6.3 there is one at all", chunks(CHUNKS, coding="gzip"), 400),
    ("6.1 not twice", chunks(CHUNKS, coding="chunked, chunked"), 400),
    ("6.1 nor in two fields", chunks(CHUNKS, "Transfer-Encoding: chunked"), 400),
    ("6.1 nor an identity", chunks(CHUNKS, "Transfer-Encoding: identity"), 400),
    ("6.1 identity is none", chunks(CHUNKS, coding="identity"), 400),
    ("6.1 nor xchunked", chunks(CHUNKS, coding="xchunked"), 400),
    ("6.1 nor with a vertical tab", chunks(CHUNKS, coding="\x0bchunked"), 400),
    ("6.1 nor in quotes", chunks(CHUNKS, coding='"chunked"'), 400),
    ("6.1 nor nothing", chunks(CHUNKS, coding=""), 400),
    ("7 chunked has no parameters", chunks(CHUNKS, coding="chunked;q=1"), 400),
    ("6.1 others are not known", chunks(CHUNKS, coding="gzip, chunked"), 501),
    # Chunks, 7.1
    ("7.1 a size", chunks(b"\r\n" + BODY + END), 400),
    ("7.1 hexadecimal", chunks(b"zz\r\n" + BODY + END), 400),
    ("7.1 without 0x", chunks(b"0x10\r\n" + BODY + END), 400),
    ("7.1 without a sign", chunks(b"+" + CHUNKS), 400),
    ("7.1 not below 0", chunks(b"-" + CHUNKS), 400),
    ("7.1 no space before", chunks(b" " + CHUNKS), 400),
    ("7.1 no space behind", chunks(SIZE[:-2] + b" \r\n" + BODY + END), 400),
    ("7.1 no overflow", chunks(b"ffffffffffffffff1\r\n" + BODY + END), 400),
    ("7.1 no bare LF", chunks(SIZE[:-2] + b"\n" + BODY + b"\n0\n\n"), 400),
    ("7.1 a line's end behind the data", chunks(SIZE + BODY + b"0\r\n\r\n"), 400),
    ("7.1 and no more data", chunks(SIZE + BODY + b"x" + END), 400),
    ("7.1.1 no bare LF in an extension", chunks(SIZE[:-2] + b";a\n" + BODY + END), 400),
    ("7.1.1 no NUL there", chunks(SIZE[:-2] + b";a=\0\r\n" + BODY + END), 400),
    ("7.1.1 not too long", chunks(SIZE[:-2] + b";" + b"a" * 100_000 + b"\r\n" + BODY + END), 400),
    ("7.1.2 trailers are fields", chunks(SIZE + BODY + b"\r\n0\r\nx y: 1\r\n\r\n"), 400),
    ("7.1.2 not too many", chunks(SIZE + BODY + b"\r\n0\r\n" + b"x: y\r\n" * 5000 + b"\r\n"), 431),
    (
        "RFC 9110, 6.5.1 no framing in trailers",
        chunks(SIZE + BODY + b"\r\n0\r\nContent-Length: 5\r\n\r\n"),
        400,
    ),
    (
        "RFC 9110, 6.5.1 of either kind",
        chunks(SIZE + BODY + b"\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        400,
    ),
]
# Allowed: the request is answered, and the connection stays open.
ALLOWED: list[tuple[str, bytes]] = [
    ("2.2 an empty line before", b"\r\n" + PING),
    ("3 several spaces, as 3 leaves it and nginx has it", line(b"GET  /health/ping  HTTP/1.1")),
    ("3.2.2 the server's name in the target", line(b"GET http://localhost/health/ping HTTP/1.1")),
    ("3.2.2 which counts more than Host", line(b"GET HTTP://other:80/health/ping HTTP/1.1")),
    ("3.2.2 or a gateway's", line(b"GET https://[::1]:443/health/ping?a=http:// HTTP/1.1")),
    ("3.2 an empty Host", host(b"Host:")),
    ("3.2 an address", host(b"Host: [::1]:9000")),
    ("3.2 a name with a port", host(b"Host: my_service.ns.svc:9000")),
    ("5 no space behind the colon", field(b"X:a")),
    ("5.1 spaces around a value", field(b"X: \t a \t")),
    ("RFC 9110, 5.5 other bytes in a value", field(b"X: \xe9")),
    ("RFC 9110, 8.6 zeros before a length", length(f" 000{len(BODY)}")),
    ("6.1 codings in any case", chunks(CHUNKS, coding="Chunked")),
    ("RFC 9110, 5.6.1 empty elements", chunks(CHUNKS, coding=", chunked")),
    (
        "7.1 several chunks",
        chunks(b"1\r\n" + BODY[:1] + b"\r\n%x\r\n" % (len(BODY) - 1) + BODY[1:] + END),
    ),
    ("7.1 zeros before a size", chunks(b"000" + CHUNKS)),
    ("7.1.1 an extension", chunks(SIZE[:-2] + b';a="b;c"\r\n' + BODY + END)),
    ("7.1.2 a trailer", chunks(SIZE + BODY + b"\r\n0\r\nX-Sum: 1\r\n\r\n")),
    ("RFC 9110, 7.8 an offer that is ignored", field(b"Upgrade: websocket\r\nConnection: upgrade")),
    ("RFC 9110, 9.3.1 a body that GET does not need", field(b"Content-Length: 2") + b"hi"),
    ("RFC 9110, 10.1.1 an expectation of nobody's", post(BODY, PREDICT, "Expect: wonders")),
]


@pytest.mark.parametrize(
    ("sent", "status"), [pytest.param(*rest, id=name) for name, *rest in REFUSED]
)
def test_a_request_that_breaks_a_rule_is_refused_and_closes_its_connection(
    url: str, sent: bytes, status: int
) -> None:
    """An invalid request gets its status, and its connection closes before the next request."""
    with connected(url) as connection:
        connection.send(sent, PING)
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert connection.is_closed()


@pytest.mark.parametrize("sent", [pytest.param(sent, id=name) for name, sent in ALLOWED])
def test_an_allowed_request_is_answered_and_so_is_the_next(url: str, sent: bytes) -> None:
    """Unusual but valid requests are answered, and so is the next request."""
    with connected(url) as connection:
        connection.send(sent, PING)
        answer = connection.answer()
        assert answer.status == 200
        assert answer.body == b"pong" or answer.text == "hi"
        assert connection.answer().body == b"pong"


@pytest.mark.parametrize("more", ["", "Connection: keep-alive", "Connection: close"])
def test_http_1_0_needs_no_host_and_is_answered_once(url: str, more: str) -> None:
    """HTTP/1.0 needs no Host, and its connection is always closed (RFC 9112, 9.3 and C.2.2)."""
    with connected(url) as connection:
        answer = connection.ask(f"GET /health/ping HTTP/1.0\r\n{more}\r\n\r\n".lstrip().encode())
        assert (answer.body, answer.headers["connection"]) == (b"pong", "close")
        assert connection.is_closed()


def test_chunks_of_http_1_0_are_the_last_on_their_connection(url: str) -> None:
    """A chunked HTTP/1.0 request ends its connection: proxies may misread it (RFC 9112, 6.1)."""
    with connected(url) as connection:
        connection.send(chunks(CHUNKS, version="1.0"), PING)
        assert connection.answer().text == "hi"
        assert connection.is_closed()


def test_a_client_of_http_1_0_gets_no_100_continue(url: str) -> None:
    """An HTTP/1.0 client gets no 100, which it would take for the response (RFC 9110, 10.1.1)."""
    with connected(url) as connection:
        request = post(b"", PREDICT, "Expect: 100-continue", length=len(BODY), version="1.0")
        connection.send(request)
        assert get_ping(url)  # so the server has read what was sent
        assert connection.ask(BODY).text == "hi"


def get_ping(url: str) -> bool:
    """Return whether the server answers /health/ping."""
    with connected(url) as connection:
        return connection.ask(get("/health/ping")).status == 200


@pytest.mark.parametrize("name", ["X-User", "Host", "Content-Type", "Authorization"])
def test_trailers_are_no_headers(url: str, name: str) -> None:
    """Trailers never become headers, because proxies check only headers (RFC 9110, 6.5.1)."""
    sent = chunks(SIZE + BODY + f"\r\n0\r\n{name}: forged\r\n\r\n".encode(), "X-User: me")
    with connected(url) as connection:
        answer = connection.ask(sent)
        assert answer.text == "hi"
        assert b"forged" not in answer.body
        assert b'"x-user": "me"' in answer.body.replace(b'":"', b'": "')


def test_bytes_after_an_invalid_request_are_ignored(url: str) -> None:
    """Requests before an invalid one are answered, those after it are not."""
    with connected(url) as connection:
        connection.send(PING, field(b"X : a")[:-3], field(b"X : a")[-3:], PING, PING)
        assert [connection.answer().status for _ in range(2)] == [200, 400]
        assert connection.is_closed()
