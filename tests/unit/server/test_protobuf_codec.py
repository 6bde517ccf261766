import copy
import json
import math
from typing import Any

import numpy as np
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import ListValue, Value
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from seldon_core.proto import prediction_pb2
from seldon_core.user_model import client_class_names
from seldon_core.utils import construct_response, extract_request_parts

from prepackaged.errors import ClientError, ModelError
from prepackaged.server.protocols.seldon.json_codec import Prediction, Request
from prepackaged.server.protocols.seldon.protobuf_codec import decode, encode

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | FINITE | TEXTS
JSON_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)
# values that may share an array, and that upstream does not convert either
CELLS = [FINITE, st.booleans(), TEXTS, st.none() | FINITE, st.dictionaries(TEXTS, SCALARS)]
SHAPES = st.lists(st.integers(0, 3), min_size=1, max_size=3)
METRICS = st.builds(
    prediction_pb2.Metric,
    key=TEXTS,
    type=st.integers(0, 2),
    value=st.floats(-(2.0**126), 2.0**126, width=32) | st.sampled_from([math.nan, math.inf]),
    tags=st.dictionaries(TEXTS, TEXTS, max_size=2),
)
ANYS = st.builds(AnyMessage, type_url=TEXTS, value=st.binary(max_size=5))
ARRAYS = hnp.arrays(
    hnp.integer_dtypes() | hnp.floating_dtypes(sizes=(32, 64)) | st.sampled_from(["?", "<U3"]),
    hnp.array_shapes(max_dims=3, min_side=0, max_side=3),
    elements={"allow_nan": False, "allow_infinity": False},
)
# Enough numbers for vectorised code, in rows whose byte length takes 1, 2 or 3 varint bytes.
LARGE = [(64,), (80, 1), (8, 9), (4, 4, 4), (1, 1, 64), (3, 30), (2, 2000), (2, 3, 40), (2, 1, 99)]


def value_of(plain: Any) -> Value:
    """Build a Value with protobuf's own library."""
    wrapped = ListValue()
    wrapped.extend([plain])
    return wrapped.values[0]


def list_of(plain: list[Any]) -> ListValue:
    """Build a ListValue with protobuf's own library."""
    made = ListValue()
    made.extend(plain)
    return made


@st.composite
def nested_lists(draw: st.DrawFn) -> Any:
    """Generate nested lists of equal lengths."""
    shape, cells = draw(SHAPES), draw(st.sampled_from(CELLS))
    return fill(draw, shape, cells)


def fill(draw: st.DrawFn, shape: list[int], cells: st.SearchStrategy[Any]) -> Any:
    """Fill nested lists of this shape with cells."""
    if not shape:
        return draw(cells)
    return [fill(draw, shape[1:], cells) for _ in range(shape[0])]


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    """Generate a tensor of doubles."""
    array = draw(hnp.arrays("<f8", hnp.array_shapes(max_dims=3)))
    return prediction_pb2.Tensor(shape=array.shape, values=array.ravel())


@st.composite
def metas(draw: st.DrawFn) -> Any:
    """Generate a Meta with all fields set."""
    tags = draw(st.dictionaries(TEXTS, JSON_VALUES, max_size=2))
    return prediction_pb2.Meta(
        puid=draw(TEXTS),
        tags={key: value_of(value) for key, value in tags.items()},
        routing=draw(st.dictionaries(TEXTS, st.integers(-5, 5), max_size=2)),
        requestPath=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
        metrics=draw(st.lists(METRICS, max_size=2)),
    )


NAMES = st.lists(TEXTS, max_size=3)
DATA = (
    st.builds(prediction_pb2.DefaultData, names=NAMES, tensor=tensors())
    | st.builds(prediction_pb2.DefaultData, names=NAMES, ndarray=nested_lists().map(list_of))
    | st.builds(prediction_pb2.DefaultData, names=NAMES)
)
PAYLOADS = st.one_of(
    st.fixed_dictionaries({"data": DATA}),
    st.fixed_dictionaries({"strData": TEXTS}),
    st.fixed_dictionaries({"binData": st.binary(max_size=5)}),
    st.fixed_dictionaries({"jsonData": JSON_VALUES.map(value_of)}),
    st.fixed_dictionaries({"customData": ANYS}),
)


