import pytest
from rawhttp import post

from prepackaged.server.transport.http1.header_cache import (
    MAX_HEADS,
    MAX_SIZE,
    Head,
    HeaderCache,
)

BODY = b'{"strData": "hi"}'


def head(*headers: tuple[bytes, bytes], length: int = len(BODY)) -> Head:
    """Build a header block as the parser returns it."""
    return Head("POST", b"/predict", headers, keep_alive=True, length=length)


def test_a_cached_header_block_is_found_for_another_body() -> None:
    """A cached header block is found again for a request with the same headers and another body."""
    heads, known = HeaderCache(), head()

    heads.add(post(BODY), known)

    assert heads.find(post(b'{"strData": "ho"}')) == (known, b'{"strData": "ho"}')


@pytest.mark.parametrize(
    "data",
    [
        post(BODY, "/other"),
        post(BODY, "/predict", "X: 1"),
        post(BODY)[:-1],
        post(BODY) + b"P",
        post(BODY) + post(BODY),
        post(BODY + b" "),
        post(BODY).partition(BODY)[0],
        post(BODY)[:20],
        b"",
    ],
    ids=[
        "another path",
        "one more header",
        "a part",
        "the next one's start",
        "two",
        "another length",
        "a head alone",
        "a part of the head",
        "nothing",
    ],
)
def test_only_complete_messages_with_a_known_header_block_use_the_cache(data: bytes) -> None:
    """The cache only serves a single whole request with a known header block."""
    heads = HeaderCache()
    heads.add(post(BODY), head())

    assert heads.find(data) is None


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (post(BODY), head((b"expect", b"100-continue"))),
        (post(BODY), head((b"transfer-encoding", b"chunked"))),
        (post(BODY), head((b"upgrade", b"h2c"))),
        (post(BODY) + post(BODY), head()),
        (post(BODY)[:-1], head()),
        (post(BODY, "/predict", "X: " + "x" * MAX_SIZE), head()),
        (BODY, head()),
    ],
    ids=["expects", "in chunks", "upgrades", "two", "a part", "a large head", "no head"],
)
def test_header_blocks_with_special_headers_are_not_cached(data: bytes, told: Head) -> None:
    """Only a single whole request is cached, without special headers such as Expect."""
    heads = HeaderCache()

    heads.add(data, told)

    assert heads.find(data) is None


def test_the_number_of_cached_header_blocks_is_limited() -> None:
    """The cache is bounded, so that unique headers, such as request ids, cannot fill the memory."""
    heads = HeaderCache()
    sent = [post(BODY, "/predict", f"Id: {number}") for number in range(MAX_HEADS + 1)]
    for data in sent:
        heads.add(data, head())

    known = [data for data in sent if heads.find(data)]

    assert known == [sent[-1]]
