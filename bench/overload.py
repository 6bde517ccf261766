"""More requests than a model can answer, of clients that leave, over REST and gRPC."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from bench.attacks import HOST
from bench.target import Target, ask

OVERLOAD = 5  # times the load that the model can bear,
CALL_SECONDS = 0.02  # as `Slow` takes so long for each request
PATIENCE = (0.5, 2.0, 10.0)  # of clients, in seconds
ONSET_SECONDS = 3.0  # in which the server learns that this is no burst, or how long clients stay
TEXT = b"\x1a\x02hi"  # a SeldonMessage with strData

#: Asks once, for so many seconds at most; what comes of it, as `bench.target.ask` says it.
Ask = Callable[[float], str]


@dataclass(frozen=True)
class Asked:
    """A request: how long after the beginning, how it ended, and how long that took."""

    at: float
    outcome: str
    seconds: float


@contextmanager
def rest(target: Target) -> Iterator[Ask]:
    """Clients that have a connection each."""
    yield lambda patience: ask(target.rest, patience=patience)


@contextmanager
def calls(target: Target) -> Iterator[Ask]:
    """Clients behind one channel, which cancel their calls and do not say so before."""
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
    """So many requests a second, however they are answered, and the longest ping meanwhile."""
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
    """The seconds that 99 of 100 took at most, of those that ended so."""
    times = sorted(each.seconds for each in asked if each.outcome == outcome and each.at >= since)
    return times[len(times) * 99 // 100] if times else 0.0


def share_of_time(ask_once: Ask) -> float:
    """What a model that sleeps for its time answers here, of what it would without this machine."""
    count, start = 20, time.perf_counter()
    for _ in range(count):
        ask_once(1.0)
    return min(count * CALL_SECONDS / (time.perf_counter() - start), 1.0)
