"""Start and stop the servers that the benchmark compares, and send requests to them."""

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.programs import ROOT, Program, Serves, programs_of
from bench.samples import Sample, is_right

from prepackaged.testing import free_ports

MODELS = ROOT / "bench/models"
HOST = "127.0.0.1"
START_SECONDS = 90
POLL_SECONDS = 0.02
ASK_SECONDS = 20


@dataclass(frozen=True)
class Model:
    """A model to serve, and requests with known answers.

    `plain` names the class in models/ that users would write to serve it without an image.
    """

    directory: Path
    name: str
    samples: Sequence[Sample]
    parameters: Mapping[str, str] = field(default_factory=dict)
    grpc_message: bytes = b""
    grpc_infer: bytes = b""
    grpc_answer: bytes = b""
    image: str = "sklearn"
    plain: str = ""

    @property
    def is_of_image(self) -> bool:
        """Whether an image's own Model serves it."""
        return self.directory == ROOT / self.image / "server"

    @property
    def is_estimator(self) -> bool:
        """Whether the model is a scikit-learn file that accepts arrays."""
        return self.image == "sklearn" and "model_uri" in self.parameters and not self.plain

    def of(self, program: Program) -> "Model":
        """The model for this program: with its plain class, if the program takes that."""
        if not (self.plain and program.takes_plain):
            return self
        return replace(self, directory=MODELS, name=self.plain)


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
        """The samples that it can answer: without a model, only the first one."""
        return samples[:1] if self.program.serves is Serves.ONE_ANSWER else samples


class NotStartedError(Exception):
    """A server did not give a right answer in time."""


@contextmanager
def running(
    program: Program, model: Model, scratch: Path, under: Sequence[str] = ()
) -> Iterator[Server]:
    """Run the program on the model, on free ports, until the block ends.

    `under` is a command prefix, such as one that sets limits.
    """
    server = start(program, model, scratch, under)
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)  # upstream waits forever on SIGTERM
        server.process.wait()


def start(program: Program, model: Model, scratch: Path, under: Sequence[str] = ()) -> Server:
    """Start a process of the program that serves the model."""
    ports = dict(zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True))
    log = scratch / f"{ports['HTTP']}.log"
    model = model.of(program)
    executable, *arguments = program.command
    names = [model.name] if program.names_model else []
    arguments = [*arguments, *names, *program.options]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*under, programs_of(program.programs or model.image) / executable, *arguments],
            cwd=place(program, model, scratch),
            env={**os.environ, **program.environment, **environment(model, ports)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(program, ports["HTTP"], ports["GRPC"], process, log)


def place(program: Program, model: Model, scratch: Path) -> Path:
    """The working directory of the program: that of the model's class if it names one."""
    if not program.names_model:
        return scratch
    return program.root / model.image / "server" if model.is_of_image else model.directory


def environment(model: Model, ports: Mapping[str, int]) -> dict[str, str]:
    """The environment variables of a deployment, and the answers for the server without a model.

    MLServer's variables are set in addition to Seldon's.
    """
    typed = [{"name": key, "value": to, "type": "STRING"} for key, to in model.parameters.items()]
    return {
        **{f"PREDICTIVE_UNIT_{kind}_SERVICE_PORT": str(port) for kind, port in ports.items()},
        **{f"MLSERVER_{kind}_PORT": str(port) for kind, port in ports.items()},
        "MLSERVER_MODEL_URI": model.parameters.get("model_uri", ""),
        "PREDICTIVE_UNIT_PARAMETERS": json.dumps(typed),
        "BARE_ANSWER": json.dumps(model.samples[0].answer, separators=(",", ":")) + "\n",
        "BARE_GRPC_ANSWER": model.grpc_answer.hex(),
    }


def wait_for_answer(server: Server, sample: Sample, most: float = START_SECONDS) -> float:
    """The seconds from the process's start to its first right answer."""
    while (waited := time.monotonic() - server.started) < most:
        if server.process.poll() is not None:
            break
        if answers_well(server, sample):
            return time.monotonic() - server.started
        time.sleep(POLL_SECONDS)
    tail = server.log.read_text(errors="replace")[-2000:]
    raise NotStartedError(f"{server.program.name}: no good answer in {waited:.0f} s:\n{tail}")


def answers_well(server: Server, sample: Sample) -> bool:
    """Return whether the server answers a request correctly."""
    try:
        status, body = post(server, sample)
    except (OSError, http.client.HTTPException):
        return False
    return status == http.HTTPStatus.OK and is_right(body, sample.answer)


def post(server: Server, sample: Sample) -> tuple[int, bytes]:
    """Send one prediction; return the response's status and body."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=ASK_SECONDS)
    try:
        body = server.program.body(sample)
        connection.request("POST", server.program.path, body, sample.headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@contextmanager
def apart(server: Server) -> Iterator[None]:
    """Keep this process and its children off the server's cores, if there are at least two.

    With one connection, a client on the server's core gets answers several times faster than one on
    another core, so the scheduler's choice would dominate the measurement.
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
    """Restrict all threads of the server to these cores."""
    for pid in family(server.process.pid):
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            with suppress(OSError):
                os.sched_setaffinity(int(thread.name), cores)


def pss_megabytes(pid: int) -> float:
    """The proportional set size of a process and all its descendants, in MB."""
    return sum(pss_kilobytes(each) for each in family(pid)) / 1024


def pss_kilobytes(pid: int) -> int:
    """The proportional set size of one process, in kB."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def family(pid: int) -> Iterator[int]:
    """Yield the process and its descendants, including children of any of its threads."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                yield from family(int(child))
