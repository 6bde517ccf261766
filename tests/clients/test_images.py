"""Published clients get the framework's own answers from each image's server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import samples
from clients_of_others import reported
from samples import Sample
from serving import OURS, ROOT, Server, serve

import images
import run
import uv

TRAINING = ROOT / "tests/images/models"
# The skeleton has no model, and a fork has no sample.
HAVE_SAMPLES = {path.stem.removeprefix("train_") for path in TRAINING.glob("train_*.py")}
IMAGES = [name for name in images.images() if name in HAVE_SAMPLES - {"skeleton"}]


@pytest.fixture(scope="module", params=IMAGES)
def image(request: pytest.FixtureRequest) -> str:
    """An image that serves models of arrays."""
    return str(request.param)


@pytest.fixture(scope="module")
def sample(image: str, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A newly trained model, rows, and the framework's own answer."""
    directory = tmp_path_factory.mktemp("sample")
    command = run.training(TRAINING / f"train_{image}.py", run.bin_of(image) / "python")
    subprocess.run([*command, directory], env=uv.environment(), check=True)
    return samples.read(directory)


@pytest.fixture(scope="module")
def server(image: str, sample: Sample) -> Iterator[Server]:
    """The image's server in the image's environment."""
    program, uri = run.bin_of(image) / OURS, str(sample.model)
    with serve(ROOT / image / "server", program=program, model_uri=uri) as started:
        yield started


def answers(
    program: str, server: Server, sample: Sample, directory: Path, environment: str = "clients"
) -> dict[str, Any]:
    """Run a client program on the sample's rows and return the arrays for each way to send them."""
    rows = directory / "rows.json"
    rows.write_text(json.dumps(sample.rows))
    return reported(program, server.url, server.grpc, rows, environment=environment)


def test_kserves_clients(server: Server, sample: Sample, tmp_path: Path) -> None:
    """KServe's clients get the right answer over REST in JSON and binary, and over gRPC."""
    found = answers("kserve_rows.py", server, sample, tmp_path)

    assert set(found) == {"json", "binary", "grpc"}
    for answer in found.values():
        np.testing.assert_allclose(answer, sample.answer, rtol=1e-4)


def test_mlflows_client(server: Server, sample: Sample, tmp_path: Path) -> None:
    """MLflow's client gets the right answer for an array and, if rows are flat, a DataFrame."""
    found = answers("mlflow_rows.py", server, sample, tmp_path)

    assert set(found) == ({"array", "frame"} if np.ndim(sample.rows) == 2 else {"array"})
    for answer in found.values():
        np.testing.assert_allclose(answer, sample.answer, rtol=1e-4)


def test_mlservers_codecs(server: Server, sample: Sample, tmp_path: Path) -> None:
    """MLServer's codecs get the right answer for an array and, if rows are flat, a DataFrame."""
    found = answers("mlserver_rows.py", server, sample, tmp_path, "mlserver")

    assert set(found) == ({"array", "frame"} if np.ndim(sample.rows) == 2 else {"array"})
    for answer in found.values():
        np.testing.assert_allclose(answer, sample.answer, rtol=1e-4)
