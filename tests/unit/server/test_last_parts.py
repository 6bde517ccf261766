"""Requests that are not whole when the server shuts down."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from prepackaged.server.transport.http2 import last_parts
from prepackaged.server.transport.http2.core import Http2Core
from prepackaged.server.transport.http2.last_parts import expect_rest

STREAM = 1


def looks_until_given_up(
    monkeypatch: pytest.MonkeyPatch, *received: int | None, core: Any = None
) -> int | None:
    """The number of looks, of which each finds so many bytes; None if the client is waited for."""
    later: list[Callable[[], None]] = []
    loop = SimpleNamespace(
        call_later=lambda _, function, *values: later.append(partial(function, *values))
    )
    monkeypatch.setattr(last_parts, "asyncio", SimpleNamespace(get_running_loop=lambda: loop))
    given_up: list[bool] = []
    found = list(received)

    expect_rest(core or Http2Core(), STREAM, lambda: found.pop(0), lambda: given_up.append(True))
    looks = 1
    while later and found:
        later.pop()()
        looks += 1
    assert not (given_up and later)
    return looks if given_up else None


@pytest.mark.parametrize(
    ("received", "looks"),
    [
        ((50, 50), 2),
        ((0, 0), 2),
        ((0, 1000, 2000, 2001), 4),
        ((0, 999), 2),
        ((70_000, 0), 2),  # a whole message was taken, and the end of the stream does not come
        ((0, 1000, 2000, None), None),
        ((None,), None),
        ((0, 1000), None),
    ],
)
def test_a_client_that_stops_sending_is_disconnected(
    monkeypatch: pytest.MonkeyPatch, received: tuple[int | None, ...], looks: int | None
) -> None:
    """A client has two seconds for each thousand bytes of its request."""
    assert looks_until_given_up(monkeypatch, *received) == looks


def test_a_client_that_may_not_send_is_not_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that the server itself keeps from sending is waited for."""
    waiting: Any = SimpleNamespace(keeps_waiting=lambda stream: stream == STREAM)
    assert looks_until_given_up(monkeypatch, 0, 0, 0, core=waiting) is None
