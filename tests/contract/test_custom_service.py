"""A model's custom_service runs in a process beside the server, and ends with it."""

import os
import signal
from pathlib import Path

import pytest
import requests
from serving import (
    OURS,
    PROGRAMS,
    ROOT,
    UPSTREAM,
    end,
    free_ports,
    serve,
    start,
    wait_until_answering,
)
from waiting import SECONDS, wait_until

MODELS = Path(__file__).parent / "models"
PUBLISHED = ROOT / ".envs/upstream/bin" / UPSTREAM


def address(told: Path) -> str:
    """Wait until one service listens, and return its address."""
    wait_until(lambda: told.exists() and told.read_text().endswith("\n"))
    (port,) = told.read_text().split()
    return f"http://localhost:{port}"


@pytest.mark.parametrize("program", [PUBLISHED, PROGRAMS / OURS], ids=["theirs", "ours"])
def test_a_custom_service_is_a_process_with_the_model_before_load(
    tmp_path: Path, program: Path
) -> None:
    """The service's process has a model that is constructed but not loaded, under both servers."""
    with serve(MODELS, "Aside", program, told=str(tmp_path / "told")) as server:
        knows = requests.get(address(tmp_path / "told"), timeout=SECONDS).json()
        ((pid,),) = server.post({"data": {"ndarray": [[1]]}}).json()["data"]["ndarray"]

    assert knows == {"pid": knows["pid"], "is_loaded": False}
    assert knows["pid"] != pid


def test_of_several_workers_one_runs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With several workers, only one service runs."""
    monkeypatch.setenv("GUNICORN_WORKERS", "2")
    told = tmp_path / "told"
    with serve(MODELS, "Aside", PROGRAMS / OURS, told=str(told)) as server:
        wait_until(lambda: server.log().count(" serves on ") == 2)
        requests.get(address(told), timeout=SECONDS)
        assert server.log().count("runs custom_service") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_custom_service_ends_with_the_server(tmp_path: Path, number: int) -> None:
    """The service ends with the server, even if the server is killed."""
    ports = dict(zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True))
    parameters = {"told": str(tmp_path / "told")}
    log = tmp_path / "log"
    process = start([PROGRAMS / OURS], MODELS, "Aside", parameters, ports, log)
    try:
        url = f"http://localhost:{ports['HTTP']}"
        wait_until_answering(url, lambda: process.poll() is None, log.read_text)
        pid = requests.get(address(tmp_path / "told"), timeout=SECONDS).json()["pid"]
        os.kill(process.pid, number)
        status = process.wait(SECONDS)
        wait_until(lambda: not is_running(pid))
    finally:
        end(process)
    assert status == (0 if number == signal.SIGTERM else -signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Return whether the process runs and is not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
