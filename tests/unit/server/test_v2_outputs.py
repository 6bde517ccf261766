import datetime
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from prepackaged.errors import ClientError
from prepackaged.server.inference.requests import Prediction
from prepackaged.server.protocols.v2 import json_responses
from prepackaged.server.protocols.v2.outputs import Outputs
from prepackaged.server.protocols.v2.requests import Asked, InferRequest
from prepackaged.signature import Signature, TensorSpec

HTTP_DATE = "Sat, 31 Jan 2026 00:00:00 GMT"  # as in JSON
HEAD = json_responses.head_of("m", "1")


class Plain:
    """A model without a signature."""


class Estimator:
    """A model with several methods."""

    signature = Signature(
        class_names=("no", "yes"),
        method="predict_proba",
        methods=("predict_proba", "predict", "transform"),
    )


class Graph:
    """A model of named outputs."""

    signature = Signature(
        outputs=(TensorSpec("scores", "f4", [None, 2]), TensorSpec("labels", "i8", [None]))
    )


class OfOne:
    """A model of one named output."""

    signature = Signature(outputs=(TensorSpec("scores", "f4", [None, 2]),))


class Series:
    """A column of a DataFrame."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def to_numpy(self) -> Any:
        return self._values


class Frame:
    """The part of pandas' DataFrame that is used here."""

    columns = ("a", 2)

    def to_numpy(self) -> Any:
        """Fail, since no tensor is made of the whole frame."""
        raise AssertionError

    def __getitem__(self, name: Any) -> Any:
        column = {"a": np.array([1, 2]), 2: np.array(["x", None], object)}[name]
        return Series(column)


def request(*names: str, **more: Any) -> InferRequest:
    """Build a request for these outputs."""
    return InferRequest(None, [], outputs=[Asked(name) for name in names], **more)


def answered(model: Any, value: Any, asked: InferRequest) -> list[dict[str, Any]]:
    """Return the response's outputs in JSON, if each method returns the value."""
    outputs = Outputs(model)
    predictions = {method: Prediction(value, [], {}, []) for method in outputs.methods(asked)}
    body, _ = json_responses.encode(HEAD, asked, outputs.selected(asked, predictions), {})
    return list(json.loads(body)["outputs"])


