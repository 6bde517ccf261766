"""The examples in xgboost's README are correct."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from documents import MOUNTED, Example, assert_shown, examples, lay_out
from serving import ROOT, serve_here
from xgboost import __version__

import images
from prepackaged import DeploymentError

IRIS = (ROOT / "xgboost/example/train.py").read_text()
EXAMPLES = examples(ROOT / "xgboost/README.md")
SERVING = [example for example in EXAMPLES if not example.last_log_line]
FAILING = [example for example in EXAMPLES if example.last_log_line]


def laid_out(example: Example, directory: Path) -> dict[str, str]:
    """Train the example's model, or the iris classifier; returns the server's parameters."""
    example.files.setdefault("train.py", IRIS)
    return lay_out(example, directory)


@pytest.mark.parametrize("example", SERVING)
def test_every_request_gets_the_answer_shown(
    example: Example, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """For each model of the README, each request gets the shown answer."""
    if "category" in example.files.get("train.py", "") and int(__version__.partition(".")[0]) < 3:
        pytest.skip(f"XGBoost {__version__} does not keep the labels of categories yet")
    # The README shows the image's version of XGBoost; the tests may run with another.
    example.metadata = example.metadata.replace(images.find("xgboost").version(), __version__)
    parameters = laid_out(example, tmp_path)
    with serve_here(model_of(parameters.pop("model_uri"), **parameters)) as server:
        assert_shown(server, example)


@pytest.mark.parametrize("example", FAILING)
def test_every_last_log_line_is_the_one_shown(
    example: Example, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A broken deployment ends with the README's log line."""
    parameters = laid_out(example, tmp_path)

    with pytest.raises(DeploymentError) as caught:
        model_of(parameters.pop("model_uri", ""), **parameters)

    assert str(caught.value).replace(str(tmp_path / "models"), MOUNTED) == example.last_log_line
