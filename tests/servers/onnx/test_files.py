"""Which files the server loads, also through links."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from graphs import graph, node, product, tensor, weights
from onnx import helper, numpy_helper
from onnx.external_data_helper import set_external_data

import uv
from prepackaged import DeploymentError

ROWS, COLUMNS = 40, 30
INPUT = np.linspace(-1, 1, 3 * ROWS, dtype=np.float32).reshape(3, ROWS)
# The last release of each major version of MLflow, with the packages that it needs.
MLFLOW = {
    "1": ("mlflow-skinny==1.30.1", "setuptools<80", "pandas"),
    "2": ("mlflow-skinny==2.22.5", "pandas"),
    "3": ("mlflow-skinny==3.17.2", "pandas"),
}


def assert_answers(model: Any) -> None:
    """Check that the answers are those of the product with the weights."""
    np.testing.assert_allclose(model.predict(INPUT), INPUT @ weights(ROWS, COLUMNS), rtol=1e-5)


def save(path: Path, *, data: str = "") -> None:
    """Save the product; with `data`, its weights go into a separate file of that name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model = product(ROWS, COLUMNS)
    if data:
        (path.parent / data).parent.mkdir(exist_ok=True)
        external = {"save_as_external_data": True, "location": data, "size_threshold": 0}
        onnx.save(model, path, **external)
    else:
        onnx.save(model, path)


@pytest.mark.parametrize("name", ["model.onnx", "product-v2.onnx"])
def test_the_known_name_and_the_only_file_are_loaded(
    name: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """model.onnx, or a single file with a known suffix, is loaded beside other files."""
    save(tmp_path / name)
    (tmp_path / "README.md").touch()

    assert_answers(model_of(tmp_path))


def test_the_known_name_takes_precedence(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """model.onnx precedes other models, such as a quantized one, which must be named."""
    save(tmp_path / "model.onnx")
    (tmp_path / "model_int8.onnx").write_bytes(b"another")

    assert_answers(model_of(tmp_path))


def test_a_file_in_onnxruntimes_own_format_is_loaded(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A file in onnxruntime's format is served, with fewer facts in the metadata."""
    save(tmp_path / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "ort/model.ort")
    (tmp_path / "ort").mkdir()
    onnxruntime.InferenceSession(tmp_path / "model.onnx", options, ["CPUExecutionProvider"])

    model = model_of(tmp_path / "ort")

    assert_answers(model)
    metadata = model.init_metadata()
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, ROWS]}]
    assert "opset" not in metadata["custom"]


