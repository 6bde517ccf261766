"""Attack a server, overload it and kill its workers, and check that other clients are answered.

    python -m bench.chaos [--quick]

The output has a line for each attack: the longest /health/ping, the numbers of good requests that
were answered, refused with `Retry-After` or lost, the peak memory, the memory afterwards, and a
verdict. The exit status is 1 if the server failed under any attack. A full run takes some minutes
and needs an idle machine. A quick run takes about two minutes on any machine; it prints times, but
its verdicts do not depend on them.
"""

import argparse
import math
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from bench.attacks import (
    GRPC_FLOODS,
    GRPC_HOGS,
    REST_FLOODS,
    REST_HOGS,
    SENT_AWAY,
    Attack,
)
from bench.cgroups import limited_memory
from bench.overload import (
    CALL_SECONDS,
    CLIENTS,
    ONSET_SECONDS,
    PATIENCE,
    Ask,
    load,
    longest,
    share_of_time,
)
from bench.servers import family, pss_megabytes
from bench.target import (
    ASK_SECONDS,
    Target,
    ask,
    running,
    wait_until,
    wait_until_answering,
)

FULL, QUICK = 8.0, 1.0  # the seconds of each attack
MEMORY = 300 * 2**20  # the memory limit for requests, in bytes
MOST_MEGABYTES = 700  # the server's memory limit
# The memory that the server may keep after an attack: it is free, but fragmented in the allocators.
# Each kind of attack fragments some memory once; repeating the attack adds nothing.
MOST_KEPT = 250
PING_SECONDS = 0.1  # the most added latency of other clients' pings while one connection floods
SOON_SECONDS = 0.15  # the most for pings and refusals in an overload; clients share the cores
WHOLE_SECONDS = 3  # the time to recover after an overload
SENT_AWAY_STATUS = 3  # the exit status of an attacker whose connection the server has closed
LEAST_GOODPUT = 0.9  # the least share of the model's capacity that an overload must leave


@dataclass
class Witness:
    """The measurements of a good client during an attack: outcomes, longest ping, peak memory."""

    outcomes: Counter[str] = field(default_factory=Counter)
    longest_ping: float = 0.0
    peak: float = 0.0
    is_attacker_away: bool = False


def main() -> None:
    """Read the command line, attack, and print a line for each attack."""
    parser = argparse.ArgumentParser(description="Attack a server, and see what comes of it.")
    parser.add_argument("--quick", action="store_true", help="short attacks")
    is_quick = parser.parse_args().quick
    seconds = QUICK if is_quick else FULL
    print(f"{'attack':28} {'ping':>8} {'good':>6} {'503':>5} {'lost':>5} {'peak':>7} {'after':>7}")
    verdicts = [
        *attacked(seconds, judges_time=not is_quick),
        *overloaded(2 * seconds, judges_time=not is_quick),
        killed(seconds),
    ]
    sys.exit(0 if all(verdicts) else 1)


def attacked(seconds: float, *, judges_time: bool) -> Iterator[bool]:
    """Run the floods, which must not slow other clients, and the attacks on memory."""
    with (
        limited_memory(MOST_MEGABYTES * 2**20) as under,
        running({"PREPACKAGED_REQUEST_MEMORY_BYTES": str(MEMORY)}, "Pixels", under) as target,
    ):
        usual = observe(target, work, target.rest, seconds)
        yield verdict_of("a busy neighbour", target, usual, is_well=True)
        most = usual.longest_ping + PING_SECONDS if judges_time else math.inf
        for name, attack in (REST_FLOODS | GRPC_FLOODS).items():
            port = target.grpc if name in GRPC_FLOODS else target.rest
            witness = observe(target, attack, port, seconds)
            is_away = witness.is_attacker_away or name not in SENT_AWAY
            yield verdict_of(name, target, witness, is_well=is_away and witness.longest_ping < most)
        for name, attack in (REST_HOGS | GRPC_HOGS).items():
            port = target.grpc if name in GRPC_HOGS else target.rest
            witness = observe(target, attack, port, seconds)
            yield verdict_of(name, target, witness, is_well=witness.peak < MOST_MEGABYTES)


