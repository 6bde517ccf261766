"""Models saved by each scikit-learn version that has an image, served by this version."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import __version__

import images
import uv
from prepackaged import DeploymentError

TARGETS = [target for target in images.images()["sklearn"].targets() if not target.is_gpu]
NEEDED = re.compile(r"^(?:scikit-learn|numpy|scipy|joblib)==[\d.]+", re.MULTILINE)


MODELS = ("tree", "columns", "imputer", "boosting", "histogram", "vectors", "text")
# The models of any other version, and of any older one, that must be served, because scikit-learn
# itself can use them. A newer SVC has probability="deprecated", which older versions read as True.
SERVED = {"tree"}
SERVED_OF_OLDER = {"tree", "vectors"}


@pytest.fixture(scope="module", params=TARGETS, ids=lambda target: target.name)
def saved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[images.Target, Path]:
    """A target, and a directory with models that its versions save in a separate environment."""
    target: images.Target = request.param
    directory = tmp_path_factory.mktemp(target.name)
    releases = NEEDED.findall((images.ROOT / target.lock).read_text())
    needed = [word for release in releases for word in ("--with", release)]
    script = Path(__file__).with_name("save.py")
    run = ("run", "--quiet", "--no-project", "--python", "3.11")
    uv.run(*run, *needed, "python", "-W", "ignore", script, directory)
    return target, directory


def loaded(model_of: Callable[..., Any], path: Path) -> tuple[Any, str]:
    """The server's Model for a file, or the message of the error that loading raises."""
    try:
        return model_of(path), ""
    except DeploymentError as error:
        return None, str(error)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_answers_as_in_the_version_that_saved_it_or_says_which_tag_does(
    name: str,
    saved: tuple[images.Target, Path],
    model_of: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model of another version is served with a warning or refused, and a tag is named."""
    target, directory = saved
    monkeypatch.setenv("PREPACKAGED_TAGS", target.known_tags())
    tag = target.short_tags()[0 if target.older else 1]
    advice = (
        f"it was saved by scikit-learn {target.version()}, and this image has scikit-learn"
        f" {__version__}: use the tag {tag}"
    )
    with np.load(directory / f"{name}.npz") as expected:
        rows, answer = expected["rows"], expected["answer"]

    model, refusal = loaded(model_of, directory / f"{name}.joblib")

    if refusal:
        assert name not in (SERVED_OF_OLDER if target.older else SERVED)
        assert refusal.endswith(advice)
        return
    given = rows.tolist() if name == "text" else rows
    assert np.allclose(model.predict(given, []), answer, rtol=1e-9)
    assert model.custom["saved_with"] == target.version()
    assert (advice in caplog.text) == (target.version() != __version__)


def test_the_tests_run_with_a_version_that_there_is_an_image_with() -> None:
    """The scikit-learn version of this test run has an image."""
    assert __version__ in {target.version() for target in TARGETS}
