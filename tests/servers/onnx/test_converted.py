"""Models from real converters, compared with the framework that they were converted from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import Server

CLOSE = {"rel": 1e-5, "abs": 1e-6}


def ask(server: Server, body: Any) -> Any:
    """Post a valid request; returns the JSON answer."""
    answer = server.post(body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def close(expected: Any) -> Any:
    """An expectation: nested lists, equal except for the last digits of float32."""
    return [close(each) for each in expected] if np.ndim(expected) > 1 else approx(expected)


def approx(expected: Any) -> Any:
    """An expectation: a list, equal except for the last digits of float32."""
    return pytest.approx(np.asarray(expected).tolist(), **CLOSE)


@pytest.mark.parametrize(
    ("name", "classes"),
    [("numbered", ["0", "1", "2"]), ("named", ["setosa", "versicolor", "virginica"])],
)
def test_the_probabilities_of_a_classifier_are_an_array_under_its_classes(
    name: str, classes: list[str], sklearn_models: Path, serve_model: Any, answers: Any
) -> None:
    """Probabilities in lists of `{class: probability}`, as converters write, become an array."""
    model = sklearn_models / f"{name}.onnx"
    server = serve_model(model, outputs="output_probability")
    inputs, expected = answers(model)

    data = ask(server, {"data": {"ndarray": inputs["X"].tolist()}})["data"]

    assert data["names"] == classes
    assert data["ndarray"] == close(expected["output_probability"])


@pytest.mark.parametrize("name", ["numbered", "named"])
def test_a_classifier_answers_with_its_label_and_its_probabilities(
    name: str, sklearn_models: Path, serve_model: Any, answers: Any
) -> None:
    """Without the parameter outputs, all outputs are answered by name."""
    model = sklearn_models / f"{name}.onnx"
    inputs, expected = answers(model)

    answer = ask(serve_model(model), {"data": {"ndarray": inputs["X"].tolist()}})["jsonData"]

    assert answer["output_label"] == expected["output_label"].tolist()
    assert answer["output_probability"] == close(expected["output_probability"])


def test_labels_alone_are_answered_in_the_kind_of_the_request(
    sklearn_models: Path, serve_model: Any, answers: Any
) -> None:
    """A single output is answered in the kind of the request, also labels."""
    model = sklearn_models / "numbered.onnx"
    rows = answers(model)[0]["X"]
    tensor = {"shape": list(rows.shape), "values": rows.ravel().tolist()}

    data = ask(serve_model(model, outputs="output_label"), {"data": {"tensor": tensor}})["data"]

    assert data == {"names": [], "tensor": {"shape": [3], "values": [0, 1, 2]}}


def test_a_regressor_predicts(sklearn_models: Path, serve_model: Any, answers: Any) -> None:
    """A regressor answers a column of numbers."""
    model = sklearn_models / "regressor.onnx"
    inputs, expected = answers(model)

    data = ask(serve_model(model), {"data": {"ndarray": inputs["X"].tolist()}})["data"]

    assert data["ndarray"] == close(expected["variable"])


@pytest.mark.parametrize("kind", ["strData", "ndarray", "jsonData", "by name"])
def test_a_text_pipeline_takes_strings(
    kind: str, sklearn_models: Path, serve_model: Any, answers: Any
) -> None:
    """A text pipeline accepts strings, although slim images lack the locale of its vectorizer."""
    model = sklearn_models / "reviews.onnx"
    inputs, expected = answers(model)
    (text, *_), right = inputs["text"].ravel().tolist(), expected["probabilities"][:1]
    bodies = {
        "strData": {"strData": text},
        "ndarray": {"data": {"ndarray": [[text]]}},
        "jsonData": {"jsonData": [text]},
        "by name": {"jsonData": {"text": [text]}},
    }

    data = ask(serve_model(model, outputs="probabilities"), bodies[kind])["data"]

    values = data["ndarray"] if kind == "ndarray" else [data["tensor"]["values"]]
    assert values == close(right)


@pytest.mark.parametrize("form", ["records", "rows", "by name"])
def test_a_pipeline_on_named_columns_takes_records(
    form: str, sklearn_models: Path, serve_model: Any, answers: Any
) -> None:
    """A pipeline with an input for each column, of numbers or text, accepts records."""
    model = sklearn_models / "columns.onnx"
    inputs, expected = answers(model)
    area, city = (inputs[name].ravel().tolist() for name in ("area", "city"))
    pairs = list(zip(area, city, strict=True))
    bodies = {
        "records": {"jsonData": [{"city": city, "area": area} for area, city in pairs]},
        "rows": {"data": {"names": ["area", "city"], "ndarray": pairs}},
        "by name": {"jsonData": {"city": city, "area": area}},
    }

    data = ask(serve_model(model), bodies[form])["data"]

    values = np.ravel(data["ndarray"] if form == "rows" else data["tensor"]["values"])
    assert values.tolist() == approx(expected["variable"].ravel())


def test_a_network_with_a_free_batch_takes_any_number_of_images(
    torch_models: Path, serve_model: Any, answers: Any
) -> None:
    """A network of PyTorch's current exporter, with weights in a second file, is served."""
    model = torch_models / "images.onnx"
    inputs, expected = answers(model)
    assert model.with_suffix(".onnx.data").exists()
    server = serve_model(model)

    for count in (1, 2):
        body = {"data": {"ndarray": inputs["image"][:count].tolist()}}
        assert ask(server, body)["data"]["ndarray"] == close(expected["logits"][:count])


def test_a_network_with_a_batch_of_one_is_run_row_by_row(
    torch_models: Path, serve_model: Any, answers: Any
) -> None:
    """A network whose batch the exporter fixed at 1 accepts any number of rows."""
    model = torch_models / "one_image.onnx"
    inputs, expected = answers(model)
    server = serve_model(model)
    twice = inputs["image"].repeat(2, axis=0).tolist()

    one = ask(server, {"data": {"ndarray": inputs["image"].tolist()}})["data"]["ndarray"]
    two = ask(server, {"data": {"ndarray": twice}})["data"]["ndarray"]

    assert one == close(expected["logits"])
    assert two == [*one, *one]


def test_several_inputs_and_outputs_go_by_name(
    torch_models: Path, serve_model: Any, answers: Any
) -> None:
    """Several inputs and outputs go by name, and integers stay integers for an embedding."""
    model = torch_models / "words.onnx"
    inputs, expected = answers(model)
    body = {"jsonData": {name: value.tolist() for name, value in inputs.items()}}

    answer = ask(serve_model(model), body)["jsonData"]

    assert answer == {name: close(value) for name, value in expected.items()}


def test_a_network_of_half_precision_takes_and_gives_numbers(
    torch_models: Path, serve_model: Any, answers: Any
) -> None:
    """A float16 network accepts and answers numbers."""
    model = torch_models / "half.onnx"
    inputs, expected = answers(model)

    data = ask(serve_model(model), {"data": {"ndarray": inputs["x"].tolist()}})["data"]

    (row,) = data["ndarray"]
    assert row == pytest.approx(expected["y"][0].tolist(), rel=1e-3)


@pytest.mark.parametrize("name", ["images", "one_image"])
def test_the_same_answers_come_through_predict_and_through_the_server(
    name: str, torch_models: Path, model_of: Callable[..., Any], answers: Any
) -> None:
    """A Model can be called directly, without a server."""
    inputs, expected = answers(torch_models / f"{name}.onnx")

    result = model_of(torch_models / f"{name}.onnx").predict(inputs["image"])

    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected["logits"], rtol=1e-5, atol=1e-6)
