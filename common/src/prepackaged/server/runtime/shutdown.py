"""How a process learns that it is to end."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def end_at_once_on_signals() -> None:
    """While nothing is served there is nothing to lose."""

    def end(*_: object) -> NoReturn:
        os._exit(0)

    for number in SIGNALS:
        signal.signal(number, end)


def over_on_signals(at_once: Callable[[], None] = lambda: None) -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets; the second of them ends the process `at_once`.

    For the main thread's event loop: its signals wake it whichever thread gets them.
    """
    is_over, signalled = asyncio.Event(), asyncio.Event()  # the former may be set by others too

    def end() -> None:
        if signalled.is_set():
            at_once()
            os._exit(1)
        signalled.set()
        is_over.set()

    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, end)
    return is_over
