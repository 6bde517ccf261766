"""The examples that the server makes up are requests that the graph answers, or there is none."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import requests
from graphs import Tensors, graph, node

CITIES, NUMBERS = ("Oslo", "Rome"), (3, 5, -7)
ML = {"ai.onnx.ml": 3}


def encoder(inputs: str, output: str, **categories: Any) -> onnx.NodeProto:
    """An encoder that refuses unknown categories."""
    return node("OneHotEncoder", inputs, output, domain="ai.onnx.ml", zeros=0, **categories)


def encoded(inputs: Tensors, nodes: Any) -> onnx.ModelProto:
    """A graph whose output has the encoded columns."""
    return graph(nodes, inputs, {"y": ("float", None)}, opsets=ML)


def concatenated(mask: str) -> onnx.ModelProto:
    """A graph of a past and a present, whose mask covers both."""
    nodes = [node("Concat", "past x", "all", axis=1), node("Mul", "all mask", "y")]
    shapes = {"past": "past", "x": "seq", "mask": mask}
    inputs = {name: ("float", ("batch", each)) for name, each in shapes.items()}
    return graph(nodes, inputs, {"y": ("float", ("batch", None))})


def columns(kind: str, *encoders: onnx.NodeProto) -> onnx.ModelProto:
    """A graph that splits x into columns, each with an encoder."""
    names = [each.input[0] for each in encoders]
    split = node("Split", "x", " ".join(names), axis=1, num_outputs=len(names))
    last = node("Concat", " ".join(each.output[0] for each in encoders), "y", axis=-1)
    return encoded({"x": (kind, ("n", len(names)))}, [split, *encoders, last])


MODELS = {
    "text categories": encoded(
        {"x": ("string", ("n", 1))}, [encoder("x", "y", cats_strings=CITIES)]
    ),
    "two columns of text": columns(
        "string",
        encoder("a", "aa", cats_strings=CITIES),
        encoder("b", "bb", cats_strings=("red", "blue")),
    ),
    "numbers as categories": encoded(
        {"x": ("int64", ("n", 1))}, [encoder("x", "y", cats_int64s=NUMBERS)]
    ),
    "floats as categories": encoded(
        {"x": ("float", ("n", 1))},
        [node("Cast", "x", "whole", to=7), encoder("whole", "y", cats_int64s=NUMBERS)],
    ),
    "text and numbers": encoded(
        {"city": ("string", ("n", 1)), "kind": ("int64", ("n", 1))},
        [
            encoder("kind", "kinds", cats_int64s=NUMBERS),
            encoder("city", "cities", cats_strings=CITIES),
            node("Concat", "kinds cities", "y", axis=-1),
        ],
    ),
    "a sum of sizes": concatenated("past + seq"),
    "a large size": graph(
        [node("AveragePool", "x", "y", kernel_shape=(9, 9))],
        {"x": ("float", ("n", 1, "h", "w"))},
        {"y": ("float", ("n", 1, None, None))},
    ),
    "an index that starts at zero": graph(
        [node("Gather", "table x", "y")],
        {"x": ("int64", ("n",))},
        {"y": ("float", ("n", 2))},
        {"table": np.ones((1, 2), np.float32)},
    ),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_example_is_a_request_that_the_graph_answers(
    model: onnx.ModelProto, tmp_path: Path, serve_model: Any
) -> None:
    """The OpenAPI document has an example for Seldon's protocol and V1, and both are answered."""
    onnx.save(model, tmp_path / "model.onnx")
    server = serve_model(tmp_path)
    paths = requests.get(f"{server.url}/openapi.json", timeout=60).json()["paths"]
    asked = {
        path: item["post"]["requestBody"]["content"]["application/json"].get("example")
        for path, item in paths.items()
        if "requestBody" in item.get("post", {})
    }
    examples = {path: example for path, example in asked.items() if example is not None}

    answers = {path: server.post(example, path) for path, example in examples.items()}

    assert "/api/v1.0/predictions" in examples
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(
        examples, 200
    ), {path: (examples[path], answer.text) for path, answer in answers.items()}


def test_a_graph_that_refuses_all_made_up_inputs_has_no_example(
    tmp_path: Path, serve_model: Any
) -> None:
    """An example that fails is not promised."""
    content = graph(
        [node("Reshape", "x shape", "y")],
        {"x": ("float", ("n", "k"))},
        {"y": ("float", (7, 11))},
        {"shape": np.array([7, 11])},
    )
    onnx.save(content, tmp_path / "model.onnx")
    server = serve_model(tmp_path)

    document = requests.get(f"{server.url}/openapi.json", timeout=60).json()

    body = document["paths"]["/api/v1.0/predictions"]["post"]["requestBody"]
    assert "example" not in body["content"]["application/json"]
    answer = server.post({"x": [[1]]})
    assert answer.status_code == 400
    assert "for example" not in answer.text
