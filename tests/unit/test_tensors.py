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
    """Restore the hook for uncaught exceptions, which every component replaces."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


class Echo(TensorComponent):
    """A model that returns its inputs under their names."""

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
    """Return the arrays that the framework gets for a request, as lists."""
    return {name: array.tolist() for name, array in Echo(*specs).tensors(X, names).items()}


def refusal(*specs: TensorSpec, X: Any, names: Any = None) -> str:
    """Return the error message for a request."""
    with pytest.raises(ClientError) as caught:
        Echo(*specs).tensors(X, names)
    return str(caught.value)


def image() -> bytes:
    """Return a PNG of one red pixel."""
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
    """A single input accepts arrays, lists or an object with its name, and ignores column names."""
    arrays = Echo(VECTOR).tensors(payload, names)
    assert list(arrays) == ["x"]
    assert arrays["x"].dtype == np.float32
    assert arrays["x"].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    "payload", ["hi", np.array([["hi"]]), [["hi"]], ["hi"], {"words": [["hi"]]}]
)
def test_an_input_of_text_takes_strings(payload: Any) -> None:
    """A text input accepts strings in any nesting."""
    assert given(WORDS, X=payload) == {"words": [["hi"]]}


def test_a_string_is_one_row_of_an_input_without_other_axes() -> None:
    """A string is one row also if the shape is only the batch, or is unknown."""
    assert given(CITY, X="Paris") == {"city": ["Paris"]}
    assert given(TensorSpec("city", "str"), X="Paris") == {"city": ["Paris"]}


def test_an_input_of_bytes_takes_a_file_as_it_is() -> None:
    """A bytes input gets binary data unchanged."""
    assert given(TensorSpec("image", "bytes", (None,)), X=b"\xff\xd8") == {"image": [b"\xff\xd8"]}


def test_an_image_is_decoded_for_an_image_input() -> None:
    """Binary data for an image input is decoded."""
    assert given(PIXELS, X=image()) == {"pixels": [[[[255, 0, 0]]]]}


def test_the_image_parameters_of_the_deployment_are_applied() -> None:
    """The image parameters of a component are applied."""
    parameters = {"image_mode": "L", "image_size": "2x1", "image_scale": "1/76", "image_mean": "1"}
    more = {"image_std": "2", "image_resampling": "nearest", "image_layout": "NCHW"}
    component = Echo(TensorSpec("x", "float32"), **parameters, **more)
    assert component.tensors(image())["x"].tolist() == [[[[0.0], [0.0]]]]


def test_a_component_has_the_layout_of_its_framework() -> None:
    """If the model's layout is unknown, the class's usual layout is used."""

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
    """The error names the input, what it accepts and what was sent."""
    assert refusal(VECTOR, X=payload) == f"input 'x': {got}"


def test_an_image_for_numbers_is_refused() -> None:
    """An image is refused if the input is not an image."""
    assert refusal(VECTOR, X=image()) == (
        "got an image: input 'x' takes float32 of shape [n, 3], which is not an image"
    )


def test_the_error_for_a_file_that_is_no_image_says_so() -> None:
    """If binary data is no image, the error says so."""
    assert refusal(VECTOR, X=b"1,2,3") == (
        "got 5 bytes that are not an image: input 'x' takes float32 of shape [n, 3],"
        " which is not an image"
    )


# Several inputs


def test_several_inputs_are_matched_by_name() -> None:
    """Several inputs are matched by name, each with its own shape and dtype."""
    payload = {"words": [["a"], ["b"]], "x": [[1, 2, 3], [4, 5, 6]]}
    assert given(VECTOR, WORDS, X=payload) == {
        "x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        "words": [["a"], ["b"]],
    }


def test_missing_and_unknown_names_are_listed() -> None:
    """The error lists missing and unknown names and describes each input."""
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
    """A payload without names is refused if there are several inputs."""
    assert refusal(VECTOR, WORDS, X=payload) == (
        "expected an object with 'x' (float32 of shape [n, 3]), 'words' (text of shape [n, 1]),"
        f" by name, got {got}"
    )


def test_inputs_must_have_equal_numbers_of_rows() -> None:
    """If the numbers of rows differ, the error gives the number of each input."""
    assert refusal(VECTOR, WORDS, X={"x": [[1, 2, 3]] * 2, "words": [["a"]]}) == (
        "expected as many rows in every input; 'x' has 2, 'words' has 1"
    )


@pytest.mark.parametrize("shape", [(), (2, 2)])
def test_an_input_that_is_no_batch_has_its_own_size(shape: tuple[int, ...]) -> None:
    """An input without a variable first axis is used for all rows."""
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
def test_inputs_of_one_value_per_row_may_be_columns(payload: Any, names: list[str]) -> None:
    """Inputs of one value per row may be sent as a table, as records or by name."""
    assert given(AGE, CITY, X=payload, names=names) == {
        "age": [[7.0], [8.0]],
        "city": ["Paris", "Oslo"],
    }


def test_columns_with_other_names_are_refused() -> None:
    """Columns with unknown names are refused."""
    assert refusal(AGE, CITY, X=[[7, "Paris"]], names=["age", "town"]) == (
        "expected 'age' (float32 of shape [n, 1]), 'city' (text of shape [n]), by name;"
        " missing: city; unknown: town"
    )


@pytest.mark.parametrize(
    ("payload", "names", "wrong"),
    [
        ([[7, "Paris"]], ["age", "city", "x"], "rows of 3 values, one for each of the names, got"),
        ([7, "Paris"], ["age", "city"], "rows of 2 values, one for each of the names, got an arr"),
        ([[7, "Paris"]], ["age", "age"], "each name once, got twice: age"),
        ([[7, "Paris"], [8]], ["age", "city"], "rows of equal length; row 0 has 2 values, row 1"),
        ([{"age": 7, "city": "a"}, {"age": 7}], [], "record 1 and record 0 differ in their names"),
    ],
)
def test_a_table_that_does_not_suit_its_names_is_refused(
    payload: Any, names: list[str], wrong: str
) -> None:
    """Wrong or repeated names, ragged rows and unequal records are refused."""
    assert wrong in refusal(AGE, CITY, X=payload, names=names)


ID = TensorSpec("id", "int64", (None,))
LARGE = 1623456789012345679  # a float only keeps the first 16 digits


@pytest.mark.parametrize(
    ("payload", "names"),
    [
        ({"id": [LARGE, 2.0], "age": [0.5, None]}, []),
        ([{"id": LARGE, "age": 0.5}, {"id": 2.0, "age": None}], []),
        ([[LARGE, 0.5], [2.0, None]], ["id", "age"]),
        (np.array([[LARGE, 0.5], [2, None]], dtype=object), ["id", "age"]),
    ],
)
def test_an_id_of_64_bits_is_exact_beside_a_fraction(payload: Any, names: list[str]) -> None:
    """Each column is converted separately, so 64-bit integers stay exact beside fractions."""
    arrays = Echo(ID, AGE).tensors(payload, names)
    assert arrays["id"].tolist() == [LARGE, 2]
    assert arrays["age"][0].tolist() == [0.5]
    assert np.isnan(arrays["age"][1]).all()


def test_records_hold_rows_of_any_shape() -> None:
    """Values in records may have any shape, as in TensorFlow Serving's row format."""
    assert given(VECTOR, X=[{"x": [1, 2, 3]}, {"x": [4, 5, 6]}]) == {"x": [[1, 2, 3], [4, 5, 6]]}
    records = [{"x": [1, 2, 3], "words": ["a"]}, {"words": ["b"], "x": [4, 5, 6]}]
    assert given(VECTOR, WORDS, X=records) == {
        "x": [[1, 2, 3], [4, 5, 6]],
        "words": [["a"], ["b"]],
    }


