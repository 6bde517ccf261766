"""Following the skeleton's README leads to a tested image."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from documents import blocks, curl_lines, tolerant
from serving import ROOT, free_ports, how_to_call

import uv

README = ROOT / "skeleton/README.md"
OF_THE_OUTER_MAKE = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of the steps: shared caches, free ports, and the default registry.

    With another registry, the files that `make generate` writes would fail `make check`.
    """
    ports = dict(zip(("HTTP", "GRPC", "METRICS"), map(str, free_ports(3)), strict=True))
    outer = {name: value for name, value in os.environ.items() if name not in OF_THE_OUTER_MAKE}
    own = {"PREPACKAGED_CACHE": str(uv.CACHE), "REGISTRY": "infuseai", "MODEL_URI": ""}
    return outer | own | {f"{kind}_PORT": port for kind, port in ports.items()}


@pytest.fixture
def fork(image: str, tmp_path: Path, environment: dict[str, str]) -> Iterator[Path]:
    """A copy of the repository; images built from it are removed at the end."""
    if image != "skeleton":
        pytest.skip("the skeleton's README is followed with --image skeleton")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(lambda name: (ROOT / name).is_file(), names.strip("\0").split("\0")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)  # actionlint wants one
    yield tmp_path
    tags = "${CONTAINER_CLI:-docker} rmi $(python3 tools/images.py tags lightgbm)"
    subprocess.run(["bash", "-c", tags], cwd=tmp_path, env=environment, check=False)


def test_the_six_steps_make_a_tested_image(fork: Path, environment: dict[str, str]) -> None:
    """Every bash block runs, `make check` too, and the served example answers as documented."""
    (answer,) = (block for block in blocks(README) if block.about == "answer")
    for block in blocks(README):
        if block.language == "bash" and block.about == "serve":
            assert served(block.text, fork, environment) == tolerant(answer.text)
        elif block.language == "bash" and not block.text.startswith("curl"):
            run(block.text, fork, environment)


def run(script: str, directory: Path, environment: dict[str, str]) -> None:
    """Run a block with bash, which stops at the first failing command."""
    strict = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(
        strict,
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}"


def served(script: str, directory: Path, environment: dict[str, str]) -> object:
    """Start the server with a block, send the README's `curl` request, and return the answer."""
    ((path, body),) = curl_lines(README)
    with how_to_call(["bash", "-c", script], directory, environment) as line:
        assert line
        address = f"http://localhost:{environment['HTTP_PORT']}{path}"
        headers = {"Content-Type": "application/json"}
        return requests.post(address, data=body, headers=headers, timeout=60).json()
