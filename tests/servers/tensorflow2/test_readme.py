"""The examples in tensorflow2's README are correct."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from documents import MOUNTED, Example, assert_shown, examples, lay_out
from serving import ROOT, serve_here

from prepackaged import DeploymentError

DIGITS = (ROOT / "tensorflow2/example/train.py").read_text()
EXAMPLES = examples(ROOT / "tensorflow2/README.md")
SERVING = [example for example in EXAMPLES if not example.last_log_line]
FAILING = [example for example in EXAMPLES if example.last_log_line]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of the image's example, trained once, because that takes seconds."""
    directory = tmp_path_factory.mktemp("digits")
    lay_out(Example(files={"train.py": DIGITS}), directory)
    return directory / "models/model.keras"


@pytest.fixture
def laid_out(tmp_path: Path, digits: Path) -> Callable[[Example], dict[str, str]]:
    """A function from an example to its parameters; without files it uses the model of digits."""

    def prepare(example: Example) -> dict[str, str]:
        parameters = lay_out(example, tmp_path)
        if not example.files:
            shutil.copy(digits, tmp_path / "models")
        return parameters

    return prepare


def loaded(parameters: dict[str, str]) -> Any:
    """The server's Model with these parameters."""
    from Model import Model

    model = Model(**parameters)
    model.load()
    return model


@pytest.mark.parametrize("example", SERVING)
def test_every_request_gets_the_answer_shown(
    example: Example, laid_out: Callable[..., dict[str, str]]
) -> None:
    """For each model of the README, each request gets the shown answer."""
    with serve_here(loaded(laid_out(example))) as server:
        assert_shown(server, example)


@pytest.mark.parametrize("example", FAILING)
def test_every_last_log_line_is_the_one_shown(
    example: Example, laid_out: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    """The last log line of a broken deployment is the one in the README."""
    parameters = laid_out(example)

    with pytest.raises(DeploymentError) as caught:
        loaded(parameters)

    assert str(caught.value).replace(str(tmp_path / "models"), MOUNTED) == example.last_log_line