def test_columns_without_names_are_refused() -> None:
    """Columns without names are refused, since the order of inputs is not defined."""
    assert refusal(AGE, CITY, X=np.array([[7, 8]])) == (
        "expected an object with 'age' (float32 of shape [n, 1]), 'city' (text of shape [n]),"
        " by name, got an array of shape [1, 2]"
    )


def test_an_optional_input_may_be_left_out() -> None:
    """An optional input may be omitted; a payload without names is for the required input."""
    assert given(VECTOR, MASK, X=[[1, 2, 3]]) == {"x": [[1.0, 2.0, 3.0]]}
    assert given(VECTOR, MASK, X={"x": [[1, 2, 3]]}) == {"x": [[1.0, 2.0, 3.0]]}
    assert given(VECTOR, MASK, X={"x": [[1, 2, 3]], "mask": [[1, 0, 1]]}) == {
        "x": [[1.0, 2.0, 3.0]],
        "mask": [[True, False, True]],
    }


@pytest.mark.parametrize("payload", [[], np.zeros((0, 3)), {"x": []}])
def test_a_request_without_rows_is_refused(payload: Any) -> None:
    """A request without rows is refused."""
    assert refusal(VECTOR, X=payload) == "expected 'x' (float32 of shape [n, 3]), got no rows"


