import base64
import io
import json
import sys
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from google.protobuf import json_format
from PIL import Image
from seldon_core import seldon_methods
from seldon_core.metrics import SeldonMetrics
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc

from prepackaged import (
    Artifact,
    ClientError,
    Column,
    DeploymentError,
    ModelError,
    Signature,
    TensorComponent,
    TensorSpec,
)
from prepackaged.testing import serve

VECTOR = TensorSpec("x", "float32", (None, 3))
WORDS = TensorSpec("words", "str", (None, 1))
AGE = TensorSpec("age", "float32", (None, 1))
CITY = TensorSpec("city", "str", (None,))
PIXELS = TensorSpec("pixels", "uint8", (None, None, None, 3))
MASK = TensorSpec("mask", "bool", (None, 3), optional=True)


@pytest.fixture(autouse=True)
def excepthook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every component sets the hook for uncaught errors; give it back after the test."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


class Echo(TensorComponent):
    """Answers its inputs under their own names."""

    platform = "echo"

    def __init__(self, *inputs: TensorSpec, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.inputs = inputs
        self.load()

    def load_model(self, artifact: Artifact | None) -> None:
        self.signature = Signature(self.inputs, self.inputs)
        self.batchable = self.stacks()

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        return self.payload(self.tensors(X, feature_names))


def given(*specs: TensorSpec, X: Any, names: Any = None) -> dict[str, Any]:
    """What the model's framework is given for a request, as lists."""
    return {name: array.tolist() for name, array in Echo(*specs).tensors(X, names).items()}


def refusal(*specs: TensorSpec, X: Any, names: Any = None) -> str:
    """The message that a client gets for a request."""
    with pytest.raises(ClientError) as caught:
        Echo(*specs).tensors(X, names)
    return str(caught.value)


def image() -> bytes:
    """A PNG of one red pixel."""
    file = io.BytesIO()
    Image.new("RGB", (1, 1), "red").save(file, "PNG")
    return file.getvalue()


# One input


@pytest.mark.parametrize(
    ("payload", "names"),
    [
        (np.array([[1, 2, 3]]), []),
        (np.array([[1.0, 2.0, 3.0]]), None),
        (np.array([[1, 2, 3]]), ["a", "b", "c"]),
        (np.array([[1, 2, 3]], dtype=object), ["x"]),
        ([[1, 2, 3]], []),
        ({"x": [[1, 2, 3]]}, []),
        ({"x": np.array([[1, 2, 3]])}, None),
    ],
)
def test_a_single_input_takes_every_payload_of_numbers(payload: Any, names: Any) -> None:
    """An array, lists and an object with its name are the same; names of columns say nothing."""
    arrays = Echo(VECTOR).tensors(payload, names)
    assert list(arrays) == ["x"]
    assert arrays["x"].dtype == np.float32
    assert arrays["x"].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    "payload", ["hi", np.array([["hi"]]), [["hi"]], ["hi"], {"words": [["hi"]]}]
)
def test_an_input_of_text_takes_strings(payload: Any) -> None:
    """A string is one row of it."""
    assert given(WORDS, X=payload) == {"words": [["hi"]]}


def test_a_string_is_one_row_of_what_has_no_other_axis() -> None:
    """The same for a shape with the batch alone, and for one that nobody knows."""
    assert given(CITY, X="Paris") == {"city": ["Paris"]}
    assert given(TensorSpec("city", "str"), X="Paris") == {"city": ["Paris"]}


def test_an_input_of_bytes_takes_a_file_as_it_is() -> None:
    """A model that decodes images itself is given the bytes."""
    assert given(TensorSpec("image", "bytes", (None,)), X=b"\xff\xd8") == {"image": [b"\xff\xd8"]}


def test_an_image_becomes_the_input() -> None:
    """Bytes are decoded into what the input takes."""
    assert given(PIXELS, X=image()) == {"pixels": [[[[255, 0, 0]]]]}


def test_the_image_parameters_are_the_deployments() -> None:
    """A component hands its parameters on to the preprocessing, and its own usual layout."""
    parameters = {"image_mode": "L", "image_size": "2x1", "image_scale": "1/76", "image_mean": "1"}
    more = {"image_std": "2", "image_resampling": "nearest", "image_layout": "NCHW"}
    component = Echo(TensorSpec("x", "float32"), **parameters, **more)
    assert component.tensors(image())["x"].tolist() == [[[[0.0], [0.0]]]]


