"""Loading a new model while the server answers: by signal, by request, and when files change."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rawhttp import connected, get, post, text
from serving import wait_until_answering
from v2 import call
from waiting import wait_until

LOAD, UNLOAD = (f"/v2/repository/models/model/{what}" for what in ("load", "unload"))
Start = Callable[..., Any]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The model's directory, with the model `one`."""
    directory = tmp_path / "model"
    directory.mkdir()
    write(directory, "one")
    return directory


@pytest.fixture
def begin(
    start_process: Start, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Starts a server of a class in `models/Reloads.py`; keyword arguments are its settings."""

    def begin(name: str = "OnAnyThread", **settings: str) -> Any:
        for key, value in settings.items():
            monkeypatch.setenv(key, value)
        return start_process(f"Reloads.{name}", model_uri=str(directory))

    return begin


@pytest.fixture
def with_api(begin: Callable[..., Any]) -> Any:
    """A server that loads and unloads its model by request."""
    return begin(PREPACKAGED_REPOSITORY_API="true")


def write(directory: Path, answer: str) -> None:
    """Put a model into the directory, at once."""
    (directory / "answer.tmp").write_text(answer)
    (directory / "answer.tmp").replace(directory / "answer")


def ask(process: Any, question: str = "hi") -> str:
    """The answer to a prediction on a new connection."""
    with connected(process.server.url) as connection:
        answer = connection.ask(post(text(question)))
    assert answer.status == 200, answer.body
    return str(answer.text)


def load(process: Any, path: str = LOAD) -> tuple[int, Any]:
    """Ask for the model to be loaded; return status and body."""
    answer = requests.post(process.server.url + path, timeout=60)
    return answer.status_code, answer.json()


def metric(process: Any, line: str) -> float:
    """The number in a line of the metrics page."""
    page = requests.get(process.server.metrics + "/metrics", timeout=60).text
    (number,) = re.findall(rf"^{re.escape(line)} (\S+)$", page, re.M)
    return float(number)


@contextmanager
def clients(process: Any, count: int = 4) -> Iterator[list[str]]:
    """Clients that send predictions on kept connections until the block ends; their answers.

    An answer other than 200, or a connection that ends, fails the test.
    """
    answers: list[str] = []
    is_over = False

    def run() -> None:
        with connected(process.server.url) as connection:
            while not is_over:
                answer = connection.ask(post(text("hi")))
                assert answer.status == 200, answer.body
                answers.append(answer.text)

    with ThreadPoolExecutor(count) as pool:
        runs = [pool.submit(run) for _ in range(count)]
        try:
            yield answers
        finally:
            is_over = True
        for each in runs:
            each.result()


@pytest.mark.parametrize("name", ["OnAnyThread", "Reloads"])
def test_sighup_loads_the_new_model_and_loses_no_request(
    begin: Callable[..., Any], directory: Path, name: str
) -> None:
    """Under load, all requests are answered, first by the old model and then by the new one."""
    process = begin(name)
    with clients(process) as answers:
        for new in ("two", "three", "four"):
            write(directory, new)
            process.signal(signal.SIGHUP)
            wait_until(lambda new=new: answers[-1:] == [new])
    order = [
        each for each, before in zip(answers, [None, *answers], strict=False) if each != before
    ]
    assert list(dict.fromkeys(order)) == ["one", "two", "three", "four"]
    assert metric(process, 'prepackaged_model_reloads_total{result="success"}') == 3
    assert requests.get(process.server.url + "/metadata", timeout=60).json()["name"] == "four"


def test_a_model_that_declares_nothing_stays_on_the_main_thread(
    begin: Callable[..., Any], directory: Path
) -> None:
    """Such a model is loaded again and called on the main thread."""
    process = begin("Reloads")
    write(directory, "two")
    process.signal(signal.SIGHUP)
    wait_until(lambda: ask(process) == "two")
    assert ask(process, "main thread") == "True"


def test_the_old_model_answers_while_the_new_one_loads_and_is_freed_after(
    with_api: Any, directory: Path
) -> None:
    """Requests that have begun end with the old model, which is freed with the last of them."""
    (directory / "samples").mkdir()
    (directory / "samples" / "one.json").write_text('{"request": {"body": {"strData": "hi"}}}')
    assert load(with_api)[0] == 200  # so that the old model has been asked its samples, too
    wait_until((directory.parent / "freed-one").exists)
    (directory.parent / "freed-one").unlink()
    ask(with_api)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(ask, with_api, "wait")
        wait_until((directory.parent / "entered").exists)
        write(directory, "two")
        assert load(with_api) == (200, {"name": "model", "load": True})
        later = pool.submit(ask, with_api)
        assert not (directory.parent / "freed-one").exists()
        (directory.parent / "open").touch()
        assert (waiting.result(), later.result()) == ("one", "two")
    wait_until((directory.parent / "freed-one").exists)
    assert not (directory.parent / "freed-two").exists()


def test_requests_do_not_wait_for_a_slow_load(with_api: Any, directory: Path) -> None:
    """While the new model loads, the old one answers; who asks meanwhile shares one more load."""
    (directory.parent / "loading").unlink()
    (directory.parent / "slow").touch()
    write(directory, "two")
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(load, with_api)
        wait_until((directory.parent / "loading").exists)
        assert ask(with_api) == "one"
        others = [pool.submit(load, with_api) for _ in range(6)]
        assert ask(with_api) == "one"
        (directory.parent / "slow").unlink()
        assert {each.result()[0] for each in (first, *others)} == {200}
    assert ask(with_api) == "two"
    assert metric(with_api, 'prepackaged_model_reloads_total{result="success"}') <= 3


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("broken", "ValueError: the answer is broken"),
        ("exits", "the new model cannot be served: SystemExit: 0"),
    ],
)
def test_a_load_that_fails_changes_nothing(
    begin: Callable[..., Any], directory: Path, workers: str, what: str, why: str
) -> None:
    """The old model answers, the client is told why, and a second attempt gets the same answer."""
    process = begin(PREPACKAGED_REPOSITORY_API="true", GUNICORN_WORKERS=workers)
    write(directory, what)
    for _ in range(2):
        status, body = load(process)
        assert status == 503
        assert why in body["error"]
        assert ask(process) == "one"
    assert metric(process, "prepackaged_model_last_reload_successful") == 0
    assert requests.get(process.server.url + "/v2/health/ready", timeout=60).status_code == 200
    write(directory, "two")
    assert load(process)[0] == 200
    assert [ask(process) for _ in range(20)] == ["two"] * 20


def test_a_model_that_answers_its_samples_wrongly_is_not_served(
    with_api: Any, directory: Path
) -> None:
    """The new model must answer the samples beside it before it replaces the old one."""
    (directory / "samples").mkdir()
    sample = {"request": {"body": {"strData": "hi"}}, "response": {"body": {"strData": "two"}}}
    (directory / "samples" / "one.json").write_text(json.dumps(sample))
    write(directory, "three")
    status, body = load(with_api)
    assert status == 503
    assert "expected 'two', got 'three'" in body["error"]
    assert ask(with_api) == "one"
    write(directory, "two")
    assert load(with_api)[0] == 200
    assert ask(with_api) == "two"


def test_files_that_change_while_they_are_read_are_not_served(
    with_api: Any, directory: Path
) -> None:
    """A model of which half is old and half is new is dropped."""
    (directory.parent / "loading").unlink()
    (directory.parent / "slow").touch()
    with ThreadPoolExecutor() as pool:
        loading = pool.submit(load, with_api)
        wait_until((directory.parent / "loading").exists)
        write(directory, "a longer text")
        (directory.parent / "slow").unlink()
        status, body = loading.result()
    assert (status, body["error"]) == (503, "the model's files have changed while they were read")
    assert ask(with_api) == "one"


def test_loading_by_request_is_off_by_default(begin: Callable[..., Any], directory: Path) -> None:
    """REST answers 403 and gRPC PERMISSION_DENIED, and the model stays."""
    process = begin()
    write(directory, "two")
    for path in (LOAD, UNLOAD):
        status, body = load(process, path)
        assert status == 403
        assert "PREPACKAGED_REPOSITORY_API" in body["error"]
    for method in ("RepositoryModelLoad", "RepositoryModelUnload"):
        with pytest.raises(grpc.RpcError) as refused:
            call(process.server, method, model_name="model")
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert ask(process) == "one"


@pytest.mark.parametrize("setting", ["true", "false"])
def test_clients_are_told_whether_they_may_load_the_model(
    begin: Callable[..., Any], setting: str
) -> None:
    """V2's extensions, over REST and gRPC, and the OpenAPI document name it where it is allowed."""
    process = begin(PREPACKAGED_REPOSITORY_API=setting)
    described = requests.get(process.server.url + "/v2", timeout=60).json()
    document = requests.get(process.server.url + "/openapi.json", timeout=60).json()

    extensions = described["extensions"]
    assert list(call(process.server, "ServerMetadata").extensions) == extensions
    assert ("model_repository" in extensions) == (setting == "true")
    assert [path for path in (LOAD, UNLOAD) if "post" in document["paths"].get(path, {})] == (
        [LOAD, UNLOAD] if setting == "true" else []
    )


@pytest.mark.parametrize("field", ["model_name", "repository_name"])
def test_grpc_loads_with_tritons_field_and_with_kserves(
    with_api: Any, directory: Path, field: str
) -> None:
    """The model's name is in the second field of Triton's message, and in the first of KServe's."""
    write(directory, "two")
    answer = call(with_api.server, "RepositoryModelLoad", **{field: "model"})
    assert (answer.model_name, answer.isLoaded) == ("model", True)
    assert ask(with_api) == "two"
    with pytest.raises(grpc.RpcError) as refused:
        call(with_api.server, "RepositoryModelLoad", **{field: "other"})
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "body", [b"[]", b'"x"', b"{", b'{"parameters": {"config": "{}"}}', b'{"parameters": [1]}']
)
def test_a_load_that_asks_for_more_is_refused(with_api: Any, directory: Path, body: bytes) -> None:
    """A body that is not an object, or that has a configuration or files, gets 400."""
    write(directory, "two")
    with connected(with_api.server.url) as connection:
        assert connection.ask(post(body, LOAD)).status == 400
        assert connection.ask(post(text("hi"))).text == "one"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_unloaded_model_can_be_loaded_again(
    begin: Callable[..., Any], directory: Path, workers: str
) -> None:
    """Unloaded, the server is live but not ready in each protocol; the model's memory is free."""
    process = begin(PREPACKAGED_REPOSITORY_API="true", GUNICORN_WORKERS=workers)
    wait_until(lambda: process.server.log().count(" serves on ") == int(workers))
    assert load(process, UNLOAD) == (200, {"name": "model", "unload": True})
    wait_until((directory.parent / "freed-one").exists)
    with connected(process.server.url) as connection:
        refused = connection.ask(post(text("hi")))
        assert (refused.status, refused.info) == (503, "the model is unloaded")
        assert connection.ask(get("/health/ping")).status == 200
        assert connection.ask(get("/v2/health/live")).status == 200
        assert connection.ask(get("/v2/health/ready")).status == 503
        (listed,) = json.loads(connection.ask(post(b"", "/v2/repository/index")).body)
        assert (listed["name"], listed["state"]) == ("model", "UNAVAILABLE")
        assert (
            json.loads(connection.ask(post(b'{"ready":true}', "/v2/repository/index")).body) == []
        )
    assert health(process) == health_pb2.HealthCheckResponse.NOT_SERVING
    assert load(process)[0] == 200
    assert ask(process) == "one"
    assert health(process) == health_pb2.HealthCheckResponse.SERVING


