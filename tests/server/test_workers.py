"""Several workers behind one address."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from serving import OURS, PROGRAMS, ROOT, Server, fail_to_serve, serve

SKELETON = ROOT / "skeleton/server"


@pytest.fixture(autouse=True)
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `--workers 2` says, as the environment says it."""
    monkeypatch.setenv("GUNICORN_WORKERS", "2")


def pids(server: Server) -> set[int]:
    """The processes that have said that they serve."""
    return {int(pid) for pid in re.findall(r"Process (\d+) serves", server.log())}


def wait_until(holds: Callable[[], bool]) -> None:
    """Return as soon as it holds; fail when it does not within a minute."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answered(server: Server) -> int:
    """How many predictions the metrics tell of."""
    text = requests.get(server.metrics + "/metrics", timeout=60).text
    found = re.findall(r'^prepackaged_requests_total\{.*method="predict".*\} (\S+)', text, re.M)
    assert "worker" not in text
    assert text.count("# TYPE prepackaged_requests_total ") <= 1
    return int(sum(float(number) for number in found))


def test_metrics_are_the_sum_of_all_workers() -> None:
    """Each family once, whoever of the workers counted."""
    with serve(SKELETON, program=PROGRAMS / OURS) as server:
        wait_until(lambda: len(pids(server)) == 2)
        for _ in range(20):
            assert server.post({"strData": "a"}).json()["strData"] == "Hello Model"

        assert answered(server) == 20


def test_a_worker_that_dies_is_replaced() -> None:
    """The other one serves meanwhile, and then there are two again."""
    with serve(SKELETON, program=PROGRAMS / OURS) as server:
        wait_until(lambda: len(pids(server)) == 2)
        os.kill(min(pids(server)), signal.SIGKILL)
        wait_until(lambda: len(pids(server)) == 3)

        assert server.post({"strData": "a"}).status_code == 200


def test_workers_that_cannot_start_end_the_server(tmp_path: Path) -> None:
    """Not before they were tried again, and with the reason in the log."""
    failed = fail_to_serve(SKELETON, program=PROGRAMS / OURS, model_uri=str(tmp_path / "nothing"))

    assert failed.status == 1
    assert "does not exist" in failed.log
    assert "workers ended in a row" in failed.last_line
