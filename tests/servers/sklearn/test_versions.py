"""Models of every version of scikit-learn that there is an image with, served by this one."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import __version__

import images
import uv

TARGETS = [target for target in images.images()["sklearn"].targets() if not target.is_gpu]
NEEDED = re.compile(r"^(?:scikit-learn|numpy|scipy|joblib)==[\d.]+", re.MULTILINE)


@pytest.fixture(scope="module", params=TARGETS, ids=lambda target: target.name)
def saved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A version, and a directory with what it saves in an environment of its target's releases."""
    target: images.Target = request.param
    directory = tmp_path_factory.mktemp(target.name)
    releases = NEEDED.findall((images.ROOT / target.lock).read_text())
    needed = [word for release in releases for word in ("--with", release)]
    script = Path(__file__).with_name("save.py")
    uv.run("run", "--quiet", "--no-project", "--python", "3.11", *needed, script, directory)
    return target.version(), directory


def test_a_model_answers_as_in_the_version_that_saved_it(
    saved: tuple[str, Path], model_of: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The same version serves it without a word; another one says in the log that it is not it."""
    version, directory = saved
    with np.load(directory / "expected.npz") as expected:
        rows, answer = expected["rows"], expected["answer"]

    model = model_of(directory)

    assert np.array_equal(model.predict(rows, []), answer)
    assert model.custom["saved_with"] == version
    told = f"was saved by scikit-learn {version}, and this image has scikit-learn {__version__}"
    if version == __version__:
        assert caplog.text == ""
    else:
        assert told in caplog.text


def test_the_tests_run_with_a_version_that_there_is_an_image_with() -> None:
    """One of the models above is of this very version."""
    assert __version__ in {target.version() for target in TARGETS}
