"""Tests of `make run-<image>` as a newcomer types it."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from serving import UPSTREAM, free_ports, how_to_call
from waiting import SECONDS

import images
import run


@pytest.mark.parametrize("name", images.images())
def test_make_run_prints_a_curl_line_that_works(name: str) -> None:
    """The server starts on the example, and the printed curl line gets an answer."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed here")
    ports = dict(zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True))
    variables = [f"{kind}_PORT={port}" for kind, port in ports.items()]
    command = ["make", f"run-{name}", *variables, "MODEL_URI="]
    with how_to_call(command, images.ROOT, os.environ) as line:
        assert f"http://localhost:{ports['HTTP']}/" in line
        called = subprocess.run(
            [*shlex.split(line), "--silent", "--write-out", "\n%{http_code}"],
            capture_output=True,
            text=True,
            check=True,
        )
    assert called.stdout.splitlines()[-1] == "200"


def test_make_run_prints_no_call_that_another_server_would_answer() -> None:
    """If another server has the ports, the new one exits without printing a curl line."""
    ports = dict(zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True))
    command = ["make", "run-skeleton", *(f"{kind}_PORT={port}" for kind, port in ports.items())]
    with (
        how_to_call(command, images.ROOT, os.environ) as first,
        how_to_call(command, images.ROOT, os.environ) as second,
    ):
        assert (bool(first), second) == (True, "")


def test_make_run_serves_a_model_of_ones_own(tmp_path: Path) -> None:
    """MODEL_URI and the three port variables reach the server."""
    model = tmp_path / "flowers"
    shutil.copytree(run.example_model("sklearn"), model)
    (model / "metadata.yaml").write_text("name: my flowers\n")
    http, grpc, metrics = free_ports(3)
    ports = [f"HTTP_PORT={http}", f"GRPC_PORT={grpc}", f"METRICS_PORT={metrics}"]

    with how_to_call(
        ["make", "run-sklearn", f"MODEL_URI={model}", *ports], images.ROOT, os.environ
    ):
        told = requests.get(f"http://localhost:{http}/metadata", timeout=60).json()
        exposed = requests.get(f"http://localhost:{metrics}/metrics", timeout=60)

    assert told["name"] == "my flowers"
    assert exposed.status_code == 200


def test_make_run_takes_parameters_and_prints_a_call_for_a_model_of_ones_own(
    tmp_path: Path,
) -> None:
    """The printed line fits the model's signature, and PARAMETERS reach the Model."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed here")
    shutil.copytree(run.example_model("sklearn"), tmp_path / "flowers")
    http, grpc, metrics = free_ports(3)
    ports = [f"HTTP_PORT={http}", f"GRPC_PORT={grpc}", f"METRICS_PORT={metrics}"]
    model = [f"MODEL_URI={tmp_path / 'flowers'}", "PARAMETERS=method=predict"]
    with how_to_call(["make", "run-sklearn", *model, *ports], images.ROOT, os.environ) as line:
        called = subprocess.run(
            [*shlex.split(line), "--silent"], capture_output=True, text=True, check=True
        )
    answer = json.loads(called.stdout)["data"]["ndarray"]
    assert len(answer) == 1
    assert answer[0] in (0, 1, 2)


def test_make_run_listens_on_this_machine_alone() -> None:
    """The server listens on localhost only, unless HOST is given on the command line."""
    for arguments, host in (((), "localhost"), (("HOST=::",), "::")):
        done = subprocess.run(
            ["make", "-n", "run-skeleton", *arguments],
            cwd=images.ROOT,
            env=os.environ | {"HOST": "this-machine"},  # as some shells export it
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"PREPACKAGED_HOST={host} " in done.stdout


def test_make_run_takes_upstreams_microservice_too() -> None:
    """MICROSERVICE chooses the server, as it does in an image."""
    http, grpc, metrics = free_ports(3)
    ports = [f"HTTP_PORT={http}", f"GRPC_PORT={grpc}", f"METRICS_PORT={metrics}"]

    with how_to_call(
        ["make", "run-skeleton", f"MICROSERVICE={UPSTREAM}", *ports], images.ROOT, os.environ
    ):
        unknown = requests.get(f"http://localhost:{http}/nothing", timeout=60)

    assert unknown.status_code == 500  # where ours has 404, see docs/differences.md


def test_sigterm_stops_the_server_too() -> None:
    """SIGTERM to run.py alone, as from a process supervisor, leaves no server behind."""
    ports = dict(zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True))
    settings = {f"PREDICTIVE_UNIT_{kind}_SERVICE_PORT": str(port) for kind, port in ports.items()}
    with subprocess.Popen(
        [sys.executable, images.ROOT / "tools/run.py", "skeleton", "", ""],
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as started:
        try:
            assert started.stdout is not None
            assert any(line.strip().startswith(b"curl ") for line in started.stdout)
            started.terminate()
            assert started.wait(SECONDS) == 0
            with pytest.raises(requests.ConnectionError):
                requests.get(f"http://localhost:{ports['HTTP']}/health/ping", timeout=SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)


def test_make_run_on_a_model_that_is_not_there_fails() -> None:
    """A missing model makes the target fail, and the server's last line says why."""
    done = subprocess.run(
        ["make", "run-sklearn", "MODEL_URI=/no/such/model"],
        cwd=images.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "model_uri '/no/such/model' does not exist" in done.stderr
