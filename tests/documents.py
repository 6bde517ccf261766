"""What the documents show: fenced blocks, and the examples that these make up.

The words behind a fence say what the block is: a file's name, `parameters`, `request`,
`answer` (`answer 400` where the HTTP status is not 200), `metadata` or `last log line`. A file
`test_*.py` is a test of the document's first example.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from serving import ROOT, Server

import run
import uv

FENCE = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOUNTED = "/mnt/models"  # where the documents' models are, and the tests' are not


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words behind that, and its text."""

    language: str
    about: str
    text: str


@dataclass(frozen=True)
class Sample:
    """A request's JSON text, the answer that is shown for it, and the answer's HTTP status."""

    request: str
    answer: str
    status: int


@dataclass
class Example:
    """Files, the parameters a server gets, and what is shown of the server then."""

    files: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] | None = None
    samples: list[Sample] = field(default_factory=list)
    metadata: str = ""
    last_log_line: str = ""

    def is_told(self) -> bool:
        """Whether what the server does was shown, so that the next file starts a new example."""
        return bool(self.samples or self.metadata or self.last_log_line)

    def take(self, block: Block) -> None:
        """Note a block that stands for itself."""
        match block.about:
            case "metadata":
                self.metadata = block.text
            case "last log line":
                self.last_log_line = block.text.strip()
            case "parameters":
                listed = json.loads(block.text)
                self.parameters = {each["name"]: each["value"] for each in listed}
            case name if "." in name:
                self.files[name] = block.text


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    found = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/*.md")])
    return [path for path in found if not path.parent.name.startswith(".")]


def blocks(document: Path) -> list[Block]:
    """The document's fenced blocks."""
    return [Block(*groups) for groups in FENCE.findall(document.read_text())]


def prose(document: Path) -> str:
    """The document without its fenced blocks."""
    return FENCE.sub("", document.read_text())


def examples(document: Path) -> list[Example]:
    """The document's examples: files and parameters, followed by what is shown of them."""
    found = [Example()]
    request = ""
    for block in blocks(document):
        if block.about.startswith("test_"):  # a test of an example, and none of its files
            continue
        sets_up = block.about == "parameters" or "." in block.about
        if sets_up and found[-1].is_told():
            found.append(Example())
        if block.about == "request":
            request = block.text
        elif block.about.startswith("answer"):
            status = int(block.about.removeprefix("answer") or 200)
            found[-1].samples.append(Sample(request, block.text, status))
        else:
            found[-1].take(block)
    return [example for example in found if example.is_told()]


def lay_out(example: Example, directory: Path) -> dict[str, str]:
    """Put the example's `Model.py` into the directory, all else into `models` below it.

    Runs `train.py` there and gives the server's parameters: those shown, or the model's place.
    """
    models = directory / "models"
    models.mkdir()
    for name, text in example.files.items():
        (directory if name == "Model.py" else models).joinpath(name).write_text(text)
    if "train.py" in example.files:
        command = [*run.training(models / "train.py", sys.executable), "."]
        subprocess.run(command, cwd=models, env=uv.environment(), check=True)
        (models / "train.py").unlink()
    parameters = example.parameters
    if parameters is None:
        parameters = {"model_uri": MOUNTED} if any(models.iterdir()) else {}
    return {name: value.replace(MOUNTED, str(models)) for name, value in parameters.items()}


def assert_shown(server: Server, example: Example) -> None:
    """The server says what the example shows of it."""
    for sample in example.samples:
        answer = server.post_text(sample.request)
        assert answer.json() == tolerant(sample.answer)
        assert answer.status_code == sample.status
    if example.metadata:
        metadata = requests.get(server.url + "/metadata", timeout=60).json()
        metadata["custom"].pop("model_digest", None)  # of a file that each run trains anew
        assert metadata == tolerant(example.metadata)


def tolerant(text: str) -> Any:
    """The JSON value of the text, equal to all that differs only in its fractions' last digits."""
    return json.loads(text, parse_float=lambda digits: pytest.approx(float(digits), 1e-3, 1e-6))


def curl_lines(document: Path) -> Iterator[tuple[str, str]]:
    """The path and the body of every `curl` line that posts to a server."""
    shells = "\n".join(block.text for block in blocks(document) if block.language == "bash")
    for line in re.findall(r"^curl .*", shells.replace("\\\n", " "), re.MULTILINE):
        words = shlex.split(line)
        if "-d" in words:
            address = next(word for word in words if word.startswith("http://"))
            yield re.sub(r"http://[^/]+", "", address), words[words.index("-d") + 1]
