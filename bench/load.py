"""Run load generators and clients, and parse their output."""

import asyncio
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import grpc
from bench.samples import (
    GRPC_INFER,
    GRPC_PREDICT,
    PREDICT,
    Sample,
    grpc_answer,
    is_right,
    is_right_protobuf,
)
from bench.servers import ASK_SECONDS, HOST, Model, Server, apart, post

PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client"}
SCRIPT = Path(__file__).with_name("wrk.lua")
MOST_REQUESTS = 100_000
PING_SECONDS = 0.01
TOTAL_SECONDS = 60  # the time limit, for servers that stop responding
FRAME_HEAD = 5  # the bytes before a message in gRPC's framing

Figures = dict[str, float]


def require_tools() -> None:
    """Exit with the name of the package if a load generator is missing."""
    if missing := [package for tool, package in PACKAGES.items() if not shutil.which(tool)]:
        sys.exit(f"bench: install {' '.join(missing)} (Debian: apt-get install them) and try again")


def rest(
    server: Server,
    samples: Sequence[Sample],
    clients: int,
    seconds: int,
    *,
    is_varied: bool = False,
) -> Figures:
    """Send load with wrk; its script compares every response with those verified before.

    With `is_varied`, each request has its own id and trace in the headers.
    """
    samples = server.known(samples)
    with tempfile.TemporaryDirectory() as directory:
        if wrong := write_samples(server, samples, Path(directory)):
            return {"errors": wrong}
        options = ("-t1", f"-c{clients}", f"-d{seconds}s", f"--timeout={ASK_SECONDS}s")
        url = f"http://{HOST}:{server.port}{server.program.path}"
        more = ("varied",) if is_varied else ()
        headers = [":".join(each) for each in samples[0].headers.items()]
        script = ("-s", str(SCRIPT), url, "--", directory, ",".join(headers), *more)
        with apart(server) if clients == 1 else nullcontext():
            return read_wrk(output("wrk", *options, *script, seconds=seconds + ASK_SECONDS))


def write_samples(server: Server, samples: Sequence[Sample], directory: Path) -> int:
    """Write the requests and the server's responses; return the number of wrong responses."""
    wrong = 0
    for index, sample in enumerate(samples, start=1):
        status, body = post(server, sample)
        wrong += status != HTTPStatus.OK or not is_right(body, sample.answer)
        (directory / f"request-{index}").write_bytes(server.program.body(sample))
        (directory / f"answer-{index}").write_bytes(body)
    return wrong


def read_wrk(printed: str) -> Figures:
    """Parse wrk's output, whose last line our script prints."""
    wrk = json.loads(printed.strip().splitlines()[-1])
    return {
        "req/s": (wrk["answers"] - wrk["wrong"]) / wrk["seconds"],
        "p50 ms": wrk["p50"] / 1000,
        "p99 ms": wrk["p99"] / 1000,
        "errors": wrk["wrong"] + wrk["failed"],
    }


def over_grpc(
    server: Server, model: Model, clients: int, seconds: int, *, path: str = GRPC_PREDICT
) -> Figures:
    """Send load with h2load; all responses must have the size of a verified one."""
    call = Call(path, model.grpc_infer if path == GRPC_INFER else model.grpc_message)
    answer = one_grpc_answer(server, model, call)
    if answer is None:
        return {"errors": 1}
    rate = h2load(server, call, answer, clients, 4 * clients)["req/s"]
    requests = min(MOST_REQUESTS, max(4 * clients, round(rate * seconds)))
    figures = h2load(server, call, answer, clients, requests)
    figures["errors"] += one_grpc_answer(server, model, call) is None
    return figures


class Call(NamedTuple):
    """A call over gRPC: path and message."""

    path: str
    message: bytes


def one_grpc_answer(server: Server, model: Model, call: Call) -> bytes | None:
    """The server's response; None if it is wrong or an error."""
    try:
        answer = grpc_answer(f"{HOST}:{server.grpc_port}", *call)
    except grpc.RpcError:
        return None
    return answer if is_right_protobuf(call.path, answer, model.samples[0].answer) else None


def h2load(server: Server, call: Call, answer: bytes, clients: int, requests: int) -> Figures:
    """Send `requests` identical requests, one at a time on each connection."""
    with tempfile.TemporaryDirectory() as directory:
        frame, log = Path(directory) / "frame", Path(directory) / "log"
        message = call.message
        frame.write_bytes(b"\0" + len(message).to_bytes(FRAME_HEAD - 1, "big") + message)
        headers = ("-Hcontent-type: application/grpc", "-Hte: trailers")
        counts = (f"-c{clients}", f"-n{requests}", "-m1", f"-N{ASK_SECONDS}")
        url = f"http://{HOST}:{server.grpc_port}{call.path}"
        files = (f"-d{frame}", f"--log-file={log}")
        printed = output("h2load", *counts, *files, *headers, url, seconds=TOTAL_SECONDS)
        return read_h2load(printed, log.read_text(), FRAME_HEAD + len(answer))


