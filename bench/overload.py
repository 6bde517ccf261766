"""Overload a server over REST or gRPC with more requests than the model can answer."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from bench.attacks import HOST
from bench.target import Target, ask

OVERLOAD = 5  # the load as a multiple of the load that the model can handle
CALL_SECONDS = 0.02  # the time that `Slow` takes per request
PATIENCE = (0.5, 2.0, 10.0)  # the seconds that clients wait for a response
ONSET_SECONDS = 3.0  # the longest time until the server detects the overload
TEXT = b"\x1a\x02hi"  # a SeldonMessage with strData

#: Sends a request, waits for this many seconds, and returns an outcome of `bench.target.ask`.
Ask = Callable[[float], str]


@dataclass(frozen=True)
class Asked:
    """A request: its start in seconds since the first one, its outcome, and its duration."""

    at: float
    outcome: str
    seconds: float


@contextmanager
def rest(target: Target) -> Iterator[Ask]:
    """Yield a REST client that opens a connection for each request."""
    yield lambda patience: ask(target.rest, patience=patience)


@contextmanager
def calls(target: Target) -> Iterator[Ask]:
    """Yield a client on one gRPC channel that cancels calls instead of setting a deadline."""
    with grpc.insecure_channel(f"{HOST}:{target.grpc}") as channel:
        call: Any = channel.unary_unary("/seldon.protos.Model/Predict")

        def ask_once(patience: float) -> str:
            calling = call.future(TEXT)
            try:
                calling.result(patience)
            except grpc.FutureTimeoutError:
                calling.cancel()
                return "lost"
            except grpc.RpcError as error:
                return "refused" if error.code() == grpc.StatusCode.UNAVAILABLE else "lost"
            return "answered"

        yield ask_once


CLIENTS = {"REST": rest, "gRPC": calls}


def load(
    target: Target, ask_once: Ask, patience: float, seconds: float
) -> tuple[list[Asked], float]:
    """Send requests at a fixed rate; return their outcomes and the longest ping."""
    start, asked, longest = time.monotonic(), [], 0.0
    clients: list[threading.Thread] = []

    def client() -> None:
        begun = time.monotonic()
        outcome = ask_once(patience)
        asked.append(Asked(begun - start, outcome, time.monotonic() - begun))

    while (elapsed := time.monotonic() - start) < seconds:
        while len(clients) < elapsed * OVERLOAD / CALL_SECONDS:
            clients.append(threading.Thread(target=client, daemon=True))
            clients[-1].start()
        begun = time.monotonic()
        ask(target.rest, "GET", "/health/ping")
        longest = max(longest, time.monotonic() - begun)
        time.sleep(0.01)
    return list(asked), longest


def longest(asked: list[Asked], outcome: str, since: float = 0.0) -> float:
    """The 99th percentile of the seconds of requests with this outcome."""
    times = sorted(each.seconds for each in asked if each.outcome == outcome and each.at >= since)
    return times[len(times) * 99 // 100] if times else 0.0


def share_of_time(ask_once: Ask) -> float:
    """The throughput of a model that sleeps, relative to its ideal, on this machine."""
    count, start = 20, time.perf_counter()
    for _ in range(count):
        ask_once(1.0)
    return min(count * CALL_SECONDS / (time.perf_counter() - start), 1.0)