def overloaded(seconds: float, *, judges_time: bool) -> Iterator[bool]:
    """Send more requests than the model can answer, from clients that leave after PATIENCE."""
    for kind, patience in product(CLIENTS, PATIENCE):
        with running({"PREPACKAGED_BATCHING": "false"}) as target, CLIENTS[kind](target) as client:
            capacity = seconds / CALL_SECONDS * share_of_time(client)
            asked, ping = load(target, client, patience, seconds)
            witness = Witness(Counter(each.outcome for each in asked), ping)
            goodput = witness.outcomes["answered"] / capacity
            refused = longest(asked, "refused", ONSET_SECONDS)
            time.sleep(WHOLE_SECONDS)
            again = timed(client)
            is_well = goodput > LEAST_GOODPUT and max(refused, ping) < SOON_SECONDS > again
            yield verdict_of(
                f"{kind} overload, {patience:g} s ({goodput:.0%})",
                target,
                witness,
                is_well=is_well or not judges_time,
                are_lost_expected=True,
                note=f"answered in {longest(asked, 'answered'):.2f} s, refused in"
                f" {refused * 1000:.0f} ms, afterwards in {again * 1000:.0f} ms",
            )


def timed(ask_once: Ask) -> float:
    """The seconds that a request takes; infinity if it is not answered."""
    start = time.perf_counter()
    is_answered = ask_once(ASK_SECONDS) == "answered"
    return time.perf_counter() - start if is_answered else math.inf


def killed(seconds: float) -> bool:
    """Kill one of two workers during requests; the other one must answer."""
    with running({"GUNICORN_WORKERS": "2"}) as target:
        witness = observe(target, worker_killer(target), target.rest, seconds)
        wait_until_answering(target)
        is_well = ask(target.rest) == "answered"
        return verdict_of(
            "a worker killed", target, witness, is_well=is_well, are_lost_expected=True
        )


def worker_killer(target: Target) -> Attack:
    """An attack that kills one worker after half of its time."""

    def kill(_: int, seconds: float) -> bool:
        time.sleep(seconds / 2)
        workers = [pid for pid in family(target.process.pid) if is_worker(pid)]
        if workers:
            os.kill(workers[0], signal.SIGKILL)
        time.sleep(seconds / 2)
        return False

    return kill


def is_worker(pid: int) -> bool:
    """Return whether the process is a worker, which multiprocessing has spawned."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return b"spawn_main" in command


def work(_: int, seconds: float) -> bool:
    """Keep a processor busy as an attacker does, without an attack."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    return False


def observe(target: Target, attack: Attack, port: int, seconds: float) -> Witness:
    """Send requests as a good client while another process attacks."""
    witness = Witness()
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=attacker, args=(attack, port, seconds))
    process.start()
    until = time.monotonic() + 4 * seconds + ASK_SECONDS
    while process.is_alive() and time.monotonic() < until:
        look(target, witness)
        time.sleep(0.02)
    process.kill()
    process.join()
    witness.is_attacker_away = process.exitcode == SENT_AWAY_STATUS
    return witness


def attacker(attack: Attack, port: int, seconds: float) -> None:
    """Attack, and exit with SENT_AWAY_STATUS if the server closed the connection."""
    os._exit(SENT_AWAY_STATUS if attack(port, seconds) else 0)


def look(target: Target, witness: Witness) -> None:
    """Send one ping and one prediction, and measure the server's memory."""
    start = time.perf_counter()
    if ask(target.rest, "GET", "/health/ping") != "answered":
        witness.outcomes["lost"] += 1
    witness.longest_ping = max(witness.longest_ping, time.perf_counter() - start)
    witness.outcomes[ask(target.rest)] += 1
    witness.peak = max(witness.peak, pss_megabytes(target.process.pid))


def verdict_of(
    name: str,
    target: Target,
    witness: Witness,
    *,
    is_well: bool,
    are_lost_expected: bool = False,
    note: str = "",
) -> bool:
    """Print the line of an attack, and return whether the server passed."""
    after = 0.0
    if lives := target.process.poll() is None:
        wait_until_answering(target)
        after = memory_after(target)
    outcomes = witness.outcomes
    is_well = is_well and lives and (are_lost_expected or not outcomes["lost"])
    is_well = is_well and after < target.megabytes + MOST_KEPT
    print(
        f"{name:28} {witness.longest_ping * 1000:5.0f} ms {outcomes['answered']:6}"
        f" {outcomes['refused']:5} {outcomes['lost']:5} {witness.peak:4.0f} MB {after:4.0f} MB"
        f"  {'well' if is_well else 'FAILED'}  {note}",
        flush=True,
    )
    return is_well


def memory_after(target: Target) -> float:
    """The server's memory after it has returned free memory to the system."""
    most = target.megabytes + MOST_KEPT
    wait_until(lambda: pss_megabytes(target.process.pid) < most)
    return pss_megabytes(target.process.pid)


if __name__ == "__main__":
    main()
