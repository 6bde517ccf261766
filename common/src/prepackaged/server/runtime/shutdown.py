"""Signals that stop a process or reload the model, and the deadlines of a shutdown.

All times are counted from the signal. By default, Kubernetes kills a pod after 30 s; Seldon's
operator sets 20 s, of which a preStop hook sleeps 10 s.
"""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

logger = logging.getLogger(__name__)

# SIGHUP reloads the model, except on a terminal, which sends it when it is closed.
STOPPING = (signal.SIGTERM, signal.SIGINT, *((signal.SIGHUP,) if os.isatty(0) else ()))
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
GRACE_SECONDS = 7  # the time to answer accepted requests


@dataclass(frozen=True)
class ShutdownTimes:
    """Deadlines in seconds from the signal, derived from the setting `grace`."""

    grace: float = GRACE_SECONDS
    flush: float = 0.5  # after `grace`, to send the last responses
    export: float = 1.0  # after `flush`, to export the remaining spans

    @property
    def process(self) -> float:
        """The time until the process exits, whatever the model does."""
        return self.grace + self.flush + self.export + 0.5

    @property
    def workers(self) -> float:
        """The time until workers that have not exited are killed."""
        return self.process + 0.5


def end_at_once_on_signals() -> None:
    """Exit at once on signals, because there are no requests before the server runs."""

    def end(*_: object) -> NoReturn:
        os._exit(0)

    for number in STOPPING:
        signal.signal(number, end)


class ReloadSignal:
    """Call a function on an event loop for each SIGHUP, and once for all SIGHUPs before `begin`.

    Create it on the main thread. If a terminal is attached, SIGHUP stops the server instead.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._then: Callable[[], object] | None = None
        self._has_come = False
        if signal.SIGHUP not in STOPPING:
            signal.signal(signal.SIGHUP, self._handle)

    def begin(self, then: Callable[[], object]) -> None:
        """Call `then` from now on."""
        self._then = then
        if self._has_come:
            self._handle()

    def _handle(self, *_: object) -> None:
        self._has_come = True
        if self._then:
            self._loop.call_soon_threadsafe(self._then)


class ShutdownSignals:
    """Call `on_signal` on an event loop for SIGTERM or SIGINT, `at_once` for a second one.

    Create it on the main thread, where Python handles signals while it runs Python code. The byte
    that the interpreter writes for each signal reaches the loop even while the main thread runs a
    model's C code. `on_main` is called on the main thread, in case the loop hangs. Forked children
    of the model inherit none of this.
    """

    def __init__(
        self,
        loop: Any,
        on_signal: Callable[[], object],
        *,
        on_main: Callable[[], object] = lambda: None,
        at_once: Callable[[], object] = lambda: None,
    ) -> None:
        self._loop = loop
        self._on_signal = on_signal
        self._on_main = on_main
        self._at_once = at_once
        self._bytes = self._handled = 0
        self._reader, self._writer = socket.socketpair()
        for each in (self._reader, self._writer):
            each.setblocking(False)  # noqa: FBT003  its only parameter
        loop.call_soon_threadsafe(loop.add_reader, self._reader.fileno(), self._read)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in STOPPING:
            signal.signal(number, self._handle)
        keep_from_children()

    def _read(self) -> None:
        """Count the stop signals that the interpreter reports; the model may use other signals."""
        self._bytes += sum(number in STOPPING for number in self._reader.recv(4096))
        self._react()

    def _handle(self, *_: object) -> None:
        """Count a signal on the main thread, in case a model's event loop took the wakeup fd."""
        self._handled += 1
        if self._handled == 1:  # a second signal may interrupt this handler
            self._on_main()
        self._loop.call_soon_threadsafe(self._react)

    def _react(self) -> None:
        if max(self._bytes, self._handled) > 1:
            self._at_once()
            os._exit(1)
        if self._bytes or self._handled:
            self._on_signal()


def keep_from_children() -> None:
    """Restore the default signal handlers in forked children of the model.

    Signals are blocked during a fork: before a child has reset its handlers, a signal to it would
    be written into the pipe that it shares with its parent, and would stop the server.
    """
    masks: list[set[signal.Signals]] = []

    def block() -> None:
        masks.append({*map(signal.Signals, signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS))})

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop())

    def reset() -> None:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=reset)


class Watchdog:
    """Exit the process some seconds after `start`, whatever still runs.

    `status` is the exit status: 1 until all accepted requests have their responses.
    """

    def __init__(self, seconds: float, why: Callable[[], str]) -> None:
        self._seconds = seconds
        self._why = why
        self._has_begun = threading.Event()
        self.status = 1
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def start(self) -> None:
        """Start the countdown; may be called repeatedly, from any thread or a signal handler."""
        self._has_begun.set()

    def _watch(self) -> None:
        self._has_begun.wait()
        time.sleep(self._seconds)
        if self.status:
            logger.critical("%s", self._why())
        end_now(self.status)


def end_now(status: int) -> NoReturn:
    """Exit the process without waiting for threads."""
    logging.shutdown()
    os._exit(status)
