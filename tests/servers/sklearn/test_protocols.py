"""The pages on other protocols: curl sends each request, and its answer is compared."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from documents import Example, blocks, lay_out, tolerant
from serving import ROOT, Server, serve

PAGES = ("protocols.md", "sagemaker.md", "vertex.md")
VERTEX = {
    "AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2",
    "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
}


def shown(page: str) -> Iterator[tuple[str, str, str]]:
    """Each curl command of a page, with the language and the text of the answer below it."""
    command = ""
    for block in blocks(ROOT / "docs" / page):
        if block.language == "bash":
            command = re.findall(r"^curl .*", block.text, re.MULTILINE)[-1]
        elif block.about == "answer":
            yield command, block.language, block.text


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of the quick start, started as Vertex AI would."""
    train = (ROOT / "sklearn/example/train.py").read_text()
    parameters = lay_out(Example(files={"train.py": train}), tmp_path_factory.mktemp("iris"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in VERTEX.items():
            patch.setenv(name, value)
        with serve(ROOT / "sklearn/server", **parameters) as server:
            yield server


def values(language: str, text: str) -> str:
    """Parse an answer: JSON, or CSV as lists."""
    if language == "json":
        return text
    return json.dumps([list(map(float, line.split(","))) for line in text.split()])


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize(
    ("page", "line", "language", "answer"),
    [(page, *each) for page in PAGES for each in shown(page)],
)
def test_the_curl_lines_get_the_answers_shown(
    iris: Server, page: str, line: str, language: str, answer: str
) -> None:
    """Each curl command gets the shown answer, whichever port the page uses."""
    del page
    asked = re.sub(r"http://localhost:\d+", iris.url, line)
    command = ["sh", "-c", f"{asked} --silent --show-error"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(values(language, told)) == tolerant(values(language, answer))