@st.composite
def seldon_messages(draw: st.DrawFn) -> Any:
    """Generate a SeldonMessage with a payload and optional meta."""
    return prediction_pb2.SeldonMessage(
        **draw(PAYLOADS), **draw(st.fixed_dictionaries({}, optional={"meta": metas()}))
    )


def facts(value: Any) -> Any:
    """Return a comparable form of a value, in which NaN equals itself and keys have no order."""
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, facts(value.tolist())
    return json.dumps(value, sort_keys=True, default=repr)


def ndarray(rows: list[Any]) -> Any:
    """Build a message with an ndarray."""
    data = prediction_pb2.DefaultData(ndarray=list_of(rows))
    return prediction_pb2.SeldonMessage(data=data)


def tensor(shape: list[int], values: list[float]) -> Any:
    """Build a message with a tensor."""
    made = prediction_pb2.Tensor(shape=shape, values=values)
    return prediction_pb2.SeldonMessage(data=prediction_pb2.DefaultData(tensor=made))


def refusal(message: Any) -> str:
    """Return the error message for an invalid message."""
    with pytest.raises(ClientError) as caught:
        decode(message)
    return str(caught.value)


def answered(value: Any, kind: str = "ndarray", **rest: Any) -> Any:
    """Return the response to a request of this kind."""
    parts = {"names": [], "tags": {}, "metrics": []} | rest
    return encode(Prediction(value, **parts), Request(None, [], {}, kind=kind))


# Requests


@given(seldon_messages())
def test_messages_are_read_as_upstream_reads_them(message: Any) -> None:
    """Messages are decoded to the same values, dtype, shape, names and meta as upstream."""
    value, meta, datadef, kind = extract_request_parts(copy.deepcopy(message))

    decoded = decode(message)

    assert facts(decoded.value) == facts(value)
    assert (decoded.names, decoded.meta) == (list(datadef.names), meta)
    assert decoded.kind == (
        kind if kind != "data" else datadef.WhichOneof("data_oneof") or "ndarray"
    )


@pytest.mark.parametrize("shape", LARGE)
def test_many_numbers_are_read_in_order(shape: tuple[int, ...]) -> None:
    """Large ndarrays of numbers are decoded with each number in its place."""
    array = np.arange(math.prod(shape)).reshape(shape) / 3

    decoded = decode(ndarray(array.tolist()))

    assert decoded.value.dtype == np.float64
    assert decoded.value.tolist() == array.tolist()


@pytest.mark.parametrize("odd", ["a text", None, True, {}])
@pytest.mark.parametrize("row", [0, 5, 9])
def test_one_other_value_among_many_numbers_is_read(odd: Any, row: int) -> None:
    """One other value among many numbers is decoded, and the numbers stay numbers."""
    rows: list[list[Any]] = [[float(number)] * 10 for number in range(10)]
    rows[row][row] = odd

    assert decode(ndarray(rows)).value.tolist() == rows


@pytest.mark.parametrize("row", [[], [[]], [[], []]])
@pytest.mark.parametrize("count", [1, 200])
def test_rows_without_numbers_are_read(row: list[Any], count: int) -> None:
    """Empty rows, and rows of empty lists, keep their shape, however many there are."""
    value = decode(ndarray([row] * count)).value

    assert value.shape == np.array([row] * count).shape


def test_elements_of_the_size_of_a_number_are_not_mistaken_for_numbers() -> None:
    """List elements with an unknown field of a number's size are not read as numbers."""
    unknown = b"\x0a\x09\x19" + bytes(8)
    message = ndarray([])
    message.data.ndarray.MergeFromString(unknown * 100)

    assert decode(message).value.tolist() == [None] * 100


@pytest.mark.parametrize("count", [1, 100])
def test_nan_and_infinity_are_read_from_an_ndarray(count: int) -> None:
    """NaN and infinity in an ndarray are decoded; upstream fails."""
    values = decode(ndarray([math.nan, math.inf] * count)).value

    assert repr(values.tolist()) == repr([math.nan, math.inf] * count)