def output(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    """Build an output in JSON."""
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


@pytest.mark.parametrize(
    ("value", "datatype", "shape", "data"),
    [
        (np.array([[0.1, np.nan]], np.float32), "FP32", [1, 2], [0.1, None]),
        (np.array([[0.1], [np.inf]]), "FP64", [2, 1], [0.1, None]),
        (np.array([0.5, 2], np.float16), "FP16", [2], [0.5, 2.0]),
        (np.array([1, 2], np.int32), "INT32", [2], [1, 2]),
        (np.array([2**64 - 1], np.uint64), "UINT64", [1], [2**64 - 1]),
        (np.array([1, 2], ">i8"), "INT64", [2], [1, 2]),
        (np.array([[1, 2], [3, 4]]).T, "INT64", [2, 2], [1, 3, 2, 4]),
        (np.array([True, False]), "BOOL", [2], [True, False]),
        (np.array(["a", "caf\u00e9"]), "BYTES", [2], ["a", "caf\u00e9"]),
        (np.array([b"a", b""], object), "BYTES", [2], ["a", ""]),
        (np.array(["a", None], object), "BYTES", [2], ["a", None]),
        (np.array(["a", np.nan], object), "BYTES", [2], ["a", None]),
        (np.array(["a", Decimal("1.50")], object), "BYTES", [2], ["a", "1.50"]),
        (np.array([1.5, None], object), "FP64", [2], [1.5, None]),
        (np.array([1, "a"], object), "BYTES", [2], ["1", "a"]),
        (np.array(["2026-01-31"], "M8[D]"), "BYTES", [1], ["2026-01-31"]),
        (np.ma.masked_equal(np.array([1, 2]), 2), "FP64", [2], [1.0, None]),
        (np.ma.masked_equal(np.float32([0.5, 2]), 2), "FP32", [2], [0.5, None]),
        (np.ma.masked_equal(np.array([1, 2]), 3), "INT64", [2], [1, 2]),
        (np.ma.masked_equal(np.array(["a", "b"]), "b"), "BYTES", [2], ["a", None]),
        (np.ma.masked_equal(np.array([True, False]), 0), "FP64", [2], [1.0, None]),
        (np.array(7), "INT64", [1], [7]),
        (np.float32(0.5), "FP32", [1], [0.5]),
        ([[1, 2]], "INT64", [1, 2], [1, 2]),
        ([[0, 2**64 - 1]], "UINT64", [1, 2], [0, 2**64 - 1]),
        ([np.array([1, 2]), np.array([3, 4])], "INT64", [2, 2], [1, 2, 3, 4]),
        ([0.5, 2.0**64], "FP64", [2], [0.5, 2.0**64]),
        (np.array(["a", datetime.date(2026, 1, 31)], object), "BYTES", [2], ["a", HTTP_DATE]),
        (Decimal("1.5"), "BYTES", [1], ["1.5"]),
        ("null", "BYTES", [1], ["null"]),
        ('"a"', "BYTES", [1], ['"a"']),
        (["a", "b"], "BYTES", [2], ["a", "b"]),
        ([[1], [2, 3]], "BYTES", [1], ["[[1],[2,3]]"]),
        ("Hello", "BYTES", [1], ["Hello"]),
        (b"Hello", "BYTES", [1], ["Hello"]),
        (True, "BOOL", [1], [True]),
        (1.5, "FP64", [1], [1.5]),
        (None, "BYTES", [1], [None]),
        ({}, "BYTES", [1], ["{}"]),
        (np.zeros((0, 3)), "FP64", [0, 3], []),
    ],
)
def test_a_result_is_a_tensor_of_its_own_datatype(
    value: Any, datatype: str, shape: list[int], data: list[Any]
) -> None:
    """Results are flat tensors of their own datatype; NaN and infinity are null in JSON."""
    assert answered(Plain(), value, request()) == [output("output-0", datatype, shape, data)]


def test_named_results_are_tensors_with_these_names() -> None:
    """Dicts and DataFrames become named tensors; values without a datatype become JSON texts."""
    value = {"a": [1, 2], "b": {"deep": [datetime.date(2026, 1, 31)]}, "c": {"b64": "/w=="}}
    texts = answered(Plain(), value | {"c": "x"}, request())
    assert texts[0] == output("a", "INT64", [2], [1, 2])
    assert texts[1]["datatype"] == "BYTES"
    assert json.loads(texts[1]["data"][0]).keys() == {"deep"}
    assert answered(Plain(), Frame(), request()) == [
        output("a", "INT64", [2], [1, 2]),
        output("2", "BYTES", [2], ["x", None]),
    ]


def test_named_lists_have_the_datatype_of_the_signature() -> None:
    """Lists by name get the datatypes of the signature."""
    value = {"scores": [[0.5, 1.0]], "labels": [1]}
    assert answered(Graph(), value, request()) == [
        output("scores", "FP32", [1, 2], [0.5, 1.0]),
        output("labels", "INT64", [1], [1]),
    ]


@pytest.mark.parametrize(
    ("labels", "datatype"),
    [([0.5], "FP64"), ([2**63], "UINT64"), ([True], "BOOL"), ([1.0], "INT64")],
)
def test_lists_that_the_signature_describes_wrongly_keep_their_values(
    labels: list[Any], datatype: str
) -> None:
    """Values that a declared integer cannot hold are returned as they are."""
    assert answered(Graph(), {"scores": [[0.5, 1.0]], "labels": labels}, request("labels")) == [
        output("labels", datatype, [1], labels)
    ]


@pytest.mark.parametrize(
    ("model", "value", "names", "answers"),
    [
        (Graph(), {"scores": [[1.0, 2.0]], "labels": [1]}, ["labels"], ["labels"]),
        (
            Graph(),
            {"scores": [[1.0, 2.0]], "labels": [1]},
            ["labels", "scores"],
            ["labels", "scores"],
        ),
        (OfOne(), np.zeros((1, 2)), [], ["scores"]),
        (OfOne(), np.zeros((1, 2)), ["scores"], ["scores"]),
        (OfOne(), np.zeros((1, 2)), ["output-0"], ["output-0"]),
        (Plain(), np.zeros((1, 2)), ["output-1"], ["output-1"]),
        (Estimator(), np.zeros((1, 2)), [], ["predict_proba"]),
        (Estimator(), np.zeros((1, 2)), ["output-1", "predict"], ["output-1", "predict"]),
        (Plain(), {"a": [1], "b": [2]}, ["b"], ["b"]),
    ],
)
def test_requested_outputs_are_returned_in_their_order(
    model: Any, value: Any, names: list[str], answers: list[str]
) -> None:
    """The requested outputs are returned in order under their requested names; by default all."""
    assert [each["name"] for each in answered(model, value, request(*names))] == answers


@pytest.mark.parametrize(
    ("model", "value", "name", "text"),
    [
        (Graph(), {}, "x", "output 'x': expected one of scores, labels"),
        (Graph(), {}, "output-0", "output 'output-0': expected one of scores, labels"),
        (
            Estimator(),
            None,
            "x",
            ("output 'x': expected one of predict_proba, predict, transform, output-0, output-1"),
        ),
        (Plain(), np.zeros(1), "x", "output 'x': expected one of output-0, output-1"),
        (Plain(), {"a": 1, "b": 2}, "c", "output 'c': expected one of a, b"),
    ],
)
def test_an_unknown_output_is_refused(model: Any, value: Any, name: str, text: str) -> None:
    """The error for an unknown output lists the existing ones."""
    with pytest.raises(ClientError) as caught:
        answered(model, value, request(name))
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("names", "tags", "methods"),
    [
        ([], {}, [None]),
        (["predict"], {}, ["predict"]),
        (["predict_proba"], {}, [None]),
        (["output-0", "predict_proba", "predict"], {}, [None, "predict"]),
        ([], {"method": "predict"}, ["predict"]),
        (["output-0", "transform"], {"method": "predict"}, ["predict", "transform"]),
        (["predict_proba"], {"method": "predict"}, ["predict_proba"]),
        (["predict_proba", "output-0"], {"method": "predict"}, ["predict_proba", "predict"]),
        (["predict"], {"method": "any"}, ["predict"]),
    ],
)
def test_an_output_names_a_method(
    names: list[str], tags: dict[str, Any], methods: list[str | None]
) -> None:
    """Each requested method is called once; None is the default one, which may be batched."""
    asked = request(*names)
    if tags:
        asked.meta["tags"] = tags
    assert Outputs(Estimator()).methods(asked) == methods


