"""Compare HTTP and gRPC layers without an application: `make bench-layers`.

    python -m bench.layers

Each layer runs alone under a load of 32 connections, several times. The output has the medians, and
their ratios to the first layer of the same kind.
"""

import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.layer import GRPC, REST
from bench.load import output, require_tools
from bench.samples import GRPC_PREDICT, PREDICT
from bench.servers import HOST

from prepackaged.testing import free_ports

ROUNDS = 5
CLIENTS = 32
SECONDS = 2
CALLS = 20_000
MESSAGE = b'{"data":{"ndarray":[[5.3,3.5,1.4,0.2]]}}'


def main() -> None:
    """Measure, and print a table for each kind."""
    require_tools()
    with tempfile.TemporaryDirectory() as directory:
        body = Path(directory) / "body"
        body.write_bytes(b"\0" + len(MESSAGE).to_bytes(4, "big") + MESSAGE)
        rest = {name: [rest_rate(name) for _ in range(ROUNDS)] for name in REST}
        grpc = {name: [grpc_rate(name, body) for _ in range(ROUNDS)] for name in GRPC}
    print(*rows("REST", rest), "", *rows("gRPC", grpc), sep="\n")
    subprocess.run([sys.executable, "-m", "bench.counters"], check=True)


def rows(kind: str, rates: dict[str, list[float]]) -> Iterator[str]:
    """The lines of a Markdown table of medians."""
    yield f"| {kind} layer | req/s, {CLIENTS} connections |"
    yield "| --- | ---: |"
    first = statistics.median(next(iter(rates.values())))
    for name, measured in rates.items():
        rate = statistics.median(measured)
        yield f"| {name} | {rate:,.0f} ({rate / first:.2f}x) |"


def rest_rate(name: str) -> float:
    """Requests per second, measured by wrk."""
    with serving(name) as port:
        url = f"http://{HOST}:{port}{PREDICT}"
        return rate_in(r"Requests/sec:\s+([\d.]+)", "wrk", f"-c{CLIENTS}", f"-d{SECONDS}s", url)


def grpc_rate(name: str, body: Path) -> float:
    """Requests per second, measured by h2load."""
    with serving(name) as port:
        url = f"http://{HOST}:{port}{GRPC_PREDICT}"
        headers = ("-Hcontent-type: application/grpc", "-Hte: trailers")
        counts = (f"-c{CLIENTS}", f"-n{CALLS}", "-m1", f"-d{body}")
        return rate_in(r"([\d.]+) req/s", "h2load", *counts, *headers, url)


def rate_in(pattern: str, program: str, *arguments: str) -> float:
    """Run a load generator and return its rate; raise if it reports an error."""
    printed = output(program, *arguments, seconds=60)
    match = re.search(pattern, printed)
    if match is None or re.search(r"Non-2xx|[1-9]\d* (failed|errored)", printed):
        raise ValueError(f"errors in:\n{printed}")
    return float(match[1])


@contextmanager
def serving(name: str) -> Iterator[int]:
    """Serve the layer on a free port until the block ends."""
    (port,) = free_ports(1)
    with subprocess.Popen(command(name, port), stderr=subprocess.DEVNULL) as process:
        while not listens(port):
            time.sleep(0.05)
        try:
            yield port
        finally:
            process.kill()


def listens(port: int) -> bool:
    """Whether a process accepts connections on the port."""
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0


def command(name: str, port: int) -> Sequence[str]:
    """The command that starts the layer."""
    return (sys.executable, str(Path(__file__).with_name("layer.py")), name, str(port))


if __name__ == "__main__":
    main()
