"""Models that MLflow and Lightning saved in separate environments; answers are compared."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import uv
from prepackaged import DeploymentError

HERE = Path(__file__).parent
# The last release of each major version of MLflow, with the packages that it needs.
MLFLOW = {
    "1": ("mlflow-skinny==1.30.1", "setuptools<80"),
    "2": ("mlflow-skinny==2.22.5", "pytorch-lightning==2.6.6"),
    "3": ("mlflow-skinny==3.17.2", "scipy"),  # which infers a signature
}


@dataclass(frozen=True)
class Saved:
    """A directory of models, and the answers that they gave where they were saved."""

    directory: Path

    def assert_answered(self, model: Any, name: str) -> None:
        """Check that the served model gives the answers that were saved."""
        rows, answers = (
            json.loads((self.directory / f"{each}.json").read_text())
            for each in ("rows", "answers")
        )
        np.testing.assert_allclose(model.predict(np.array(rows)), answers[name], rtol=1e-5)


@pytest.fixture(scope="session")
def saved_by(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Saved]:
    """A function from an MLflow major version to its models; all versions save in parallel."""
    scratch = tmp_path_factory.mktemp("mlflow")

    def save(major: str) -> Saved:
        wanted = (f"torch=={torch.__version__}", "pandas", *MLFLOW[major])
        requirements = [word for each in wanted for word in ("--with", each)]
        run = ("run", "--quiet", "--no-project", "--python", "3.11", *requirements)
        uv.run(*run, "python", "-W", "ignore", HERE / "mlflow_save.py", scratch / major)
        return Saved(scratch / major)

    with ThreadPoolExecutor() as threads:
        saved = dict(zip(MLFLOW, threads.map(save, MLFLOW), strict=True))
    return saved.__getitem__


@pytest.mark.parametrize("major", MLFLOW)
@pytest.mark.parametrize("name", ["of_the_script", "with_code", "torchscript"])
def test_models_of_every_mlflow_are_served(
    name: str, major: str, saved_by: Callable[[str], Saved], model_of: Callable[..., Any]
) -> None:
    """Models pickled with their class, pickled with code files, and TorchScript are served."""
    saved = saved_by(major)

    saved.assert_answered(model_of(saved.directory / name), name)


def test_the_exported_program_that_mlflow_3_saves_is_served(
    saved_by: Callable[[str], Saved], model_of: Callable[..., Any]
) -> None:
    """An exported program, MLflow 3's default format, is served."""
    saved = saved_by("3")

    saved.assert_answered(model_of(saved.directory / "exported"), "exported")


def test_the_class_may_lie_beside_the_pickle(
    saved_by: Callable[[str], Saved],
    model_of: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """The Python file may be in `data`, the layout documented for MLflow's autologging."""
    saved = saved_by("2")
    shutil.copytree(saved.directory / "with_code", tmp_path / "model")
    code, data = (tmp_path / "model" / each / "net_of_mlflow.py" for each in ("code", "data"))
    code.rename(data)

    saved.assert_answered(model_of(tmp_path / "model"), "with_code")


def test_the_metadata_tell_the_version_that_saved_the_model(
    saved_by: Callable[[str], Saved], model_of: Callable[..., Any]
) -> None:
    """The metadata have the PyTorch version that MLflow recorded."""
    model = model_of(saved_by("2").directory / "of_the_script")

    assert model.init_metadata()["custom"]["saved_with"] == torch.__version__


def test_a_lightning_module_that_mlflow_pickled_needs_no_lightning(
    saved_by: Callable[[str], Saved], model_of: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A substitute replaces Lightning, and the log says so."""
    saved = saved_by("2")
    shutil.copy(HERE / "lightning_net.py", saved.directory / "lightning/data")

    model = model_of(saved.directory / "lightning")

    saved.assert_answered(model, "lightning")
    assert "which is not installed: a substitute provides" in caplog.text
    assert model.network.module.hparams == {"features": 4, "classes": 3}


def test_a_lightning_checkpoint_needs_no_lightning(
    saved_by: Callable[[str], Saved], model_of: Callable[..., Any], tmp_path: Path
) -> None:
    """A checkpoint's class is constructed with its hyperparameters, without Lightning."""
    saved = saved_by("2")
    shutil.copy(saved.directory / "last.ckpt", tmp_path / "epoch=0-step=2.ckpt")
    shutil.copy(HERE / "lightning_net.py", tmp_path)

    saved.assert_answered(model_of(tmp_path), "lightning")


def test_a_lightning_checkpoint_fits_a_plain_module_with_the_same_layers(
    saved_by: Callable[[str], Saved], model_of: Callable[..., Any], tmp_path: Path
) -> None:
    """A plain module gets only the hyperparameters that its constructor accepts."""
    saved = saved_by("2")
    shutil.copy(saved.directory / "last.ckpt", tmp_path / "model.ckpt")
    (tmp_path / "net.py").write_text(PLAIN)

    saved.assert_answered(model_of(tmp_path), "lightning")


PLAIN = """
from torch import nn

class PyTorchModel(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.layer = nn.Linear(features, 3)

    def forward(self, x):
        return self.layer(x)
"""


def test_an_mlflow_model_without_its_code_stops_the_start(
    saved_by: Callable[[str], Saved], model_of: Callable[..., Any], tmp_path: Path
) -> None:
    """If the code is missing, the message names the module and where to put its file."""
    shutil.copytree(saved_by("2").directory / "with_code", tmp_path / "model")
    shutil.rmtree(tmp_path / "model/code")
    mlmodel = tmp_path / "model/MLmodel"
    mlmodel.write_text(mlmodel.read_text().replace("code: code", "code: null"))

    with pytest.raises(DeploymentError, match=r"'net_of_mlflow'.*code_paths"):
        model_of(tmp_path / "model")