def test_one_of_several_inputs_may_be_empty() -> None:
    """One of several inputs may be empty, such as the edges of a graph."""
    edges = TensorSpec("edges", "int64", (None, 2), axes=("edges", None))
    past = TensorSpec("past", "float32", (None, 2, None, 4))
    assert given(VECTOR, edges, X={"x": [[1, 2, 3]], "edges": []}) == {
        "x": [[1, 2, 3]],
        "edges": [],
    }
    arrays = Echo(VECTOR, past).tensors({"x": [[1, 2, 3]], "past": [[[], []]]})
    assert arrays["past"].shape == (1, 2, 0, 4)


def test_unequal_sizes_may_be_left_to_the_framework() -> None:
    """With asks_framework_about_sizes, unequal axis sizes are left to the framework."""

    class Asking(Echo):
        asks_framework_about_sizes = True

    arrays = Asking(VECTOR, WORDS).tensors({"x": [[1, 2, 3]] * 2, "words": [["a"]]})
    assert {name: len(array) for name, array in arrays.items()} == {"x": 2, "words": 1}


def test_a_message_lists_twenty_names_and_counts_the_rest() -> None:
    """The error message truncates long lists of names."""
    inputs = [TensorSpec(f"i{number}", "float32", (None,)) for number in range(200)]
    message = refusal(*inputs, X={f"k{number}": 1 for number in range(200)})
    assert message.count(" and 180 more") == 3
    assert len(message) < 2000


# Bytes in JSON

IMAGE_IN_JSON = {"b64": base64.b64encode(image()).decode()}
FILE = TensorSpec("file", "bytes", (None,))


@pytest.mark.parametrize(
    ("payload", "count"),
    [
        (IMAGE_IN_JSON, 1),
        ([IMAGE_IN_JSON], 1),
        ([IMAGE_IN_JSON, IMAGE_IN_JSON], 2),
        ([[IMAGE_IN_JSON], [IMAGE_IN_JSON]], 2),
        (np.array([IMAGE_IN_JSON, IMAGE_IN_JSON], dtype=object), 2),
        (np.array([[IMAGE_IN_JSON]], dtype=object), 1),
        ({"pixels": IMAGE_IN_JSON}, 1),
        ({"pixels": [IMAGE_IN_JSON] * 2}, 2),
        ([{"pixels": IMAGE_IN_JSON}] * 2, 2),
    ],
    ids=range(9),
)
def test_images_may_be_bytes_in_json(payload: Any, count: int) -> None:
    """Images may be Base64 objects wherever a row may be."""
    assert given(PIXELS, X=payload) == {"pixels": [[[[255, 0, 0]]]] * count}


