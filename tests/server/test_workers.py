"""Several workers behind one address."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from rawhttp import connected, post, text
from waiting import wait_until

Start = Callable[..., Any]


@pytest.fixture(autouse=True)
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set GUNICORN_WORKERS, the equivalent of `--workers 2`."""
    monkeypatch.setenv("GUNICORN_WORKERS", "2")


@pytest.fixture
def process(start_process: Start, tmp_path: Path) -> Any:
    """A parent process with two workers that serve."""
    process = start_process("Obedient", directory=str(tmp_path))
    wait_until(lambda: len(pids(process)) == 2)
    return process


def pids(process: Any) -> list[int]:
    """Process IDs of all workers that have served, oldest first."""
    return [int(pid) for pid in re.findall(r"Process (\d+) serves", process.server.log())]


def is_alive(pid: int) -> bool:
    """Return whether the process exists."""
    return Path(f"/proc/{pid}").exists()


def predicted(process: Any, times: int) -> None:
    """Send `times` predictions, each on a new connection."""
    for _ in range(times):
        with connected(process.server.url) as connection:
            assert connection.ask(post(text("a"))).text == "a"


def answered(process: Any) -> int:
    """The number of predictions on the metrics page."""
    page = requests.get(process.server.metrics + "/metrics", timeout=60).text
    found = re.findall(r'^prepackaged_requests_total\{.*method="predict".*\} (\S+)', page, re.M)
    assert "worker" not in page
    assert page.count("# TYPE prepackaged_requests_total ") <= 1
    return int(sum(float(number) for number in found))


def test_metrics_are_the_sum_of_all_workers(process: Any) -> None:
    """The metrics page has each family once, with the sum over all workers."""
    predicted(process, 20)
    assert answered(process) == 20


def test_the_counts_of_a_killed_worker_are_kept(process: Any) -> None:
    """The counts of a killed worker stay in the totals, so counters never decrease."""
    for round_ in range(1, 4):
        predicted(process, 20)
        os.kill(pids(process)[-1], signal.SIGKILL)
        assert answered(process) == 20 * round_
        wait_until(lambda expected=2 + round_: len(pids(process)) == expected)
        assert answered(process) == 20 * round_


def test_a_worker_that_is_stopped_has_its_counts_on_the_page(process: Any) -> None:
    """A stopped worker's counts are on the page, because reading them needs no answer from it."""
    predicted(process, 20)
    pid = pids(process)[0]
    os.kill(pid, signal.SIGSTOP)
    assert answered(process) == 20
    os.kill(pid, signal.SIGCONT)
    predicted(process, 20)
    assert answered(process) == 40


def test_gauges_are_those_of_the_workers_that_live(process: Any, tmp_path: Path) -> None:
    """Gauges exclude killed workers: their requests are no longer in flight."""

    def in_flight() -> str:
        page = requests.get(process.server.metrics + "/metrics", timeout=60).text
        return " ".join(re.findall(r"^prepackaged_in_flight_requests (\S+)", page, re.M))

    with connected(process.server.url) as connection:
        connection.send(post(text("hang")))
        wait_until(lambda: in_flight() == "1.0")
        for pid in pids(process):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(pids(process)) == 4)
    wait_until(lambda: in_flight() == "0.0")


def test_the_metrics_files_are_removed(
    start_process: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metrics files in TMPDIR are removed at shutdown."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "files"))
    (tmp_path / "files").mkdir()
    process = start_process("Obedient", directory=str(tmp_path))
    wait_until(lambda: len(pids(process)) == 2)
    wait_until(lambda: bool(list((tmp_path / "files").glob("*/*.db"))))
    process.signal(signal.SIGTERM)
    assert process.status() == 0
    assert not list((tmp_path / "files").iterdir())


def test_a_worker_that_dies_is_replaced(process: Any) -> None:
    """A killed worker is replaced, and the other one serves meanwhile."""
    first = pids(process)[0]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(pids(process)) == 3)
    assert not is_alive(first)
    predicted(process, 20)


@pytest.mark.parametrize("opens_early", ["true", "false"])
def test_a_worker_is_replaced_although_a_child_of_it_lives(
    start_process: Start, monkeypatch: pytest.MonkeyPatch, opens_early: str
) -> None:
    """A child that the model forked neither hides its worker's death nor takes connections."""
    monkeypatch.setenv("PREPACKAGED_OPEN_EARLY", opens_early)
    process = start_process("Children")
    wait_until(lambda: len(pids(process)) == 2)
    with connected(process.server.url) as connection:
        killed = int(connection.ask(post(text("keep"))).text)
    assert killed in pids(process)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(pids(process)) == 3)
    for _ in range(20):
        with connected(process.server.url) as connection:
            assert connection.ask(post(text("pool"))).text == "[0, 1, 4, 9]"
    process.signal(signal.SIGTERM)
    assert process.status() == 0


def test_a_model_that_kills_its_worker_again_and_again_does_not_end_the_server(
    process: Any,
) -> None:
    """Each request that kills its worker loses only its own answer; all others are answered."""
    for death in range(1, 7):
        with connected(process.server.url) as connection, pytest.raises(ConnectionError):
            connection.ask(post(text("die")))
        wait_until(lambda expected=death: process.server.log().count("ended with 7") == expected)
        predicted(process, 5)
        wait_until(lambda expected=2 + death: len(pids(process)) == expected)
    assert answered(process) == 6 * 5