def test_nan_and_infinity_are_read_from_meta_and_json() -> None:
    """NaN and infinity in tags and jsonData are decoded."""
    message = prediction_pb2.SeldonMessage(jsonData=value_of({"a": [math.inf]}))
    message.meta.tags["t"].number_value = math.inf

    decoded = decode(message)

    assert (decoded.value, decoded.meta) == ({"a": [math.inf]}, {"tags": {"t": math.inf}})


def test_tftensor_is_read_without_tensorflow() -> None:
    """A tftensor is decoded without TensorFlow."""
    message = prediction_pb2.SeldonMessage()
    message.data.tftensor.dtype = 3  # DT_INT32
    message.data.tftensor.int_val.extend([4, 5])
    message.data.tftensor.tensor_shape.dim.add(size=2)

    decoded = decode(message)

    assert facts(decoded.value) == (np.int32, (2,), "[4, 5]")
    assert decoded.kind == "tftensor"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            prediction_pb2.SeldonMessage(),
            "expected data, jsonData, strData, binData or customData, got none of them",
        ),
        (tensor([2], [1]), "expected as many values as shape [2] holds, got 1"),
        (tensor([], []), "expected as many values as shape [] holds, got 0"),
        (tensor([-1], [1]), "expected shape as whole numbers from 0, got [-1]"),
        (tensor([0, 2**30], []), "expected a shape of reasonable size, got [0, 1073741824]"),
        (
            ndarray([[1, 2], [3]]),
            "expected rows of equal length; row 0 has 2 values, row 1 has 1 value",
        ),
        (
            ndarray([[1.0] * 50, [1.0] * 51]),
            "expected rows of equal length; row 0 has 50 values, row 1 has 51 values",
        ),
    ],
)
def test_the_error_for_a_wrong_message_says_what_was_expected(message: Any, told: str) -> None:
    """The error names what was expected; upstream answers UNKNOWN."""
    assert refusal(message) == told


@given(
    st.binary(max_size=60)
    | st.binary(max_size=60).map(lambda end: b"\x1a" + bytes([len(end)]) + end)
)
def test_any_message_is_decoded_or_refused(wire: bytes) -> None:
    """Any message is either decoded or refused with a ClientError."""
    message = prediction_pb2.SeldonMessage()
    try:
        message.ParseFromString(wire)
        decoded = decode(message)
    except (DecodeError, ClientError):
        return
    assert decoded.kind in (message.WhichOneof("data_oneof"), "ndarray", "tensor", "tftensor")


# Responses


class Author:
    """A model with these tags."""

    def __init__(self, tags: dict[str, Any]) -> None:
        self.tags = lambda: tags


RESULTS = st.one_of(
    ARRAYS, nested_lists(), TEXTS, st.binary(), st.dictionaries(TEXTS, JSON_VALUES), ANYS
)


@given(RESULTS, seldon_messages(), st.dictionaries(TEXTS, JSON_VALUES, max_size=2))
def test_responses_equal_those_of_upstream(result: Any, message: Any, tags: dict[str, Any]) -> None:
    """Payload, names, values and meta equal those of seldon_core's own function."""
    metrics = [{"key": "k", "type": "COUNTER", "value": 1}]
    model = Author(tags)
    is_array = isinstance(result, np.ndarray | list)
    names = client_class_names(model, np.array(result)) if is_array else []
    request = decode(message)

    answer = encode(Prediction(result, names, tags, metrics), request)

    upstream = construct_response(
        model,
        is_request=False,
        client_request=message,
        client_raw_response=result,
        meta=copy.deepcopy(request.meta),
        custom_metrics=metrics,
    )
    assert repr(answer) == repr(upstream)


@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int8"])
def test_many_numbers_are_written_in_order(shape: tuple[int, ...], dtype: str) -> None:
    """Large arrays of any numeric dtype are encoded as doubles, each in its place."""
    array = (np.arange(math.prod(shape)) / 3).astype(dtype).reshape(shape)

    answer = answered(array.T)

    assert answer.data.ndarray == list_of(array.T.tolist())


