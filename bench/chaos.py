"""Attack a server, overload it and kill its workers, and see whether others are answered.

    python -m bench.chaos [--quick]

Each line is one attack: the longest that /health/ping took meanwhile, how many good requests
were answered, refused with `Retry-After` or lost, the memory at its peak and afterwards, and a
verdict. It ends with status 1 when one of them failed. It takes some minutes, a quick run
less than two: on a machine that does nothing else.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.attacks import GRPC_FLOODS, GRPC_HOGS, HOST, REST_FLOODS, REST_HOGS, Attack
from bench.servers import MODELS, family, free_ports, pss_megabytes

FULL, QUICK = 8.0, 2.0  # seconds of each attack
MEMORY = 300 * 2**20  # bytes that requests may take
MOST_MEGABYTES = 700  # that the server may take in all
START_SECONDS = 60
ASK_SECONDS = 15
PING_SECONDS = 0.1  # how much longer others may wait for liveness while one connection floods
OVERLOAD = 5  # times the load that the model can bear,
CALL_SECONDS = 0.02  # as `Slow` takes so long for each request
PATIENCE = (0.5, 2.0, 10.0)  # of clients, in seconds
LEAST_GOODPUT = 0.9  # of what the model can answer
BODY = json.dumps({"data": {"ndarray": [[1.0, 2.0]]}}).encode()


@dataclass
class Witness:
    """A good client beside the attackers: what became of its requests."""

    outcomes: Counter[str] = field(default_factory=Counter)
    longest_ping: float = 0.0
    peak: float = 0.0


@dataclass(frozen=True)
class Target:
    """A running server."""

    process: "subprocess.Popen[bytes]"
    rest: int
    grpc: int


def main() -> None:
    """Read the command line, attack, and print a line for each attack."""
    parser = argparse.ArgumentParser(description="Attack a server, and see what comes of it.")
    parser.add_argument("--quick", action="store_true", help="short attacks")
    seconds = QUICK if parser.parse_args().quick else FULL
    print(f"{'attack':28} {'ping':>8} {'good':>6} {'503':>5} {'lost':>5} {'peak':>7} {'after':>7}")
    verdicts = [*attacked(seconds), *overloaded(seconds), killed(seconds)]
    sys.exit(0 if all(verdicts) else 1)


def attacked(seconds: float) -> Iterator[bool]:
    """Floods, of which nobody else may notice anything, and what would fill the memory."""
    with running({"PREPACKAGED_REQUEST_MEMORY_BYTES": str(MEMORY)}) as target:
        usual = observe(target, work, target.rest, seconds)
        yield told("a busy neighbour", target, usual, is_well=True)
        most = usual.longest_ping + PING_SECONDS
        for name, attack in (REST_FLOODS | GRPC_FLOODS).items():
            port = target.grpc if name in GRPC_FLOODS else target.rest
            witness = observe(target, attack, port, seconds)
            yield told(name, target, witness, is_well=witness.longest_ping < most)
        for name, attack in (REST_HOGS | GRPC_HOGS).items():
            port = target.grpc if name in GRPC_HOGS else target.rest
            witness = observe(target, attack, port, seconds)
            yield told(name, target, witness, is_well=witness.peak < MOST_MEGABYTES)


def overloaded(seconds: float) -> Iterator[bool]:
    """More requests than the model can answer, of clients that leave after their patience."""
    for patience in PATIENCE:
        with running({"PREPACKAGED_BATCHING": "false"}) as target:
            witness = Witness()
            capacity = seconds / CALL_SECONDS * share_of_time(target)
            load(target.rest, OVERLOAD / CALL_SECONDS, patience, seconds, witness)
            goodput = witness.outcomes["answered"] / capacity
            name = f"overload, {patience:g} s ({goodput:.0%})"
            yield told(
                name, target, witness, is_well=goodput >= LEAST_GOODPUT, are_lost_expected=True
            )


def killed(seconds: float) -> bool:
    """One of two workers is killed again and again; the other answers."""
    with running({"GUNICORN_WORKERS": "2"}) as target:
        witness = observe(target, worker_killer(target), target.rest, seconds)
        wait_until_answering(target)
        is_well = ask(target.rest) == "answered"
        return told("a worker killed", target, witness, is_well=is_well, are_lost_expected=True)


def worker_killer(target: Target) -> Attack:
    """Kill one worker in the middle of the time."""

    def kill(_: int, seconds: float) -> None:
        time.sleep(seconds / 2)
        workers = [pid for pid in family(target.process.pid) if is_worker(pid)]
        if workers:
            os.kill(workers[0], signal.SIGKILL)
        time.sleep(seconds / 2)

    return kill


def is_worker(pid: int) -> bool:
    """Whether a process is one that serves: those are spawned."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return b"spawn_main" in command