@pytest.mark.parametrize("data", ["model.onnx.data", "parts/weights"])
def test_weights_in_a_file_of_their_own_are_found(
    data: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Weights in a separate file, beside the model or in a subdirectory, are found."""
    save(tmp_path / "model.onnx", data=data)

    assert_answers(model_of(tmp_path))


def linked(directory: Path, mount: Path) -> Path:
    """Create a directory of links to the entries of the mount, as PrimeHub's initializer does."""
    directory.mkdir()
    for entry in mount.iterdir():
        (directory / entry.name).symlink_to(entry)
    return directory


@pytest.mark.parametrize("data", ["model.onnx.data", "parts/weights"])
def test_links_into_a_read_only_mount_are_followed(
    data: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Links to files and directories of a read-only mount are followed."""
    save(tmp_path / "mount/model.onnx", data=data)
    for path in [*(tmp_path / "mount").rglob("*"), tmp_path / "mount"]:
        path.chmod(0o555 if path.is_dir() else 0o444)

    assert_answers(model_of(linked(tmp_path / "models", tmp_path / "mount")))


def test_links_may_gather_the_files_from_anywhere(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Links to model and weights in different places work, which onnxruntime itself refuses."""
    save(tmp_path / "saved/model.onnx", data="model.onnx.data")
    models = tmp_path / "models"
    models.mkdir()
    for number, name in enumerate(("model.onnx", "model.onnx.data")):
        (tmp_path / f"place{number}").mkdir()
        real = shutil.move(tmp_path / "saved" / name, tmp_path / f"place{number}/0a1b{number}")
        (models / name).symlink_to(real)

    with pytest.raises(Exception, match="External data path"):
        onnxruntime.InferenceSession(models / "model.onnx", providers=["CPUExecutionProvider"])

    assert_answers(model_of(models))


def test_a_link_to_the_model_alone_finds_the_weights_beside_the_real_file(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """If the model's URI is a link to a file, weights beside the target are found."""
    save(tmp_path / "mount/model.onnx", data="model.onnx.data")
    (tmp_path / "link.onnx").symlink_to(tmp_path / "mount/model.onnx")

    assert_answers(model_of(tmp_path / "link.onnx"))


def test_subgraphs_may_have_weights_in_files_too(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Weights of subgraphs, as in the branches of a condition, are found in separate files."""
    mount = tmp_path / "mount"
    mount.mkdir()
    weight = numpy_helper.from_array(np.array([5, 7], np.float32), "w")
    (mount / "w.bin").write_bytes(weight.raw_data)
    set_external_data(weight, "w.bin")
    weight.ClearField("raw_data")
    branches = {
        f"{name}_branch": helper.make_graph(
            [node("Identity", "w", f"{name}_y")],
            name,
            [],
            [tensor(f"{name}_y", "float", [2])],
            [weight],
        )
        for name in ("then", "else")
    }
    model = graph([node("If", "x", "y", **branches)], {"x": ("bool", ())}, {"y": ("float", [2])})
    (mount / "model.onnx").write_bytes(model.SerializeToString())

    served = model_of(linked(tmp_path / "models", mount))

    assert served.predict({"x": True}).tolist() == [5, 7]


def test_weights_that_are_missing_stop_the_start(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """If the file of weights is missing, the line names it."""
    save(tmp_path / "model.onnx", data="model.onnx.data")
    (tmp_path / "model.onnx.data").unlink()

    with pytest.raises(
        DeploymentError, match=r"weights in 'model\.onnx\.data', which is not beside"
    ):
        model_of(tmp_path)


@pytest.mark.parametrize("location", ["/etc/hostname", "../secret"])
def test_weights_outside_of_the_models_directory_are_not_read(
    location: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Weights outside the model's directory are refused."""
    (tmp_path / "secret").write_bytes(weights(ROWS, COLUMNS).tobytes())
    save(tmp_path / "models/model.onnx", data="w")
    content = onnx.load(tmp_path / "models/model.onnx", load_external_data=False)
    content.graph.initializer[0].external_data[0].value = location
    onnx.save(content, tmp_path / "models/model.onnx")

    with pytest.raises(DeploymentError, match="outside its directory"):
        model_of(tmp_path / "models")


@pytest.mark.parametrize("major", MLFLOW)
def test_models_of_every_mlflow_are_served(
    major: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Models of MLflow 1, 2 and 3 are served; 2 and 3 write weights into a second file."""
    save(tmp_path / "product.onnx")
    wanted = (*MLFLOW[major], "onnx", f"onnxruntime=={onnxruntime.__version__}")
    requirements = [word for each in wanted for word in ("--with", each)]
    script = Path(__file__).with_name("mlflow_save.py")
    run = ("run", "--quiet", "--no-project", "--python", "3.11")
    arguments = (script, tmp_path / "product.onnx", tmp_path / "model")
    uv.run(*run, *requirements, "python", "-W", "ignore", *arguments)

    second_files = list((tmp_path / "model").glob("*.data"))
    assert len(second_files) == (major != "1")
    assert_answers(model_of(linked(tmp_path / "models", tmp_path / "model")))


def test_the_metadata_is_read_off_the_model(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """The metadata has tensors, versions, the producer and the file's metadata_props."""
    content = product()
    content.metadata_props.add(key="owner", value="botany")
    onnx.save(content, tmp_path / "model.onnx")

    metadata = model_of(tmp_path).init_metadata()

    assert metadata == {
        "platform": "onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
        "custom": {
            "owner": "botany",
            "producer": "tests 7",
            "opset": "ai.onnx 20",
            "ir_version": "10",
            "onnxruntime": onnxruntime.__version__,
            "providers": "CPUExecutionProvider",
        },
    }


def test_the_metadata_names_the_classes(sklearn_models: Path, model_of: Callable[..., Any]) -> None:
    """The metadata has the classes of outputs that are lists of `{class: probability}`."""
    custom = model_of(sklearn_models / "named.onnx").init_metadata()["custom"]

    assert custom["classes of output_probability"] == "setosa, versicolor, virginica"