def test_a_load_that_fails_after_an_unload_says_why(with_api: Any, directory: Path) -> None:
    """An unloaded server refuses a wrong body with 400, and names what is wrong with the model."""
    load(with_api, UNLOAD)
    with connected(with_api.server.url) as connection:
        assert connection.ask(post(b"[]", LOAD)).status == 400
        assert connection.ask(post(b"[]", "/v2/repository/index")).status == 400
    write(directory, "broken")
    status, body = load(with_api)
    assert status == 503
    assert "the answer is broken" in body["error"]
    write(directory, "two")
    assert load(with_api)[0] == 200
    assert ask(with_api) == "two"


@pytest.mark.parametrize("what", [LOAD, UNLOAD])
def test_a_change_does_not_wait_for_a_call_that_hangs(
    begin: Callable[..., Any], directory: Path, what: str
) -> None:
    """The client gets the reason; liveness fails until the call ends, and then works again."""
    settings = {"PREPACKAGED_REPOSITORY_API": "true", "PREPACKAGED_MAX_CALL_SECONDS": "0.5"}
    process = begin("Reloads", **settings)
    url, hangs = process.server.url, "a call to the model hangs"
    with connected(url) as connection:
        connection.send(post(text("wait")))
        wait_until((directory.parent / "entered").exists)
        status, body = load(process, what)
        assert status == 503
        assert hangs in body["error"]
        ping = requests.get(url + "/health/ping", timeout=60)
        assert (ping.status_code, ping.json()["status"]["info"]) == (500, hangs)
        live = requests.get(url + "/v2/health/live", timeout=60)
        assert (live.status_code, live.json()) == (500, {"error": hangs})
        with pytest.raises(grpc.RpcError, match=hangs):
            call(process.server, "ServerLive")
        (directory.parent / "open").touch()
        assert connection.answer().text == "one"
    wait_until(lambda: requests.get(url + "/v2/health/live", timeout=60).status_code == 200)
    assert "The model was reloaded" not in process.server.log()
    write(directory, "two")
    assert load(process)[0] == 200
    assert ask(process) == "two"