def test_a_component_has_the_layout_of_its_framework() -> None:
    """Where the model does not tell the layout, the class does."""

    class ChannelsFirst(Echo):
        usual_layout = "NCHW"

    answer = ChannelsFirst(TensorSpec("x", None)).tensors(image())["x"]
    assert answer.shape == (1, 3, 1, 1)


@pytest.mark.parametrize(
    ("payload", "got"),
    [
        ("hi", "expected float32 of shape [n, 3], got a string"),
        (None, "expected float32 of shape [n, 3], got null"),
        ([[1, 2]], "expected float32 of shape [n, 3], got shape [1, 2]"),
        ([["a", 1, 2]], "expected float32 of shape [n, 3], got 'a' at [0, 0]"),
        ({"x": {"y": 1}}, "expected float32 of shape [n, 3], got an object"),
        ({"x": "hi"}, "expected float32 of shape [n, 3], got a string"),
    ],
)
def test_another_payload_is_refused(payload: Any, got: str) -> None:
    """The error names the input, what it takes and what it got."""
    assert refusal(VECTOR, X=payload) == f"input 'x': {got}"


def test_an_image_for_numbers_is_refused() -> None:
    """Rows of three numbers are no image."""
    assert refusal(VECTOR, X=image()) == (
        "got an image: input 'x' takes float32 of shape [n, 3], which is no image"
    )


# Several inputs


def test_several_inputs_come_by_name() -> None:
    """In any order, each in its own shape and dtype."""
    payload = {"words": [["a"], ["b"]], "x": [[1, 2, 3], [4, 5, 6]]}
    assert given(VECTOR, WORDS, X=payload) == {
        "x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        "words": [["a"], ["b"]],
    }


def test_missing_and_unknown_names_are_listed() -> None:
    """The error says which, and what each input is."""
    assert refusal(VECTOR, WORDS, X={"x": [[1, 2, 3]], "word": ["a"], "y": 1}) == (
        "expected 'x' (float32 of shape [n, 3]), 'words' (text of shape [n, 1]), by name;"
        " missing: words; unknown: word, y"
    )


@pytest.mark.parametrize(
    ("payload", "got"),
    [
        (np.zeros((1, 3)), "an array of shape [1, 3]"),
        ([[1, 2, 3]], "a list"),
        ("hi", "a string"),
        (b"\x89PNG", "binData"),
        (None, "null"),
    ],
)
def test_a_payload_without_names_is_refused(payload: Any, got: str) -> None:
    """Which of several inputs it is for cannot be guessed."""
    assert refusal(VECTOR, WORDS, X=payload) == (
        "expected jsonData with 'x' (float32 of shape [n, 3]), 'words' (text of shape [n, 1]),"
        f" by name, got {got}"
    )


def test_inputs_have_as_many_rows_as_each_other() -> None:
    """The error counts the rows of each."""
    assert refusal(VECTOR, WORDS, X={"x": [[1, 2, 3]] * 2, "words": [["a"]]}) == (
        "expected as many rows in every input; 'x' has 2, 'words' has 1"
    )


@pytest.mark.parametrize("shape", [(), (2, 2)])
def test_an_input_that_is_no_batch_has_its_own_size(shape: tuple[int, ...]) -> None:
    """What has no free first axis is the same for all rows."""
    values = np.ones(shape, np.float32).tolist()
    arrays = Echo(VECTOR, TensorSpec("weights", "float32", shape)).tensors(
        {"x": [[1, 2, 3]] * 5, "weights": values}
    )
    assert arrays["x"].shape == (5, 3)
    assert arrays["weights"].tolist() == values


@pytest.mark.parametrize(
    ("payload", "names"),
    [
        (np.array([["Paris", 7], ["Oslo", 8]], dtype=object), ["city", "age"]),
        (np.array([[7, "Paris"], [8, "Oslo"]], dtype=object), ["age", "city"]),
        ([["Paris", 7], ["Oslo", 8]], ["city", "age"]),
        ([{"city": "Paris", "age": 7}, {"age": 8, "city": "Oslo"}], []),
        ({"age": [7, 8], "city": ["Paris", "Oslo"]}, []),
    ],
)
def test_inputs_of_one_value_a_row_come_as_columns(payload: Any, names: list[str]) -> None:
    """A table whose columns are named after the inputs, records, or each input by name."""
    assert given(AGE, CITY, X=payload, names=names) == {
        "age": [[7.0], [8.0]],
        "city": ["Paris", "Oslo"],
    }


