"""The rest of requests that are not whole when the server shuts down."""

import asyncio
import math
from collections.abc import Callable
from functools import partial

from prepackaged.server.transport.http2.outbound import Outbound

SHUTDOWN_SENDER_SECONDS = 2  # the time for a client to send the next part of a request
LEAST_PART = 1000  # the smallest part in bytes that counts


def expect_rest(
    core: Outbound,
    stream: int,
    received: Callable[[], int | None],
    give_up: Callable[[], object],
    before: float = -math.inf,
) -> None:
    """Call `give_up` if the rest of the request on a stream does not arrive.

    `received` returns the number of its bytes so far, or None once it is complete. A client that
    waits for credit gets its time, too.
    """
    now = received()
    if now is None:
        return
    if now - before < LEAST_PART and not core.keeps_waiting(stream):
        give_up()
        return
    again = partial(expect_rest, core, stream, received, give_up, now)
    asyncio.get_running_loop().call_later(SHUTDOWN_SENDER_SECONDS, again)
