"""TensorFlow Serving's REST protocol with SavedModels, as in its api_rest.md."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import tensorflow as tf
from serving import Server

MODEL = "/v1/models/model"
FLOATS = tf.TensorSpec([None], tf.float32, "x")
TEXTS = tf.TensorSpec([None], tf.string, "tag")
SIGNALS = tf.TensorSpec([None, 2], tf.float32, "signal")


class HalfPlusTwo(tf.Module):
    """TensorFlow Serving's example, with a second signature `twice`."""

    @tf.function(input_signature=[FLOATS])
    def half(self, x: Any) -> Any:
        return {"y": x / 2 + 2}

    @tf.function(input_signature=[FLOATS])
    def twice(self, x: Any) -> Any:
        return {"y": x * 2}


class Tagged(tf.Module):
    """Two inputs and two outputs, one of them bytes."""

    @tf.function(input_signature=[TEXTS, SIGNALS])
    def __call__(self, tag: Any, signal: Any) -> Any:
        return {"tag_bytes": tag, "total": tf.reduce_sum(signal, axis=1)}


@pytest.fixture
def half(tmp_path: Path, serve_model: Callable[..., Server]) -> Callable[..., Server]:
    """A function that takes parameters and returns a server with the example."""
    module = HalfPlusTwo()
    signatures = {"serving_default": module.half, "twice": module.twice}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    return lambda **parameters: serve_model(tmp_path, **parameters)


def ask(server: Server, body: Any) -> tuple[int, Any]:
    """Post to :predict; returns the status and the JSON answer."""
    response = server.post(body, f"{MODEL}:predict")
    return response.status_code, response.json()


def test_the_example_of_tensorflow_serving_is_answered_as_there(
    half: Callable[..., Server],
) -> None:
    """TensorFlow Serving's example gets its documented answers, as rows and as columns."""
    server = half()
    assert ask(server, {"instances": [1.0, 2.0, 5.0]}) == (200, {"predictions": [2.5, 3.0, 4.5]})
    assert ask(server, {"inputs": {"x": [1.0, 2.0]}}) == (200, {"outputs": [2.5, 3.0]})


def test_the_signature_that_is_served_may_be_named(half: Callable[..., Server]) -> None:
    """A request may name the served signature; others are refused."""
    server = half(signature="twice")
    asked = {"signature_name": "twice", "instances": [{"x": 3}]}
    assert ask(server, asked) == (200, {"predictions": [6.0]})
    assert ask(server, {"signature_name": "serving_default", "instances": [3]}) == (
        400,
        {"error": "expected signature_name as 'twice', got 'serving_default'"},
    )
    told = requests.get(f"{server.url}{MODEL}/metadata", timeout=60).json()
    assert list(told["metadata"]["signature_def"]["signature_def"]) == ["twice"]


def test_bytes_go_both_ways(tmp_path: Path, serve_model: Callable[..., Server]) -> None:
    """Bytes go in and out as objects with `b64`, as rows and as columns."""
    tf.saved_model.save(Tagged(), str(tmp_path))
    server = serve_model(tmp_path)
    tags = [{"b64": base64.b64encode(tag).decode()} for tag in (b"\xff\x00", b"\xfb")]
    rows = [{"tag": tags[0], "signal": [1, 2]}, {"tag": tags[1], "signal": [3, 4]}]
    assert ask(server, {"instances": rows}) == (
        200,
        {"predictions": [{"tag_bytes": tags[0], "total": 3}, {"tag_bytes": tags[1], "total": 7}]},
    )
    columns = {"tag": tags, "signal": [[1, 2], [3, 4]]}
    assert ask(server, {"inputs": columns}) == (
        200,
        {"outputs": {"tag_bytes": tags, "total": [3, 7]}},
    )
    told = requests.get(f"{server.url}{MODEL}/metadata", timeout=60).json()
    described = told["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert {name: each["dtype"] for name, each in described["inputs"].items()} == {
        "tag": "DT_STRING",
        "signal": "DT_FLOAT",
    }
    url_safe = [{"tag": {"b64": "-w=="}, "signal": [1, 2]}]
    status, answer = ask(server, {"instances": url_safe})
    assert (status, "its alphabet is A-Z, a-z, 0-9, + and /" in answer["error"]) == (400, True)


class Finder(tf.Module):
    """For a batch that is fixed at 1: what is found, a row and a number."""

    @tf.function(input_signature=[tf.TensorSpec([1, 3], tf.float32, "x")])
    def __call__(self, x: Any) -> Any:
        return {"found": tf.where(x[0] > 0), "row": x * 2, "sum": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([1, 3], tf.float32, "x")])
    def found(self, x: Any) -> Any:
        return {"found": tf.where(x[0] > 0)}


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("found", [[[1]], [[0], [2]]]),
        (
            "all",
            [
                {"found": [[1]], "row": [0, 4, 0], "sum": 2},
                {"found": [[0], [2]], "row": [2, 0, 6], "sum": 4},
            ],
        ),
    ],
)
def test_one_instance_is_nested_as_several_are(
    signature: str, expected: Any, tmp_path: Path, serve_model: Callable[..., Server]
) -> None:
    """If the batch is fixed at 1, a row gets the prediction that it gets among others."""
    module = Finder()
    signatures = {"found": module.found, "all": module.__call__}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    server = serve_model(tmp_path, signature=signature)
    rows = [[0, 2, 0], [1, 0, 3]]

    answers = [ask(server, {"instances": some}) for some in ([rows[0]], [rows[1]], rows)]

    assert answers == [
        (200, {"predictions": some}) for some in ([expected[0]], [expected[1]], expected)
    ]