@pytest.mark.parametrize("method", ["any", 7, ["predict"]])
def test_an_unknown_method_is_refused(method: Any) -> None:
    """A method that no requested output replaces must be one of the model's."""
    asked = request("output-0", meta={"tags": {"method": method}})
    with pytest.raises(ClientError) as caught:
        Outputs(Estimator()).methods(asked)
    why = f"expected method as one of predict_proba, predict, transform, got {method!r}"
    assert str(caught.value) == why


def test_classes_are_the_largest_scores_with_index_and_label() -> None:
    """Classification returns the largest scores as "value:index:label", as in Triton."""
    asked = InferRequest(None, [], outputs=[Asked("predict_proba", classes=2)])
    assert answered(Estimator(), np.array([[0.25, 0.75], [1.0, 0.0]]), asked) == [
        output(
            "predict_proba", "BYTES", [2, 2], ["0.75:1:yes", "0.25:0:no", "1.0:0:no", "0.0:1:yes"]
        )
    ]
    narrow = answered(Estimator(), np.array([[0.1, 0.9]], np.float32), asked)
    assert narrow[0]["data"] == ["0.9:1:yes", "0.1:0:no"]
    flags = answered(Estimator(), np.array([[True, False]]), asked)
    assert flags[0]["data"] == ["True:0:no", "False:1:yes"]
    with pytest.raises(ClientError, match="expected classification of rows of scores, got INT64"):
        answered(Estimator(), np.array([1]), asked)


def test_bytes_that_are_not_text_need_binary_or_base64() -> None:
    """BYTES that are not UTF-8 are an error in JSON, which recommends binary data or base64."""
    value = np.array([b"\xff\0"], object)
    with pytest.raises(ClientError, match="binary_data true or content_type base64"):
        answered(Plain(), value, request())
    asked = InferRequest(None, [], outputs=[Asked("output-0", is_base64=True)])
    assert answered(Plain(), value, asked)[0]["data"] == ["/wA="]


def test_binary_outputs_follow_the_json_in_order() -> None:
    """Binary outputs follow the JSON in order; an output's setting overrides the request's."""
    asked = InferRequest(
        None, [], outputs=[Asked("a"), Asked("b", is_binary=False), Asked("c")], is_binary=True
    )
    value = {"a": np.array([1], np.int16), "b": [2], "c": ["x"]}
    outputs = Outputs(Plain()).selected(asked, {None: Prediction(value, [], {}, [])})
    body, size = json_responses.encode(HEAD, asked, outputs, {"tag": 1})
    assert size is not None
    assert json.loads(body[:size]) == {
        "model_name": "m",
        "model_version": "1",
        "parameters": {"tag": 1},
        "outputs": [
            {"name": "a", "datatype": "INT16", "shape": [1], "parameters": {"binary_data_size": 2}},
            output("b", "INT64", [1], [2]),
            {"name": "c", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}},
        ],
    }
    assert body[size:] == b"\1\0" + b"\1\0\0\0x"