def health(process: Any) -> Any:
    """The status over gRPC."""
    with grpc.insecure_channel(process.server.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return stub.Check(health_pb2.HealthCheckRequest(), timeout=60).status


@pytest.mark.parametrize("workers", ["1", "2"])
def test_changed_files_are_loaded(begin: Callable[..., Any], directory: Path, workers: str) -> None:
    """With PREPACKAGED_POLL_SECONDS, changes are noticed; what fails is tried once, then kept."""
    process = begin(PREPACKAGED_POLL_SECONDS="0.05", GUNICORN_WORKERS=workers)
    wait_until(lambda: process.server.log().count(" serves on ") == int(workers))
    write(directory, "two")
    wait_until(lambda: process.server.log().count("The model was reloaded") == int(workers))
    assert {ask(process) for _ in range(8)} == {"two"}
    write(directory, "broken")
    wait_until(lambda: "the answer is broken" in process.server.log())
    write(directory, "three")
    wait_until(lambda: {ask(process) for _ in range(8)} == {"three"})
    tried = process.server.log().count("The reload failed")
    assert tried == 1


def test_a_link_that_is_moved_is_loaded(
    start_process: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes and git-sync replace a directory by moving one link, and delete the old one."""
    for each in ("one", "two"):
        (tmp_path / each).mkdir()
        write(tmp_path / each, each)
    (tmp_path / "now").symlink_to("one")
    monkeypatch.setenv("PREPACKAGED_POLL_SECONDS", "0.05")
    process = start_process("Reloads.OnAnyThread", model_uri=str(tmp_path / "now"))
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(tmp_path / "now")
    wait_until(lambda: ask(process) == "two")


def test_all_workers_load_the_new_model(begin: Callable[..., Any], directory: Path) -> None:
    """SIGHUP to the parent reaches every worker, and no request is lost."""
    process = begin(GUNICORN_WORKERS="2")
    wait_until(lambda: process.server.log().count(" serves on ") == 2)
    with clients(process):
        write(directory, "two")
        process.signal(signal.SIGHUP)
        wait_until(lambda: process.server.log().count("The model was reloaded") == 2)
        assert {ask(process) for _ in range(20)} == {"two"}
    assert metric(process, 'prepackaged_model_reloads_total{result="success"}') == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup_during_loading_loads_once_more(
    start_process: Start, directory: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """A signal that arrives during the first load is not lost, and does not end the server."""
    monkeypatch.setenv("GUNICORN_WORKERS", f"{workers}")
    (directory.parent / "slow").touch()
    process = start_process("Reloads.OnAnyThread", answers=False, model_uri=str(directory))
    wait_until(lambda: len([*directory.parent.glob("read-by-*")]) == workers)
    write(directory, "two")
    process.signal(signal.SIGHUP)
    time.sleep(0.2)  # for a parent to hear the signal before its workers serve
    (directory.parent / "slow").unlink()
    wait_until(lambda: process.server.log().count("The model was reloaded") >= workers)
    wait_until_answering(process.server.url, lambda: True, process.server.log)
    wait_until(lambda: {ask(process) for _ in range(8 * workers)} == {"two"})


def test_a_reload_does_not_hide_a_call_that_hangs(
    begin: Callable[..., Any], directory: Path
) -> None:
    """The server is not alive while a call to the model before hangs on the model's thread."""
    process = begin(PREPACKAGED_REPOSITORY_API="true", PREPACKAGED_MAX_CALL_SECONDS="0.5")
    ask(process)
    with ThreadPoolExecutor() as pool:
        hanging = pool.submit(ask, process, "wait")
        wait_until((directory.parent / "entered").exists)
        write(directory, "two")
        assert load(process)[0] == 200
        wait_until(lambda: probe(process, "/v2/health/live") == 500)
        assert probe(process, "/health/ping") == 500
        assert probe(process, "/v2/health/ready") == 503
        (directory.parent / "open").touch()
        assert hanging.result() == "one"
    assert (probe(process, "/v2/health/live"), ask(process)) == (200, "two")


def probe(process: Any, path: str) -> int:
    """The status of a probe."""
    return requests.get(process.server.url + path, timeout=60).status_code


def test_a_terminal_that_is_closed_ends_the_server(
    begin: Callable[..., Any], directory: Path
) -> None:
    """With a terminal on standard input, SIGHUP means that it was closed."""
    process = begin()
    main, terminal = pty.openpty()
    source = "from prepackaged.server.runtime import shutdown; print(shutdown.STOPPING)"
    with os.fdopen(main), os.fdopen(terminal) as given:
        command = [sys.executable, "-c", source]
        done = subprocess.run(command, stdin=given, capture_output=True, text=True, check=True)
    assert "SIGHUP" in done.stdout
    assert ask(process) == "one"


def test_sigterm_during_a_reload_ends_in_order(with_api: Any, directory: Path) -> None:
    """A reload that hangs does not keep the server from shutting down."""
    (directory.parent / "loading").unlink()
    (directory.parent / "slow").touch()
    with ThreadPoolExecutor() as pool:
        loading = pool.submit(requests.post, with_api.server.url + LOAD, timeout=60)
        wait_until((directory.parent / "loading").exists)
        assert ask(with_api) == "one"
        with_api.signal(signal.SIGTERM)
        assert with_api.status() in (0, 1)
        assert loading.exception() or loading.result().status_code == 503