def test_an_image_may_be_one_of_several_inputs() -> None:
    """One of several inputs may be an image, to which the image parameters apply."""
    scale = TensorSpec("scale", "float32", (None, 2))
    pixels = TensorSpec("pixels", "float32", (None, 3, None, None))
    model = Echo(pixels, scale, image_mode="BGR", image_scale="1")
    for payload in (
        {"pixels": IMAGE_IN_JSON, "scale": [[1, 1]]},
        [{"pixels": IMAGE_IN_JSON, "scale": [1, 1]}],
    ):
        arrays = model.tensors(payload)
        assert arrays["pixels"].tolist() == [[[[0]], [[0]], [[255]]]]
        assert arrays["scale"].tolist() == [[1, 1]]


def test_files_may_be_strings_of_several_inputs() -> None:
    """Base64 objects are decoded for bytes inputs, also beside other inputs."""
    count = TensorSpec("count", "int32", ())
    answer = {"file": [image()], "count": 3}
    assert given(FILE, count, X={"file": IMAGE_IN_JSON, "count": 3}) == answer
    assert given(FILE, count, X={"file": [IMAGE_IN_JSON], "count": 3}) == answer
    assert given(FILE, X=IMAGE_IN_JSON) == {"file": [image()]}
    assert given(FILE, X=[IMAGE_IN_JSON, "text"]) == {"file": [image(), "text"]}


@pytest.mark.parametrize(
    ("payload", "wrong"),
    [
        ({"b64": "a"}, 'expected {"b64": "..."} with a string in Base64, got \'a\''),
        ([IMAGE_IN_JSON, {"b64": 5}], 'expected {"b64": "..."} with a string in Base64, got 5'),
        ([IMAGE_IN_JSON, 5], 'expected an image as {"b64": "..."} in each row, got another'),
        ({"b64": "aGVsbG8="}, "expected an image (PNG, JPEG, BMP, GIF, WEBP), got 5 bytes: text"),
        ([[1, IMAGE_IN_JSON]], "input 'pixels': expected uint8 of shape [n, ?, ?, 3]"),
    ],
)
def test_bytes_that_are_no_image_are_refused(payload: Any, wrong: str) -> None:
    """Invalid Base64, mixed values and files that are no images are refused."""
    assert refusal(PIXELS, X=payload).startswith(wrong)


def test_images_of_two_sizes_are_no_batch() -> None:
    """Images of different sizes are refused, with a hint at the parameter image_size."""
    file = io.BytesIO()
    Image.new("RGB", (2, 1)).save(file, "PNG")
    other = {"b64": base64.b64encode(file.getvalue()).decode()}
    assert refusal(PIXELS, X=[IMAGE_IN_JSON, other]) == (
        "input 'pixels': expected images of one size, got [1, 1, 1, 3] and, for image 1,"
        " [1, 1, 2, 3]: resize them, or have the parameter image_size set"
    )
    resized = Echo(PIXELS, image_size="1x1").tensors([IMAGE_IN_JSON, other])["pixels"]
    assert resized.tolist() == [[[[255, 0, 0]]], [[[0, 0, 0]]]]


def test_images_of_a_request_are_bounded_together() -> None:
    """The images of a request are limited in their total number of values."""
    file = io.BytesIO()
    Image.new("L", (4000, 4000)).save(file, "PNG")
    large = {"b64": base64.b64encode(file.getvalue()).decode()}
    assert refusal(PIXELS, X=[large] * 2) == (
        "input 'pixels': expected images of at most 50331648 values together, got 2 images of"
        " 48000000: send them in several requests"
    )
    assert Echo(PIXELS, image_size="2x2").tensors([large] * 3)["pixels"].shape == (3, 2, 2, 3)


