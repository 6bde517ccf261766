"""The examples in pytorch's README are correct."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from documents import MOUNTED, Example, assert_shown, examples, lay_out
from serving import ROOT, serve_here

from prepackaged import DeploymentError

EXAMPLES = examples(ROOT / "pytorch/README.md")
SERVING = [example for example in EXAMPLES if not example.last_log_line]
FAILING = [example for example in EXAMPLES if example.last_log_line]


@pytest.fixture(scope="module")
def circle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of `make run-pytorch`."""
    directory = tmp_path_factory.mktemp("circle")
    train = ROOT / "pytorch/example/train.py"
    subprocess.run([sys.executable, train, directory], check=True)
    return directory


def laid_out(example: Example, directory: Path, circle: Path) -> dict[str, str]:
    """The Model's arguments for an example; it uses the circle unless it trains a model."""
    parameters = lay_out(example, directory)
    if not example.files:
        shutil.copytree(circle, parameters["model_uri"], dirs_exist_ok=True)
    return {"directory": parameters.pop("model_uri"), **parameters}


@pytest.mark.parametrize("example", SERVING)
def test_every_request_gets_the_answer_shown(
    example: Example, tmp_path: Path, circle: Path, model_of: Callable[..., Any]
) -> None:
    """For each model of the README, each request gets the shown answer."""
    with serve_here(model_of(**laid_out(example, tmp_path, circle))) as server:
        assert_shown(server, example)


@pytest.mark.parametrize("example", FAILING)
def test_every_last_log_line_is_the_one_shown(
    example: Example, tmp_path: Path, circle: Path, model_of: Callable[..., Any]
) -> None:
    """A broken deployment ends with the README's log line."""
    with pytest.raises(DeploymentError) as caught:
        model_of(**laid_out(example, tmp_path, circle))

    assert str(caught.value).replace(str(tmp_path / "models"), MOUNTED) == example.last_log_line
