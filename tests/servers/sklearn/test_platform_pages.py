"""The pages on KServe and Seldon: requests get the shown answers in the platform's environment."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pods
import pytest
import requests
from documents import Example, blocks, lay_out, tolerant
from manifests import environment_of_kserve
from serving import ROOT, Server, serve
from waiting import wait_until

import images

TAG = images.find("sklearn").tags()[0]


def shown(page: str) -> list[tuple[str, str]]:
    """Each curl command of a page, with the answer below it."""
    texts = [
        block.text.strip()
        for block in blocks(ROOT / "docs" / page)
        if block.text.startswith("curl ") or block.about == "answer"
    ]
    return list(zip(texts[::2], texts[1::2], strict=True))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of the quick start's model."""
    train = (ROOT / "sklearn/example/train.py").read_text()
    return lay_out(Example(files={"train.py": train}), tmp_path_factory.mktemp("iris"))["model_uri"]


def environment_of_seldon(model: str, podinfo: Path) -> dict[str, str]:
    """The environment that the operator sets for a node `model`, with the test's ports."""
    pod = pods.operators_v2(TAG, Path(model), podinfo)
    named = {"MLSERVER_MODEL_NAME": "model", "PREDICTIVE_UNIT_ID": "model"}
    kept = {name: value for name, value in pod.environment.items() if not name.endswith("_PORT")}
    return kept | named | {"MLSERVER_MODEL_URI": model}


@pytest.fixture(scope="module", params=["kserve.md", "seldon.md"])
def page(request: pytest.FixtureRequest) -> str:
    """A platform's page."""
    return str(request.param)


@pytest.fixture(scope="module")
def server(page: str, model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server as the page's platform starts it, once its readiness probe succeeds."""
    environment = (
        environment_of_kserve(images.find("sklearn"), "iris", model)
        if page == "kserve.md"
        else environment_of_seldon(model, tmp_path_factory.mktemp("podinfo"))
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with serve(ROOT / "sklearn/server") as served:
            wait_until(lambda: requests.get(served.url + "/v2/health/ready", timeout=60).ok)
            yield served


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_curl_lines_get_the_answers_shown(server: Server, page: str) -> None:
    """Each curl command gets the shown answer, except for the last digits of numbers."""
    assert shown(page)
    for line, answer in shown(page):
        asked = re.sub(r"http://localhost:\d+", server.url, line)
        command = ["sh", "-c", f"{asked} --silent --show-error"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert json.loads(told) == tolerant(answer)