def test_an_input_may_be_called_b64() -> None:
    """An input may be named b64; then such an object is its value."""
    assert given(TensorSpec("b64", "int64", (None,)), X={"b64": [1, 2]}) == {"b64": [1, 2]}


def refused_by_the_framework(model: Echo, X: Any) -> str:
    """Return the error message if the framework refuses the input."""

    def run(arrays: Any) -> Any:
        raise ClientError("the model refuses the data: sizes of 27 and 28")

    with pytest.raises(ClientError) as caught:
        model.answer(run, X)
    return str(caught.value)


@pytest.mark.parametrize("payload", [image(), IMAGE_IN_JSON, {"pixels": [IMAGE_IN_JSON]}])
def test_an_image_that_the_framework_refuses_may_need_another_size(payload: Any) -> None:
    """If the framework refuses an image, the error recommends the parameter image_size."""
    assert refused_by_the_framework(Echo(PIXELS), payload) == (
        "the model refuses the data: sizes of 27 and 28; its images may need another size: resize"
        " them, or have the parameter image_size set, such as 640x640"
    )


def test_the_image_size_is_recommended_only_if_it_may_be_the_cause() -> None:
    """The recommendation is omitted for numbers, or if the size is already fixed."""
    told = "the model refuses the data: sizes of 27 and 28"
    fixed = TensorSpec("pixels", "uint8", (None, 1, 1, 3))
    assert refused_by_the_framework(Echo(PIXELS), np.zeros((1, 1, 1, 3))) == told
    assert refused_by_the_framework(Echo(PIXELS, image_size="1x1"), image()) == told
    assert refused_by_the_framework(Echo(fixed), image()) == told


# Results


def test_a_single_output_is_returned_as_an_array() -> None:
    """A single output is returned as an array."""
    output = np.ones((2, 3), np.float32)
    assert Echo(VECTOR).payload({"y": output}) is output


def test_a_single_number_is_returned_as_an_array() -> None:
    """A scalar output is returned as an array of one value."""
    answer = Echo(VECTOR).payload({"loss": np.array(0.5)})
    assert isinstance(answer, np.ndarray)
    assert answer.tolist() == [0.5]


def test_several_outputs_are_returned_as_lists_by_name() -> None:
    """Several outputs are returned as JSON values by name."""
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
def test_text_is_returned_as_text(dtype: Any) -> None:
    """Bytes that are UTF-8 are returned as text."""
    answer = Echo(VECTOR).payload({"labels": np.array([[b"cat"], [b"dog"]], dtype=dtype)})
    assert isinstance(answer, np.ndarray)
    assert answer.tolist() == [["cat"], ["dog"]]


def test_bytes_that_are_not_text_are_returned_as_base64() -> None:
    """Other bytes are returned as Base64 objects."""
    answer = Echo(VECTOR).payload({"image": np.array([image()], dtype=object)})
    assert answer.tolist() == [IMAGE_IN_JSON]


# The signature


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
        ([(None, 3), None], [(None, 2)], False),
        ([(None, 3), (1,)], [(None, 2)], False),
    ],
)
def test_requests_stack_if_first_axes_are_the_batch(
    inputs: list[Any], outputs: list[Any], stacks: Any
) -> None:
    """Requests cannot be stacked if a first axis is fixed, or if there are several outputs."""
    component = TensorComponent()
    component.signature = Signature(
        tuple(TensorSpec(f"i{n}", "float32", shape) for n, shape in enumerate(inputs)),
        tuple(TensorSpec(f"o{n}", "float32", shape) for n, shape in enumerate(outputs)),
    )
    assert component.stacks() is stacks


