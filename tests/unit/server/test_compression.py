"""Decompression of bodies, compared with Python's gzip module."""

import gzip
import zlib

import pytest
from growth import MOST, growth
from hypothesis import given
from hypothesis import strategies as st

from prepackaged.server.transport.compression import (
    LEAST_FED,
    MOST_FED,
    MOST_MEMBERS,
    TooLargeError,
    inflated,
)

EMPTY = gzip.compress(b"")
LIMIT = 2**24
SIZES = st.sampled_from([0, 1, LEAST_FED, MOST_FED - 1, MOST_FED * 3, 2**20 + 1])


@given(st.lists(st.tuples(SIZES, st.integers(0, 9), st.booleans()), min_size=1, max_size=5))
def test_several_gzip_members_are_one_body(members: list[tuple[int, int, bool]]) -> None:
    """A gzip body is what its members contain, however large and compressible they are."""
    bodies = [bytes(size) if is_same else noise(size) for size, _, is_same in members]
    levels = [level for _, level, _ in members]
    source = b"".join(map(gzip.compress, bodies, levels))

    assert inflated(source, b"gzip", LIMIT) == gzip.decompress(source)


def noise(size: int) -> bytes:
    """Bytes that do not compress."""
    return bytes((number * number * 7 + number // 251) % 256 for number in range(size))


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_a_truncated_body_is_refused(cut: int) -> None:
    """A missing end is an error, also if a whole member comes before it."""
    source = EMPTY + gzip.compress(noise(MOST_FED * 2))
    with pytest.raises(zlib.error, match="it is incomplete"):
        inflated(source[:-cut], b"gzip", LIMIT)


def test_a_body_that_is_too_large_is_refused_before_it_is_inflated() -> None:
    """The memory held is at most one step beyond the limit."""
    held: list[int] = []
    with pytest.raises(TooLargeError):
        inflated(gzip.compress(bytes(2**26)), b"gzip", 2**22, held.append)
    assert sum(held) <= 2 * 2**22


def test_the_number_of_members_is_limited() -> None:
    """Each member costs time however little it contains."""
    assert inflated(EMPTY * MOST_MEMBERS, b"gzip", LIMIT) == b""
    with pytest.raises(zlib.error, match="more than 16384 members"):
        inflated(EMPTY * (MOST_MEMBERS + 1), b"gzip", LIMIT)


def test_many_members_cost_in_proportion_to_their_number() -> None:
    """No member is copied with all that follow it."""
    assert growth(lambda source: inflated(source, b"gzip", LIMIT), EMPTY.__mul__, 2000) < MOST
