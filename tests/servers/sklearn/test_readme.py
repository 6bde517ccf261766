"""The examples in sklearn's README, the project's README and docs/requests.md are correct."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import (
    MOUNTED,
    Example,
    assert_shown,
    blocks,
    curl_lines,
    examples,
    lay_out,
    tolerant,
)
from serving import ROOT, Server, fail_to_serve, serve
from sklearn import __version__

import images
import run

README = ROOT / "README.md"
REQUESTS = ROOT / "docs/requests.md"
SERVER = ROOT / "sklearn/server"
IRIS = (ROOT / "sklearn/example/train.py").read_text()
EXAMPLES = examples(ROOT / "sklearn/README.md")
SERVING = [example for example in EXAMPLES if not example.last_log_line]
FAILING = [example for example in EXAMPLES if example.last_log_line]


@pytest.mark.parametrize("example", SERVING)
def test_every_request_gets_the_answer_shown(example: Example, tmp_path: Path) -> None:
    """For each model of the README, each request gets the shown answer."""
    example.files.setdefault("train.py", IRIS)
    # The README shows the image's version of scikit-learn; the tests may run with another.
    example.metadata = example.metadata.replace(images.find("sklearn").version(), __version__)
    with serve(SERVER, **lay_out(example, tmp_path)) as server:
        assert_shown(server, example)


@pytest.mark.parametrize("example", FAILING)
def test_every_last_log_line_is_the_one_shown(example: Example, tmp_path: Path) -> None:
    """A broken deployment ends with status 1 and the README's log line."""
    example.files.setdefault("train.py", IRIS)
    failed = fail_to_serve(SERVER, **lay_out(example, tmp_path))
    assert failed.status == 1
    last_line = failed.last_line.replace(str(tmp_path / "models"), MOUNTED)
    assert last_line.endswith(example.last_log_line)


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of the quick start."""
    parameters = lay_out(Example(files={"train.py": IRIS}), tmp_path_factory.mktemp("iris"))
    with serve(SERVER, **parameters) as server:
        yield server


@pytest.mark.parametrize("page", [README, REQUESTS], ids=lambda page: page.stem)
def test_the_curl_lines_get_the_answers_shown(iris: Server, page: Path) -> None:
    """Each curl command for the iris example gets the shown answer."""
    answers = [block.text for block in blocks(page) if block.about == "answer"]
    for (path, body), answer in zip(curl_lines(page), answers, strict=True):
        assert iris.post_text(body, path).json() == tolerant(answer)


def test_the_grpc_client_prints_what_is_shown(iris: Server) -> None:
    """The page's gRPC client runs unchanged, without warnings, and prints the shown output."""
    texts = {block.about: block.text for block in blocks(REQUESTS)}
    program = texts["client.py"].replace("localhost:5000", iris.grpc)
    command = [sys.executable, "-W", "error", "-c", program]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == tolerant(texts["client.py prints"])


def test_the_quick_start_shows_the_line_that_make_run_prints() -> None:
    """The README's first curl command is the one that `make run-sklearn` prints."""
    request = run.request_file("sklearn").read_text().strip()
    printed = run.how_to_call("http://localhost:9000", request)
    (line,) = (line.strip() for line in printed.splitlines() if "curl" in line)
    assert line in README.read_text()
    assert line in REQUESTS.read_text()
