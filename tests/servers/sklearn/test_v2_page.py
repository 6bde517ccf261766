"""The page on the Open Inference Protocol: curl sends each request, and its answer is compared."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from documents import Example, blocks, lay_out, tolerant
from serving import ROOT, Server, serve

PAGE = ROOT / "docs/v2.md"


def shown() -> Iterator[tuple[str, str]]:
    """Each curl command of the page, with the answer below it."""
    command = ""
    for block in blocks(PAGE):
        if block.language == "bash":
            command = block.text.strip()
        elif block.about == "answer":
            yield command, block.text


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of the quick start."""
    train = (ROOT / "sklearn/example/train.py").read_text()
    parameters = lay_out(Example(files={"train.py": train}), tmp_path_factory.mktemp("iris"))
    with serve(ROOT / "sklearn/server", **parameters) as server:
        yield server


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize(("line", "answer"), list(shown()))
def test_the_curl_lines_get_the_answers_shown(iris: Server, line: str, answer: str) -> None:
    """Each curl command gets the shown answer, except for the last digits of numbers."""
    asked = re.sub(r"http://localhost:\d+", iris.url, line)
    command = ["sh", "-c", f"{asked} --silent --show-error"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(rounded(told)) == tolerant(rounded(answer))


def rounded(text: str) -> str:
    """The text with six digits of each score that is the first part of a string."""
    return re.sub(r'("\d\.\d{6})\d*:', r"\1:", text)