def test_nan_and_infinity_are_written_unchanged() -> None:
    """NaN and infinity are encoded unchanged."""
    values = [math.nan, math.inf]

    assert repr(list(answered(np.array(values), "tensor").data.tensor.values)) == repr(values)
    assert repr(list(answered(values).data.ndarray)) == repr(values)
    assert repr(answered({"a": math.nan}).jsonData.struct_value["a"]) == "nan"


@pytest.mark.parametrize("value", [float(np.finfo(np.float32).max), math.nan, -math.inf])
def test_metrics_of_the_request_are_returned(value: float) -> None:
    """Metrics of the request are returned, also the largest float32, at which upstream fails."""
    message = ndarray([1])
    message.meta.metrics.add(key="k", value=value)

    answer = encode(Prediction("a", [], {}, []), decode(message))

    assert repr(answer.meta) == repr(message.meta)


def test_numbers_and_texts_in_one_list_keep_their_types() -> None:
    """Numbers and texts in one list keep their types; upstream converts the numbers to texts."""
    assert list(answered([1, "a"]).data.ndarray) == [1.0, "a"]


def test_numpy_values_are_written() -> None:
    """Numpy values in dicts and tags are encoded; upstream fails."""
    value = {"a": np.array([1, 2]), "b": np.int64(3), "c": np.bool_(1), 4: (np.float32(0.5),)}

    answer = answered(value, tags={"t": np.float64(0.5)})

    assert answer.jsonData == value_of({"a": [1, 2], "b": 3, "c": True, "4": [0.5]})
    assert answer.meta.tags["t"].number_value == 0.5


def test_numpy_scalars_are_arrays() -> None:
    """A numpy scalar is a tensor without dimensions, or an ndarray with one value."""
    assert answered(np.float64(0.5), "tensor") == answered(np.array(0.5), "tensor")
    assert list(answered(np.float64(0.5), "tensor").data.tensor.values) == [0.5]
    assert list(answered(np.float64(0.5)).data.ndarray) == [0.5]


def test_a_tftensor_is_returned_without_tensorflow() -> None:
    """Numbers return as a tftensor of their dtype."""
    answer = answered(np.array([[1, 2]], np.int16), "tftensor").data.tftensor

    assert (answer.dtype, answer.tensor_content) == (5, b"\x01\x00\x02\x00")  # DT_INT16
    assert [each.size for each in answer.tensor_shape.dim] == [1, 2]


def test_the_model_is_added_to_the_request_path() -> None:
    """The model adds its name and image to the requestPath."""
    request = Request(None, [], {}, kind="strData")
    answer = encode(Prediction("a", [], {}, []), request, {"model": "image:1"})

    assert dict(answer.meta.requestPath) == {"model": "image:1"}


@pytest.mark.parametrize("value", [None, 1, 0.5, (1, 2)])
def test_an_unsupported_result_is_the_authors_fault(value: Any) -> None:
    """For any other type, the error message says what predict may return."""
    with pytest.raises(ModelError) as caught:
        answered(value)

    told = f"predict returned {type(value).__name__}; expected an array, list, str, bytes or dict"
    assert str(caught.value) == told


ENDLESS: dict[str, Any] = {}
ENDLESS["again"] = ENDLESS


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        ({"a": object()}, {}),
        ({"a": 10**400}, {}),
        (ENDLESS, {}),
        ({(1, 2): 3}, {}),
        (np.array([1j]), {}),
        ("\ud800", {}),
        ([1], {"names": [1]}),
        ("", {"tags": {"t": object()}}),
        ("", {"metrics": [{"key": "k", "unknown": 1}]}),
    ],
)
def test_values_that_protobuf_cannot_hold_are_the_authors_fault(value: Any, rest: Any) -> None:
    """For values that protobuf cannot hold, the error message gives the reason."""
    with pytest.raises(ModelError, match="predict returned a value that protobuf cannot hold: "):
        answered(value, **rest)


def test_booleans_among_numbers_of_a_list_are_numbers() -> None:
    """A model's list is answered as the array that numpy makes of it, as over REST."""
    assert answered([2, False]).data.ndarray == list_of([2.0, 0.0])
    assert answered([True, False]).data.ndarray == list_of([True, False])
    assert answered(["a", 1, False]).data.ndarray == list_of(["a", 1, False])
