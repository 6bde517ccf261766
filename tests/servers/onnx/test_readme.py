"""The examples in onnx's README are correct."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import MOUNTED, Example, assert_shown, examples, lay_out
from serving import ROOT, fail_to_serve, serve

SERVER = ROOT / "onnx/server"
IRIS = (ROOT / "onnx/example/train.py").read_text()
EXAMPLES = examples(ROOT / "onnx/README.md")
SERVING = [example for example in EXAMPLES if not example.last_log_line]
FAILING = [example for example in EXAMPLES if example.last_log_line]


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of the image's example, converted once, because that takes seconds."""
    directory = tmp_path_factory.mktemp("iris")
    lay_out(Example(files={"train.py": IRIS}), directory)
    return directory / "models/model.onnx"


@pytest.fixture
def laid_out(tmp_path: Path, iris: Path) -> Callable[[Example], dict[str, str]]:
    """A function from an example to its parameters; without files it uses the model of iris."""

    def prepare(example: Example) -> dict[str, str]:
        parameters = lay_out(example, tmp_path)
        if not example.files:
            shutil.copy(iris, tmp_path / "models")
        return parameters

    return prepare


@pytest.mark.parametrize("example", SERVING)
def test_every_request_gets_the_answer_shown(
    example: Example, laid_out: Callable[..., dict[str, str]]
) -> None:
    """For each model of the README, each request gets the shown answer."""
    with serve(SERVER, **laid_out(example)) as server:
        assert_shown(server, example)


@pytest.mark.parametrize("example", FAILING)
def test_every_last_log_line_is_the_one_shown(
    example: Example, laid_out: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    """A broken deployment ends with status 1 and the README's log line."""
    failed = fail_to_serve(SERVER, **laid_out(example))
    assert failed.status == 1
    last_line = failed.last_line.replace(str(tmp_path / "models"), MOUNTED)
    assert last_line.endswith(example.last_log_line)