def test_columns_with_other_names_are_refused() -> None:
    """Columns are known by their names, not by their places."""
    assert refusal(AGE, CITY, X=[[7, "Paris"]], names=["age", "town"]) == (
        "column names are wrong: missing: city; unknown: town; expected age, city"
    )


def test_columns_without_names_are_refused() -> None:
    """The order of a model's inputs is nobody's agreement."""
    assert refusal(AGE, CITY, X=np.array([[7, 8]])) == (
        "expected jsonData with 'age' (float32 of shape [n, 1]), 'city' (text of shape [n]),"
        " by name, got an array of shape [1, 2]"
    )


def test_an_optional_input_may_be_left_out() -> None:
    """A payload without names is for the input that the model needs."""
    assert given(VECTOR, MASK, X=[[1, 2, 3]]) == {"x": [[1.0, 2.0, 3.0]]}
    assert given(VECTOR, MASK, X={"x": [[1, 2, 3]]}) == {"x": [[1.0, 2.0, 3.0]]}
    assert given(VECTOR, MASK, X={"x": [[1, 2, 3]], "mask": [[1, 0, 1]]}) == {
        "x": [[1.0, 2.0, 3.0]],
        "mask": [[True, False, True]],
    }


# Answers


def test_a_single_output_is_answered_as_the_array() -> None:
    """So that the answer keeps the request's kind."""
    output = np.ones((2, 3), np.float32)
    assert Echo(VECTOR).payload({"y": output}) is output


def test_a_single_number_is_answered_as_an_array() -> None:
    """An output without axes becomes an array of one value."""
    answer = Echo(VECTOR).payload({"loss": np.array(0.5)})
    assert isinstance(answer, np.ndarray)
    assert answer.tolist() == [0.5]


def test_several_outputs_are_answered_as_lists_by_name() -> None:
    """What JSON can hold, whatever the dtypes."""
    outputs = {
        "scores": np.array([[0.5]], np.float32),
        "ids": np.array([7]),
        "labels": np.array([["kös".encode()]], dtype=object),
        "count": np.array(3),
    }
    answer = Echo(VECTOR).payload(outputs)
    assert json.loads(json.dumps(answer)) == {
        "scores": [[0.5]],
        "ids": [7],
        "labels": [["kös"]],
        "count": 3,
    }


@pytest.mark.parametrize("dtype", [object, bytes])
def test_text_is_answered_as_text(dtype: Any) -> None:
    """Frameworks that keep text as bytes do not show it that way to clients."""
    answer = Echo(VECTOR).payload({"labels": np.array([[b"cat"], [b"dog"]], dtype=dtype)})
    assert isinstance(answer, np.ndarray)
    assert answer.tolist() == [["cat"], ["dog"]]


def test_bytes_that_are_no_text_are_the_models_mistake() -> None:
    """They have no place in an array of JSON."""
    with pytest.raises(ModelError, match="output 'labels' has bytes that are no text"):
        Echo(VECTOR).payload({"labels": np.array([b"\xff"], dtype=object)})


# What is known of the model


@pytest.mark.parametrize(
    ("inputs", "outputs", "stacks"),
    [
        ([(None, 3)], [(None, 2)], True),
        ([(None, 3), (None,)], [(None, 2)], True),
        ([None], [], True),
        ([(None, 3)], [None], True),
        ([(1, 3)], [(1, 2)], False),
        ([(None, 3)], [(2,)], False),
        ([(None, 3)], [()], False),
        ([(None, 3)], [(None, 2), (None,)], False),
    ],
)
def test_requests_stack_where_first_axes_are_the_batch(
    inputs: list[Any], outputs: list[Any], stacks: Any
) -> None:
    """A fixed number of rows, or several outputs, cannot be put together and split again."""
    component = TensorComponent()
    component.signature = Signature(
        tuple(TensorSpec(f"i{n}", "float32", shape) for n, shape in enumerate(inputs)),
        tuple(TensorSpec(f"o{n}", "float32", shape) for n, shape in enumerate(outputs)),
    )
    assert component.stacks() is stacks