def work(_: int, seconds: float) -> None:
    """Keep a processor busy, as an attacker does, and attack nobody."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def observe(target: Target, attack: Attack, port: int, seconds: float) -> Witness:
    """Ask as a good client does while another process attacks."""
    witness = Witness()
    process = multiprocessing.get_context("fork").Process(target=attack, args=(port, seconds))
    process.start()
    until = time.monotonic() + 4 * seconds + ASK_SECONDS
    while process.is_alive() and time.monotonic() < until:
        look(target, witness)
        time.sleep(0.02)
    process.kill()
    process.join()
    return witness


def look(target: Target, witness: Witness) -> None:
    """One ping, one prediction, and the server's memory."""
    start = time.perf_counter()
    if ask(target.rest, "GET", "/health/ping") != "answered":
        witness.outcomes["lost"] += 1
    witness.longest_ping = max(witness.longest_ping, time.perf_counter() - start)
    witness.outcomes[ask(target.rest)] += 1
    witness.peak = max(witness.peak, pss_megabytes(target.process.pid))


def load(port: int, rate: float, patience: float, seconds: float, witness: Witness) -> None:
    """So many requests a second, however they are answered."""
    start, lock = time.monotonic(), threading.Lock()
    clients: list[threading.Thread] = []

    def client() -> None:
        outcome = ask(port, patience=patience)
        with lock:
            witness.outcomes[outcome] += 1

    while (elapsed := time.monotonic() - start) < seconds:
        while len(clients) < elapsed * rate:
            clients.append(threading.Thread(target=client, daemon=True))
            clients[-1].start()
        begun = time.perf_counter()
        ask(port, "GET", "/health/ping")
        witness.longest_ping = max(witness.longest_ping, time.perf_counter() - begun)
        time.sleep(0.01)


def share_of_time(target: Target) -> float:
    """What a model that sleeps for its time answers here, of what it would without this machine."""
    count, start = 20, time.perf_counter()
    for _ in range(count):
        ask(target.rest)
    return min(count * CALL_SECONDS / (time.perf_counter() - start), 1.0)


def ask(
    port: int, method: str = "POST", path: str = "/predict", patience: float = ASK_SECONDS
) -> str:
    """Send a request: `answered`, `refused` with a time to come back, or `lost`."""
    connection = http.client.HTTPConnection(HOST, port, timeout=patience)
    try:
        body, headers = (
            (BODY, {"Content-Type": "application/json"})
            if method == "POST"
            else (
                None,
                {},
            )
        )
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return "lost"
    finally:
        connection.close()
    if response.status == http.HTTPStatus.OK:
        return "answered"
    is_honest = response.status == http.HTTPStatus.SERVICE_UNAVAILABLE
    return "refused" if is_honest and response.getheader("Retry-After") else "lost"


def told(
    name: str,
    target: Target,
    witness: Witness,
    *,
    is_well: bool,
    are_lost_expected: bool = False,
) -> bool:
    """Print the line of an attack; whether the server has borne it."""
    after = 0.0
    if lives := target.process.poll() is None:
        wait_until_answering(target)
        after = pss_megabytes(target.process.pid)
    outcomes = witness.outcomes
    is_well = is_well and lives and (are_lost_expected or not outcomes["lost"])
    print(
        f"{name:28} {witness.longest_ping * 1000:5.0f} ms {outcomes['answered']:6}"
        f" {outcomes['refused']:5} {outcomes['lost']:5} {witness.peak:4.0f} MB {after:4.0f} MB"
        f"  {'well' if is_well else 'FAILED'}",
        flush=True,
    )
    return is_well


@contextmanager
def running(environment: dict[str, str]) -> Iterator[Target]:
    """The microservice on a model that answers what it is sent, until the block ends."""
    ports = dict(zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True))
    settings = {f"PREDICTIVE_UNIT_{kind}_SERVICE_PORT": str(port) for kind, port in ports.items()}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("prepackaged-microservice"), "Slow"],
            cwd=MODELS,
            env=os.environ | settings | environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        target = Target(process, ports["HTTP"], ports["GRPC"])
        try:
            wait_until_answering(target)
            yield target
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until_answering(target: Target) -> None:
    """Return at the first good answer, or when there is none for too long."""
    wait_until(lambda: ask(target.rest) == "answered" or target.process.poll() is not None)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Return as soon as something is so, or after START_SECONDS."""
    until = time.monotonic() + START_SECONDS
    while not is_so() and time.monotonic() < until:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