def read_h2load(printed: str, log: str, answer_size: int) -> Figures:
    """Parse h2load's output and log.

    A failed call has HTTP status 200 and no data, so only data of the right size count as answers.
    If the data are not a whole number of answers, that is one more error.
    """
    seconds = in_seconds(found(r"finished in (\S+),", printed))
    requested = int(found(r"requests: (\d+) total", printed))
    succeeded = int(found(r"(\d+) succeeded", printed))
    received = int(found(r"\((\d+)\) data", printed))
    answered = min(succeeded, received // answer_size)
    is_odd = received != answered * answer_size
    calls = (line.split() for line in log.splitlines())
    took = sorted(int(microseconds) / 1000 for _, status, microseconds in calls if status == "200")
    latencies = {f"p{each} ms": percentile(took, each) for each in (50, 99) if took}
    return {"req/s": answered / seconds, **latencies, "errors": requested - answered + is_odd}


def found(pattern: str, text: str) -> str:
    """The pattern's first group in the text. Raises ValueError if there is no match."""
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"no {pattern!r} in:\n{text}")
    return match[1]


def in_seconds(duration: str) -> float:
    """Convert a duration that h2load prints, such as 507.60ms or 2.01s."""
    number, unit = found(r"([\d.]+)", duration), found(r"([a-z]+)", duration)
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[unit]


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile of sorted values."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def output(program: str, *arguments: str, seconds: float) -> str:
    """Run a load generator with a time limit and return its output."""
    command = [shutil.which(program) or program, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=seconds, check=True)
    return done.stdout


def with_pings(server: Server, samples: Sequence[Sample], clients: int) -> Figures:
    """Send each request once, with this many clients, while another client pings the server."""
    return asyncio.run(asyncio.wait_for(exchange_all(server, samples, clients), TOTAL_SECONDS))


async def exchange_all(server: Server, samples: Sequence[Sample], clients: int) -> Figures:
    """Run the clients until no request is left, and a further client that pings meanwhile."""
    begun, left, is_done = time.monotonic(), iter(samples), asyncio.Event()
    pinging = asyncio.create_task(ping_until(is_done, server))
    wrong = sum(await asyncio.gather(*(client(server, left) for _ in range(clients))))
    total = time.monotonic() - begun
    is_done.set()
    return read_times(total, wrong, await pinging)


def read_times(total: float, wrong: int, pings: Sequence[float]) -> Figures:
    """The figures of a load. Pings are in milliseconds, and infinite if they failed.

    With errors, only their number is returned, since a server that refuses requests is fast.
    """
    if errors := wrong + pings.count(math.inf):
        return {"errors": errors}
    median = percentile(sorted(pings), 50)
    return {"total s": total, "ping p50 ms": median, "ping max ms": max(pings), "errors": 0}


async def client(server: Server, left: Iterator[Sample]) -> int:
    """Send the remaining requests one at a time; return the number of wrong responses."""
    wrong = 0
    for sample in left:
        kind = f"Content-Type: {sample.content_type}\r\n"
        status, body = await ask(server, "POST", PREDICT, kind, sample.body)
        wrong += status != HTTPStatus.OK or not is_right(body, sample.answer)
    return wrong


async def ping_until(is_done: asyncio.Event, server: Server) -> list[float]:
    """Ping the server until `is_done` is set; return the milliseconds of each ping."""
    milliseconds = []
    while not is_done.is_set():
        begun = time.monotonic()
        is_well = await ask(server, "GET", "/health/ping") == (HTTPStatus.OK, b"pong")
        milliseconds.append((time.monotonic() - begun) * 1000 if is_well else math.inf)
        await asyncio.sleep(PING_SECONDS)
    return milliseconds


async def ask(
    server: Server, method: str, path: str, headers: str = "", body: bytes = b""
) -> tuple[int, bytes]:
    """Send one request on a new connection; return the status (0 for no response) and the body."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{headers}"
    try:
        reader, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answered = await reader.read()
        writer.close()
    except OSError:
        return 0, b""
    first, _, content = answered.partition(b"\r\n\r\n")
    return int(first.split()[1] if first else 0), content