def test_image_parameters_that_do_not_fit_stop_the_start() -> None:
    """The model's input is compared with the parameters once it is loaded."""
    with pytest.raises(DeploymentError, match="and image_mode is L"):
        Echo(PIXELS, image_mode="L")
    with pytest.raises(DeploymentError, match="are for models of one input, not of x, words"):
        Echo(VECTOR, WORDS, image_mode="L")
    with pytest.raises(DeploymentError, match="the parameter image_mode must be one of L, RGB"):
        Echo(PIXELS, image_mode="BGR")


def test_an_optional_input_is_no_second_input_for_images() -> None:
    """Image parameters are for the input that the model needs."""
    assert Echo(PIXELS, MASK, image_mode="RGB").ready


@pytest.mark.parametrize("signature", [None, Signature(), Signature((Column("age"),))])
def test_a_model_of_tensors_must_say_which(signature: Signature | None) -> None:
    """Without inputs no request could be read: the author is told at the start."""

    class Silent(TensorComponent):
        def load_model(self, artifact: Artifact | None) -> None:
            self.signature = signature

    with pytest.raises(TypeError, match=r"load_model must set self\.signature"):
        Silent().load()


def test_metadata_has_every_tensor() -> None:
    """Names, datatypes and shapes are in the answer to GET /metadata."""
    metadata = seldon_methods.init_metadata(Echo(VECTOR, WORDS))
    tensors = [
        {"name": "x", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "words", "datatype": "BYTES", "shape": [-1, 1]},
    ]
    assert metadata["inputs"] == tensors
    assert metadata["outputs"] == tensors
    assert metadata["platform"] == "echo"


# On the wire

NUMBERS = {"data": {"tensor": {"shape": [1, 3], "values": [1.0, 2.0, 3.0]}}}
SEVERAL = {"jsonData": {"x": [[1.0, 2.0, 3.0]], "words": [["a"]]}}
IMAGE = {"binData": base64.b64encode(image()).decode()}
RED = {"data": {"tensor": {"shape": [1, 1, 1, 3], "values": [255, 0, 0]}}}
EXCHANGES = {
    "one input": ([VECTOR], NUMBERS, NUMBERS),
    "several inputs": ([VECTOR, WORDS], SEVERAL, SEVERAL),
    "an image": ([PIXELS], IMAGE, RED),
}


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_requests_are_answered_by_our_microservice(exchange: Any) -> None:
    """Over REST and gRPC, whatever the kinds of request and answer."""
    inputs, request, answer = exchange
    with serve(Echo(*inputs)) as server:
        rest = requests.post(f"{server.url}/api/v1.0/predictions", json=request, timeout=60)
        with grpc.insecure_channel(server.grpc) as channel:
            stub = prediction_pb2_grpc.ModelStub(channel)
            message = json_format.ParseDict(request, prediction_pb2.SeldonMessage())
            called = json_format.MessageToDict(stub.Predict(message, timeout=60))
    assert told(rest.json()) == told(called) == told(answer)


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_requests_are_answered_by_seldons_microservice(exchange: Any) -> None:
    """The same through seldon_core's own functions."""
    inputs, request, answer = exchange
    model = Echo(*inputs)
    rest = seldon_methods.predict(model, request, SeldonMetrics())
    message = json_format.ParseDict(request, prediction_pb2.SeldonMessage())
    called = json_format.MessageToDict(seldon_methods.predict(model, message, SeldonMetrics()))
    assert told(json.loads(json.dumps(rest))) == told(called) == told(answer)


def test_an_image_may_be_sent_as_a_file() -> None:
    """As PrimeHub documents it: curl -F binData=@image.png."""
    with serve(Echo(PIXELS)) as server:
        url = f"{server.url}/api/v1.0/predictions"
        response = requests.post(url, files={"binData": image()}, timeout=60)
    assert told(response.json()) == told(RED)


def told(message: dict[str, Any]) -> Any:
    """What a message says, less what names and meta add to it."""
    said = message.get("jsonData") or message["data"]
    return {key: said[key] for key in said if key != "names"}
