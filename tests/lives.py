"""The life of a pod, from the first open port to its end under load, recorded for tests."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import requests
from containers import Container, running
from load import PREDICT, Client, connect_anew, load
from pods import HOOK, Pod
from rawhttp import get, post
from samples import Sample
from waiting import wait_until

FEW = 5  # answers for each client, after which all of them are busy
# Acts as a kubelet's TCP probe inside the pod, and sends a request on the first connection.
# From outside, a port that the engine publishes may be open before the server's is.
# PrimeHub allows a port to stay closed for 15 minutes.
PROBE = """
import socket, sys, time
connection, until = None, time.monotonic() + 900
while connection is None:
    try:
        connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    except ConnectionRefusedError:
        assert time.monotonic() < until
        time.sleep(0.01)
connection.sendall(sys.argv[2].encode())
print(connection.makefile().readline())
"""


@dataclass(frozen=True)
class Life:
    """The record of a pod: its first answer, the answers to documented requests, and its end.

    `answered` is the number of answers that the clients counted, and `while_hooked` the number of
    those that arrived while the preStop hook ran.
    """

    first: str
    documented: dict[str, requests.Response]
    answered: int
    while_hooked: int
    status: int
    log: str


@dataclass(frozen=True)
class Failure:
    """A pod that ended before it served: its status, and the log line that a platform shows."""

    status: int
    last_line: str


def begun(tag: str, pod: Pod) -> AbstractContextManager[Container]:
    """Run the pod's container until the block ends."""
    how = {"environment": pod.environment, "ports": pod.ports, "command": pod.command}
    return running(tag, *pod.flags, **how)


@contextmanager
def serving(tag: str, pod: Pod) -> Iterator[Container]:
    """Run the pod's container, and enter the block once it answers."""
    with begun(tag, pod) as container:
        probe(container, pod, get("/health/ping"))
        yield container


def live(tag: str, pod: Pod, sample: Sample, clients: tuple[Client, ...] = ()) -> Life:
    """Start a pod, send the documented requests, and stop it while clients keep sending.

    Kubernetes removes a pod from its Service's endpoints when the preStop hook starts, but new
    connections still arrive until the last node knows. After the hook, at SIGTERM, no new ones
    arrive, while requests may continue on open connections.
    """
    with begun(tag, pod) as container, ThreadPoolExecutor(1) as pool:
        first = probe(container, pod, post(json.dumps(sample.ndarray).encode(), PREDICT))
        documented = ask_what_is_documented(container, sample)
        with load(container, sample, clients) as answered:
            wait_until(lambda: all(count >= FEW for count in answered))
            before = sum(answered)
            newcomers = connect_anew(container, sample, pool.submit(container.run, *HOOK))
            while_hooked = sum(answered) - before + newcomers
            container.stop(pod.seconds)
        status, log = container.wait(), container.log()
    return Life(first, documented, sum(answered) + newcomers, while_hooked, status, log)


def probe(container: Container, pod: Pod, request: bytes) -> str:
    """The first line of the answer on the first connection; fails if the pod ends before."""
    try:
        return container.run("python", "-S", "-c", PROBE, str(pod.ports[0]), request.decode())
    except subprocess.CalledProcessError as error:
        raise AssertionError(f"{error.stderr}\n{container.log()}") from error


def ask_what_is_documented(container: Container, sample: Sample) -> dict[str, requests.Response]:
    """Send rows, a tensor and, for models of images, a picture as curl sends it."""
    answers = {"ndarray": container.post(sample.ndarray)}
    if sample.rows:
        answers["tensor"] = container.post(sample.tensor)
    if sample.picture:
        part = {"binData": ("test_image.png", sample.picture, "image/png")}
        address = container.url + "/api/v1.0/predictions"
        answers["picture"] = requests.post(address, files=part, timeout=60)
    return answers


def fail(tag: str, pod: Pod) -> Failure:
    """Run a pod whose model cannot be served, and wait for its end."""
    with begun(tag, pod) as container:
        return Failure(container.wait(), container.log().strip().splitlines()[-1])
