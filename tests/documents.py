"""The examples in the documents, read from their fenced blocks.

The words behind a fence say what the block is: a file's name, `parameters`, `request`,
`answer` (`answer 400` if the HTTP status is not 200), `metadata` or `last log line`. A file
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
MOUNTED = "/mnt/models"  # the models' directory in the documents; tests replace it


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the other words behind the fence, and its text."""

    language: str
    about: str
    text: str


@dataclass(frozen=True)
class Sample:
    """A request's JSON text, the documented answer and its HTTP status."""

    request: str
    answer: str
    status: int


@dataclass
class Example:
    """Files and server parameters, and the documented behaviour of the server with them."""

    files: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] | None = None
    samples: list[Sample] = field(default_factory=list)
    metadata: str = ""
    last_log_line: str = ""

    def is_told(self) -> bool:
        """Return whether behaviour is shown, so that the next file starts a new example."""
        return bool(self.samples or self.metadata or self.last_log_line)

    def take(self, block: Block) -> None:
        """Add a block that needs no other one: metadata, last log line, parameters or a file."""
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
    """The document's examples: files and parameters, and the behaviour shown after them."""
    found = [Example()]
    request = ""
    for block in blocks(document):
        if block.about.startswith("test_"):  # tests an example and is not one of its files
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
    """Write `Model.py` into the directory and all other files into `models` below it.

    Runs `train.py` there. Returns the server's parameters: the example's own, or the model's path.
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
    """Check that the server behaves as the example shows."""
    for sample in example.samples:
        answer = server.post_text(sample.request)
        assert answer.json() == tolerant(sample.answer)
        assert answer.status_code == sample.status
    if example.metadata:
        metadata = requests.get(server.url + "/metadata", timeout=60).json()
        metadata["custom"].pop("model_digest", None)  # each run trains the file anew
        assert metadata == tolerant(example.metadata)


def tolerant(text: str) -> Any:
    """The JSON value of the text; its fractions match any number close to them."""
    return json.loads(text, parse_float=lambda digits: pytest.approx(float(digits), 1e-3, 1e-6))


def curl_lines(document: Path) -> Iterator[tuple[str, str]]:
    """The path and body of every `curl` line that posts."""
    shells = "\n".join(block.text for block in blocks(document) if block.language == "bash")
    for line in re.findall(r"^curl .*", shells.replace("\\\n", " "), re.MULTILINE):
        words = shlex.split(line)
        if "-d" in words:
            address = next(word for word in words if word.startswith("http://"))
            yield re.sub(r"http://[^/]+", "", address), words[words.index("-d") + 1]
