"""Guarantees of every image, checked in running containers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from containers import engine
from waiting import wait_until

import images


def ask(container: Any, request_file: Path) -> requests.Response:
    """Send the image's documented request."""
    return requests.post(
        container.url + "/api/v1.0/predictions",
        json=json.loads(request_file.read_text()),
        timeout=60,
    )


@pytest.mark.parametrize("microservice", ["container", "upstreams"])
def test_the_contract_holds(
    request: pytest.FixtureRequest, microservice: str, request_file: Path
) -> None:
    """The image passes the wire tests over REST and gRPC, with our server and with upstream's."""
    container = request.getfixturevalue(microservice)
    suite = [sys.executable, "-m", "pytest", "-q", "tests/contract/test_wire.py"]
    addresses = ["--url", container.url, "--grpc", container.grpc, "--metrics", container.metrics]

    completed = subprocess.run(
        [*suite, *addresses, "--request", str(request_file)],
        capture_output=True,
        text=True,
        check=False,
        cwd=images.ROOT,
    )

    assert completed.returncode == 0, completed.stdout
    assert " passed" in completed.stdout


def test_the_image_has_the_versions_that_its_tag_says(container: Any, image: str) -> None:
    """The installed framework has the version in the image's tag and in its metadata."""
    target = images.find(image)
    package = target.package
    program = f"from importlib.metadata import version; print(version({package!r}))"

    version = container.run("python", "-c", program).partition("+")[0]

    assert version == target.version()
    framework = target.image.framework or target.image.package
    minor = ".".join(version.split(".")[:2])
    assert any(f"-{framework}{minor}" in tag for tag in target.tags())
    told = json.loads(requests.get(container.url + "/metadata", timeout=60).text)
    assert told["versions"] == target.short_tags()[:1]


def test_the_server_runs_as_an_ordinary_user(container: Any) -> None:
    """The server runs as user 8888, not as root."""
    assert container.run("id", "-u") == "8888"


def test_upstreams_microservice_runs_on_a_strict_platform(
    upstreams: Any, request_file: Path
) -> None:
    """Upstream's server works with a read-only root, with its temporary files in memory."""
    assert ask(upstreams, request_file).status_code == 200
    assert "[ERROR]" not in upstreams.log()


def test_sighup_loads_the_model_again(container: Any, request_file: Path) -> None:
    """SIGHUP to the container's first process loads the model again, and it answers as before."""
    before = ask(container, request_file)
    reloads = container.log().count("The model was reloaded")

    engine("kill", "--signal", "HUP", container.name)

    wait_until(lambda: container.log().count("The model was reloaded") > reloads, container.story)
    after = ask(container, request_file)
    assert (after.status_code, after.json()) == (200, before.json())


@pytest.mark.parametrize("program", ["/bin/sh", "/bin/sleep", "/opt/venv/bin/serve"])
def test_the_programs_that_platforms_call_are_there(container: Any, program: str) -> None:
    """The programs for Seldon's and PrimeHub's preStop hooks and SageMaker's start exist."""
    container.run("test", "-x", program)


@pytest.mark.parametrize("program", ["gcc", "cc", "uv"])
def test_no_build_tools_are_shipped(container: Any, program: str) -> None:
    """Build tools are only in the builder stage."""
    assert container.run("sh", "-c", f"command -v {program} || echo none") == "none"


def test_upstreams_microservice_can_be_imported_without_a_warning(container: Any) -> None:
    """Importing seldon-core with today's dependencies gives no warning."""
    container.run("python", "-W", "error", "-c", "import seldon_core.microservice")


@pytest.mark.parametrize("pod", ["nowhere", "nowhere, upstream"])
def test_a_missing_directory_ends_the_container_with_a_clear_last_line(
    begun: Any, pod: str
) -> None:
    """A missing model directory gives exit status 1, and the last line names the path."""
    failure = begun[pod].result()

    assert failure.status == 1
    assert "model_uri '/mnt/nothing' does not exist" in failure.last_line


def test_the_microservice_is_our_own_unless_told_otherwise(container: Any, upstreams: Any) -> None:
    """Our server is the default: it answers an unknown path with 404, upstream's with 500."""
    assert requests.get(container.url + "/nothing", timeout=60).status_code == 404
    assert requests.get(upstreams.url + "/nothing", timeout=60).status_code == 500


def test_the_access_log_has_a_line_for_every_request(container: Any, request_file: Path) -> None:
    """Every request has a line in the log, which PrimeHub shows to its users."""

    def lines() -> int:
        return container.log().count('"POST /api/v1.0/predictions')

    before = lines()

    ask(container, request_file)

    wait_until(lambda: lines() > before, container.story)  # the engine keeps the log
