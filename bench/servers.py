"""The servers that are compared: how each is started, asked for a first answer, and ended."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice
from pathlib import Path

from bench.samples import PREDICT, Sample, is_right

ROOT = Path(__file__).parents[1]
HOST = "127.0.0.1"
START_SECONDS = 90
POLL_SECONDS = 0.02
# Below those that Linux gives to the clients' side of connections, of which a load makes many.
PORTS = iter(random.sample(range(10_000, 32_000), 20_000))
ASK_SECONDS = 20


class Serves(Enum):
    """What a program can answer."""

    MODELS = auto()
    ESTIMATORS = auto()
    ONE_ANSWER = auto()


@dataclass(frozen=True)
class Program:
    """One column of the table."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    serves: Serves = Serves.MODELS
    options: tuple[str, ...] = ()  # behind the model's name
    root: Path = ROOT  # whose images' servers it runs


OPTIONS = ("--service-type", "MODEL", "--access-log")


def microservice(name: str, program: str, environment: Mapping[str, str]) -> Program:
    """A server with the command line of the images."""
    return Program(name, (program,), environment, options=OPTIONS)


def programs_of(image: str) -> Path:
    """Where the programs of an image's environment are."""
    return ROOT / f".envs/{image}/bin"


UPSTREAM = "upstream"
TUNED = {
    "GUNICORN_WORKERS": "2",
    "GUNICORN_THREADS": "8",
    "GRPC_WORKERS": "2",
    "GRPC_THREADS": "8",
}
BARE = ("python", str(ROOT / "bench/bare.py"))
ALL = (
    microservice(UPSTREAM, "seldon-core-microservice", {}),
    microservice("upstream tuned", "seldon-core-microservice", TUNED),
    microservice("ours", "prepackaged-microservice", {}),
    Program("bare", BARE, serves=Serves.ONE_ANSWER),
    Program("bare with model", (*BARE, "--model"), serves=Serves.ESTIMATORS),
)


def earlier(checkout: Path) -> Program:
    """The microservice of another checkout of the project, in the same environment.

    Packages that it needs and this one does not have may be on PYTHONPATH.
    """
    package = tomllib.loads((checkout / "common/pyproject.toml").read_text())
    module, _, function = package["project"]["scripts"]["prepackaged-microservice"].partition(":")
    start = f"from {module} import {function}; {function}()"
    path = {"PYTHONPATH": f"{checkout}/common/src:{os.environ.get('PYTHONPATH', '')}"}
    return Program("earlier", ("python", "-c", start), path, options=OPTIONS, root=checkout)


@dataclass(frozen=True)
class Model:
    """What a server serves, and requests whose answers are known."""

    directory: Path
    name: str
    samples: Sequence[Sample]
    parameters: Mapping[str, str] = field(default_factory=dict)
    grpc_message: bytes = b""
    grpc_answer: bytes = b""
    image: str = "sklearn"

    @property
    def is_of_image(self) -> bool:
        """Whether an image's own Model serves it."""
        return self.directory == ROOT / self.image / "server"

    @property
    def is_estimator(self) -> bool:
        """Whether it is a file of scikit-learn's."""
        return self.image == "sklearn" and "model_uri" in self.parameters


@dataclass(frozen=True)
class Server:
    """A running server."""

    program: Program
    port: int
    grpc_port: int
    process: "subprocess.Popen[bytes]"
    log: Path
    started: float = field(default_factory=time.monotonic)

    def known(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """Those that it can answer: a server without a model knows the first answer only."""
        return samples[:1] if self.program.serves is Serves.ONE_ANSWER else samples


class NotStartedError(Exception):
    """A server gave no good answer in time."""


@contextmanager
def running(program: Program, model: Model, scratch: Path) -> Iterator[Server]:
    """The program serving the model on free ports, until the block ends."""
    server = start(program, model, scratch)
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)  # upstream waits forever on SIGTERM
        server.process.wait()


def start(program: Program, model: Model, scratch: Path) -> Server:
    """Start the program's process on the model."""
    ports = dict(zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True))
    log, image_server = scratch / f"{ports['HTTP']}.log", f"{model.image}/server"
    executable, *arguments = program.command
    names = [model.name] if program.serves is Serves.MODELS else []
    with log.open("wb") as output:
        process = subprocess.Popen(
            [programs_of(model.image) / executable, *arguments, *names, *program.options],
            cwd=program.root / image_server if model.is_of_image else model.directory,
            env={**os.environ, **program.environment, **environment(model, ports)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(program, ports["HTTP"], ports["GRPC"], process, log)


def environment(model: Model, ports: Mapping[str, int]) -> dict[str, str]:
    """What a deployment sets, and the answers of the server without a model."""
    typed = [{"name": key, "value": to, "type": "STRING"} for key, to in model.parameters.items()]
    return {
        **{f"PREDICTIVE_UNIT_{kind}_SERVICE_PORT": str(port) for kind, port in ports.items()},
        "PREDICTIVE_UNIT_PARAMETERS": json.dumps(typed),
        "BARE_ANSWER": json.dumps(model.samples[0].answer, separators=(",", ":")) + "\n",
        "BARE_GRPC_ANSWER": model.grpc_answer.hex(),
    }


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on just now, none of them given before."""
    return list(islice(filter(is_free, PORTS), count))


def is_free(port: int) -> bool:
    """Whether the port can be opened."""
    with socket.socket() as opened, suppress(OSError):
        opened.bind((HOST, port))
        return True
    return False


def wait_for_answer(server: Server, sample: Sample) -> float:
    """Seconds from the process's start to its first good answer."""
    while (waited := time.monotonic() - server.started) < START_SECONDS:
        if server.process.poll() is not None:
            break
        if answers_well(server, sample):
            return time.monotonic() - server.started
        time.sleep(POLL_SECONDS)
    tail = server.log.read_text(errors="replace")[-2000:]
    raise NotStartedError(f"{server.program.name}: no good answer in {waited:.0f} s:\n{tail}")


def answers_well(server: Server, sample: Sample) -> bool:
    """Whether a request is answered, and right."""
    try:
        status, body = post(server, sample)
    except (OSError, http.client.HTTPException):
        return False
    return status == http.HTTPStatus.OK and is_right(body, sample.answer)


def post(server: Server, sample: Sample) -> tuple[int, bytes]:
    """One prediction: the status and the body."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=ASK_SECONDS)
    try:
        connection.request("POST", PREDICT, sample.body, {"Content-Type": sample.content_type})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@contextmanager
def apart(server: Server) -> Iterator[None]:
    """Keep this process and what it starts off the server's cores, where there are two or more.

    With one connection, a client on the server's core is answered several times faster than
    one beside it, and the scheduler's choice between them would be all that is measured.
    """
    cores = os.sched_getaffinity(0)
    first, *others = sorted(cores)
    if others:
        os.sched_setaffinity(0, {first})
        pin(server, set(others))
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        pin(server, cores)


def pin(server: Server, cores: set[int]) -> None:
    """Let all threads of the server run on these cores only."""
    for pid in family(server.process.pid):
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            with suppress(OSError):
                os.sched_setaffinity(int(thread.name), cores)


def pss_megabytes(pid: int) -> float:
    """The proportional set size of a process and all its descendants."""
    return sum(pss_kilobytes(each) for each in family(pid)) / 1024


def pss_kilobytes(pid: int) -> int:
    """One process's share of the memory that it uses."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def family(pid: int) -> Iterator[int]:
    """The process and its descendants, whichever of its threads made them."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                yield from family(int(child))
