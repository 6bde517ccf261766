"""Images in binData, as documented for the MNIST server, and as changed by parameters."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import requests
from PIL import Image
from serving import Server

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PIXELS = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)


def digits(directory: Path, *shape: int) -> Any:
    """Save a classifier for images of this shape in the directory; returns the model."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input(shape), *layers])
    model.export(directory, verbose=False)
    return model


def image(pixels: Any, kind: str = "PNG") -> bytes:
    """An image file with these pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def upload(server: Server, content: bytes) -> requests.Response:
    """Send an image as `curl -F binData=@file` does."""
    url = f"{server.url}/api/v1.0/predictions"
    return requests.post(url, files={"binData": ("digit.png", content)}, timeout=60)


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1)], ids=str)
def test_the_documented_requests_work(
    shape: tuple[int, ...], tmp_path: Path, serve_model: Callable[..., Server]
) -> None:
    """Rows of 28 x 28, flat rows of 784, and an uploaded image, divided by 255, are accepted."""
    model = digits(tmp_path, *shape)
    expected = np.asarray(model(PIXELS.reshape(1, *shape) / np.float32(255)))
    server = serve_model(tmp_path)
    scaled = PIXELS / 255

    rows = server.post({"data": {"ndarray": [scaled.tolist()]}}).json()
    flat = server.post({"data": {"ndarray": [scaled.ravel().tolist()]}}).json()
    uploaded = upload(server, image(PIXELS)).json()

    np.testing.assert_allclose(rows["data"]["ndarray"], expected, rtol=1e-4)
    assert flat["data"]["ndarray"] == rows["data"]["ndarray"]
    assert uploaded["data"]["tensor"]["shape"] == [1, 10]
    np.testing.assert_allclose([uploaded["data"]["tensor"]["values"]], expected, rtol=1e-4)


def test_an_image_may_be_base64(tmp_path: Path, serve_model: Callable[..., Server]) -> None:
    """An image may be sent as Base64 in JSON."""
    digits(tmp_path, 28, 28)
    server = serve_model(tmp_path)
    content = image(PIXELS)

    told = server.post({"binData": base64.b64encode(content).decode()})

    assert told.status_code == 200
    assert told.json()["data"] == upload(server, content).json()["data"]


def test_a_colour_image_reaches_a_model_of_colour_images(
    tmp_path: Path, serve_model: Callable[..., Server]
) -> None:
    """A colour model gets channels last, as in Keras; a one-channel model gets greyscale."""
    colours = np.random.default_rng(1).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    model = digits(tmp_path, 8, 6, 3)

    answer = upload(serve_model(tmp_path), image(colours)).json()

    expected = np.asarray(model(colours[None] / np.float32(255)))
    np.testing.assert_allclose([answer["data"]["tensor"]["values"]], expected, rtol=1e-4)


def test_parameters_say_how_images_are_prepared(
    tmp_path: Path, serve_model: Callable[..., Server]
) -> None:
    """Parameters prepare a grey image of another size for a colour model of values from -1 to 1."""
    model = digits(tmp_path, 28, 28, 3)
    server = serve_model(
        tmp_path,
        image_mode="RGB",
        image_size="28x28",
        image_resampling="nearest",
        image_scale="0.00784313725490196",
        image_mean="1",
    )

    answer = upload(server, image(np.kron(PIXELS, np.ones((2, 2), np.uint8)))).json()

    prepared = np.stack([PIXELS] * 3, -1)[None] / np.float32(127.5) - 1
    expected = np.asarray(model(prepared))
    np.testing.assert_allclose([answer["data"]["tensor"]["values"]], expected, rtol=1e-3)


def test_an_image_of_the_wrong_size_or_none_is_refused(
    tmp_path: Path, serve_model: Callable[..., Server]
) -> None:
    """For a wrong size, the message names the parameter; for other data, it says so."""
    digits(tmp_path, 28, 28)
    server = serve_model(tmp_path)

    large = upload(server, image(np.zeros((30, 28), np.uint8)))
    text = upload(server, b"no image")

    assert (large.status_code, text.status_code) == (400, 400)
    assert "image_size" in large.json()["status"]["info"]
    assert "image" in text.json()["status"]["info"]