@pytest.mark.parametrize(
    ("second", "stacks"),
    [
        (TensorSpec("b", "float32", (None, 1), axes=("n", None)), True),
        (TensorSpec("b", "float32", (None, 1), axes=("edges", None)), False),
        (TensorSpec("b", "float32", (None, 1), axes=(None, None)), False),
        (TensorSpec("weights", "float32", (4, 3), optional=True), True),
        (TensorSpec("mask", "bool", (None, 3), axes=("edges", None), optional=True), False),
    ],
)
def test_requests_of_several_inputs_stack_if_they_share_a_batch_axis(
    second: TensorSpec, stacks: Any
) -> None:
    """Inputs can be stacked if they share one batch axis; a replaceable weight does not count."""
    component = TensorComponent()
    first = TensorSpec("a", "float32", (None, 3), axes=("n", None))
    output = TensorSpec("y", "float32", (None, 2))
    component.signature = Signature((first, second), (output,))
    assert component.stacks() is stacks


def test_image_parameters_that_do_not_fit_stop_the_start() -> None:
    """Image parameters that do not fit the model are a deployment error."""
    with pytest.raises(DeploymentError, match="and image_mode is L"):
        Echo(PIXELS, image_mode="L")
    with pytest.raises(DeploymentError, match="is not an image, nor any other of its inputs"):
        Echo(VECTOR, WORDS, image_mode="L")
    with pytest.raises(DeploymentError, match="the parameter image_mode to be one of L, RGB"):
        Echo(PIXELS, image_mode="HSV")


def test_an_optional_input_does_not_affect_the_image_parameters() -> None:
    """An optional input does not affect the image parameters."""
    assert Echo(PIXELS, MASK, image_mode="RGB").ready


@pytest.mark.parametrize("signature", [None, Signature(), Signature((Column("age"),))])
def test_a_model_of_tensors_needs_a_signature(signature: Signature | None) -> None:
    """A tensor model without a signature of tensors fails to load."""

    class Silent(TensorComponent):
        def load_model(self, artifact: Artifact | None) -> None:
            self.signature = signature

    with pytest.raises(TypeError, match=r"load_model must set self\.signature"):
        Silent().load()


def test_metadata_has_every_tensor() -> None:
    """The metadata has the name, datatype and shape of each tensor."""
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
    "an image in JSON": ([PIXELS], {"jsonData": IMAGE_IN_JSON}, RED),
    "an image in a cell": (
        [PIXELS],
        {"data": {"ndarray": [[IMAGE_IN_JSON]]}},
        {"data": {"ndarray": [[[[255, 0, 0]]]]}},
    ),
    "bytes": (
        [FILE],
        {"jsonData": [IMAGE_IN_JSON, "a"]},
        {"data": {"ndarray": [IMAGE_IN_JSON, "a"]}},
    ),
    "bytes in a cell": ([FILE], *[{"data": {"ndarray": [IMAGE_IN_JSON, "a"]}}] * 2),
}


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_requests_are_answered_by_our_microservice(exchange: Any) -> None:
    """Our server answers over REST and gRPC, for all kinds of payload."""
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
    """Upstream's functions answer over REST and gRPC, for all kinds of payload."""
    inputs, request, answer = exchange
    model = Echo(*inputs)
    rest = seldon_methods.predict(model, request, SeldonMetrics())
    message = json_format.ParseDict(request, prediction_pb2.SeldonMessage())
    called = json_format.MessageToDict(seldon_methods.predict(model, message, SeldonMetrics()))
    assert told(json.loads(json.dumps(rest))) == told(called) == told(answer)


def test_an_image_may_be_sent_as_a_file() -> None:
    """An image may be uploaded as a multipart file, as PrimeHub documents it."""
    with serve(Echo(PIXELS)) as server:
        url = f"{server.url}/api/v1.0/predictions"
        response = requests.post(url, files={"binData": image()}, timeout=60)
    assert told(response.json()) == told(RED)


def told(message: dict[str, Any]) -> Any:
    """Return the payload of a message without names and meta."""
    said = message.get("jsonData") or message["data"]
    return {key: said[key] for key in said if key != "names"}