def test_workers_that_never_serve_end_the_server(start_process: Start, tmp_path: Path) -> None:
    """After 5 workers in a row that ended while loading, the server ends with status 1."""
    (tmp_path / "open").write_text("exit")
    process = start_process("Loads", answers=False, directory=str(tmp_path))
    assert process.status() == 1
    last_line = process.server.log().splitlines()[-1]
    assert "5 workers in a row ended before they served, the last with 7" in last_line


def test_a_worker_that_cannot_be_replaced_leaves_the_others(
    start_process: Start, tmp_path: Path
) -> None:
    """If a new worker cannot load the model, the others keep serving and the parent tries again."""
    (tmp_path / "open").touch()
    process = start_process("Loads", directory=str(tmp_path))
    wait_until(lambda: len(pids(process)) == 2)
    (tmp_path / "open").write_text("fail")
    os.kill(pids(process)[0], signal.SIGKILL)
    wait_until(lambda: process.server.log().count("ValueError: the model is broken; starting") > 1)
    predicted(process, 5)
    (tmp_path / "open").write_text("")
    wait_until(lambda: len(pids(process)) == 3)


@pytest.mark.parametrize("how", ["hang", "hold"])
def test_a_worker_that_hangs_is_replaced(
    start_process: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A worker whose call exceeds the limit is replaced, whether its other threads run or not."""
    monkeypatch.setenv("PREPACKAGED_MAX_CALL_SECONDS", "1")
    process = start_process("Obedient", directory=str(tmp_path))
    wait_until(lambda: len(pids(process)) == 2)
    with connected(process.server.url) as connection, pytest.raises(ConnectionError):
        connection.ask(post(text(how)))
    wait_until(lambda: len(pids(process)) == 3)
    predicted(process, 20)


def test_a_single_process_that_hangs_is_not_alive(
    start_process: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one process, a call beyond the limit fails liveness, so that Kubernetes restarts it."""
    monkeypatch.setenv("GUNICORN_WORKERS", "1")
    monkeypatch.setenv("PREPACKAGED_MAX_CALL_SECONDS", "0.5")
    process = start_process("Obedient", directory=str(tmp_path))

    def ping() -> requests.Response:
        return requests.get(process.server.url + "/health/ping", timeout=60)

    with connected(process.server.url) as connection:
        connection.send(post(text("hang")))
        wait_until(lambda: ping().status_code == 500)
    assert ping().json()["status"]["info"] == "a call to the model hangs"


def test_a_model_that_cannot_be_loaded_ends_the_server(
    start_process: Start, tmp_path: Path
) -> None:
    """A model that fails to load ends the server without a retry; the last line has the reason."""
    (tmp_path / "open").write_text("fail")
    process = start_process("Loads", answers=False, directory=str(tmp_path))
    assert process.status() == 1
    last_line = process.server.log().splitlines()[-1]
    assert last_line.endswith("Loads cannot be loaded: ValueError: the model is broken")


def test_a_worker_that_hangs_in_loading_is_killed_in_time(
    start_process: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that hangs while loading is killed after the grace period."""
    monkeypatch.setenv("PREPACKAGED_GRACE_SECONDS", "0.5")
    (tmp_path / "open").write_text("hold")
    process = start_process("Loads", answers=False, directory=str(tmp_path))
    wait_until((tmp_path / "loads").exists)
    children = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children")
    workers = [int(pid) for pid in children.read_text().split()]
    process.signal(signal.SIGTERM)
    assert process.status() == 1
    assert "of the workers did not shut down properly" in process.server.log().splitlines()[-1]
    wait_until(lambda: not any(map(is_alive, workers)))


@pytest.fixture
def hung(process: Any, tmp_path: Path) -> Any:
    """A parent with one worker whose model hangs."""
    with connected(process.server.url) as connection:
        connection.send(post(text("hang")))
        wait_until((tmp_path / "hangs").exists)
        yield process


def test_a_worker_that_hangs_at_the_end_is_in_the_status(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """If one worker loses requests at shutdown, the server's exit status is 1."""
    monkeypatch.setenv("PREPACKAGED_GRACE_SECONDS", "0.5")
    process = request.getfixturevalue("hung")
    process.signal(signal.SIGTERM)
    assert process.status() == 1
    assert "; 1 requests had no answer" in process.server.log()
    assert "1 of the workers did not shut down properly" in process.server.log().splitlines()[-1]


def test_a_second_signal_ends_all_workers_at_once(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A second signal ends all workers at once, despite a long grace period."""
    monkeypatch.setenv("PREPACKAGED_GRACE_SECONDS", "1000")
    hung = request.getfixturevalue("hung")
    hung.signal(signal.SIGTERM)
    hung.signal(signal.SIGINT)  # two equal pending signals may merge into one
    assert hung.status() == 1
    wait_until(lambda: not any(map(is_alive, pids(hung))))


def test_a_signal_to_all_processes_costs_no_answer(start_process: Start, tmp_path: Path) -> None:
    """Ctrl-C signals parent and workers; a worker signalled twice still answers its request."""
    process = start_process("Gate", directory=str(tmp_path))
    wait_until(lambda: len(pids(process)) == 2)
    with connected(process.server.url) as connection:
        connection.send(post(text("in flight")))
        wait_until((tmp_path / "entered").exists)
        process.signal(signal.SIGINT)
        wait_until(lambda: sum(map(is_alive, pids(process))) == 1)  # the other worker has ended
        os.kill(next(filter(is_alive, pids(process))), signal.SIGINT)
        (tmp_path / "open").touch()
        assert connection.answer().text == "in flight"
    assert process.status() == 0


def test_workers_end_with_their_parent(process: Any) -> None:
    """If the parent is killed, its workers end too."""
    process.signal(signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids(process))))
