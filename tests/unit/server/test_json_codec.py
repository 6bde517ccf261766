import base64
import copy
import dataclasses
import datetime
import json
import math
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from flask.json.provider import DefaultJSONProvider
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from seldon_core.user_model import client_class_names
from seldon_core.utils import construct_response_json, extract_request_parts_json

from prepackaged.errors import ClientError, ModelError
from prepackaged.server.protocols.json_writing import PIECE
from prepackaged.server.protocols.seldon.json_codec import Prediction, Request, decode, encode

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(2**70), 2**70)
SCALARS = st.none() | st.booleans() | WHOLE | FINITE | TEXTS
OBJECTS = st.dictionaries(TEXTS, SCALARS, max_size=3)
JSON_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)
# values that may share an array, and that upstream does not convert either
CELLS = [
    st.floats(),
    WHOLE,
    st.booleans(),
    TEXTS,
    st.booleans() | WHOLE | st.floats(),
    st.none() | WHOLE,
    st.none() | TEXTS,
    OBJECTS,
]
PARTS_OF_META = {
    "tags": OBJECTS,
    "metrics": st.lists(st.just({"key": "k", "type": "GAUGE", "value": 1.5}), max_size=2),
    "puid": TEXTS,
    "requestPath": st.dictionaries(TEXTS, TEXTS, max_size=2),
    "routing": st.just({"0": 1}),
}
METAS = st.fixed_dictionaries({}, optional=PARTS_OF_META)
SHAPES = st.lists(st.integers(0, 3), min_size=1, max_size=3)
NUMBERS = hnp.integer_dtypes() | hnp.unsigned_integer_dtypes() | hnp.floating_dtypes(endianness="?")
ARRAYS = hnp.arrays(
    NUMBERS | st.sampled_from(["?", "<U3"]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    elements={"allow_nan": False, "allow_infinity": False},
)


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
    """Generate a tensor whose number of values fits its shape."""
    shape, cells = draw(SHAPES), draw(st.sampled_from(CELLS))
    count = math.prod(shape)
    return {"shape": shape, "values": draw(st.lists(cells, min_size=count, max_size=count))}


DATA = st.fixed_dictionaries({"ndarray": nested_lists()}) | st.fixed_dictionaries(
    {"tensor": tensors()}
)
MESSAGES = st.fixed_dictionaries({"data": DATA}) | st.sampled_from(
    [{"data": {}}, {"strData": "a"}, {"binData": "AAE="}, {"jsonData": [1]}]
)


def facts(value: Any) -> Any:
    """Return a comparable form of a value, in which NaN equals itself."""
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, repr(value.tolist())
    return type(value), repr(value)


def request(kind: str = "ndarray", **meta: Any) -> Request:
    """A request with one row; only its kind and meta affect the response."""
    return Request(np.array([[1.0]]), [], meta, kind=kind)


def answered(value: Any, kind: str = "ndarray", **rest: Any) -> Any:
    """Return the response to a request of this kind, parsed as strict JSON."""
    parts = {"names": [], "tags": {}, "metrics": []} | rest
    return json.loads(encode(Prediction(value, **parts), request(kind)), parse_constant=pytest.fail)


def refusal(message: Any) -> str:
    """Return the error message for an invalid message."""
    with pytest.raises(ClientError) as caught:
        decode(message)
    return str(caught.value)


def data_refusal(**data: Any) -> str:
    """Return the error message for invalid data."""
    return refusal({"data": data})


# Requests, decoded like upstream


@given(DATA, st.lists(TEXTS | st.integers(0, 9), max_size=3), METAS)
def test_arrays_are_read_as_upstream_reads_them(data: Any, names: list[Any], meta: Any) -> None:
    """Tensors and ndarrays are decoded to the same values, dtype and shape as upstream."""
    message = {"data": {**data, "names": names}, "meta": meta}

    decoded = decode(message)

    value, upstream_meta, datadef, _ = extract_request_parts_json(message)
    assert facts(decoded.value) == facts(value)
    assert (decoded.names, decoded.meta) == (datadef["names"], upstream_meta)
    assert decoded.kind in data


@given(st.fixed_dictionaries({}, optional={"jsonData": JSON_VALUES, "strData": TEXTS}), st.binary())
def test_other_payloads_are_read_as_upstream_reads_them(parts: Any, binary: bytes) -> None:
    """Without data, the first of jsonData, strData and binData is decoded like upstream."""
    message = {**parts, "binData": base64.b64encode(binary).decode()}

    decoded = decode(message)

    value, _, _, kind = extract_request_parts_json(message)
    assert (facts(decoded.value), decoded.kind) == (facts(value), kind)
    assert (decoded.names, decoded.meta) == ([], {})


def test_data_takes_precedence_over_other_payloads() -> None:
    """If a message has several payloads, its data is used."""
    assert decode({"strData": "a", "data": {"ndarray": [7]}}).value.tolist() == [7]


def test_data_without_an_array_is_an_empty_array() -> None:
    """Empty data is decoded to an empty ndarray."""
    decoded = decode({"data": {}})

    assert facts(decoded.value) == (np.float64, (0,), "[]")
    assert decoded.kind == "ndarray"


def test_null_meta_and_names_count_as_missing() -> None:
    """A null for meta or names counts as missing."""
    decoded = decode({"data": {"names": None, "ndarray": [1]}, "meta": None})

    assert (decoded.names, decoded.meta) == ([], {})


# Requests, decoded differently from upstream


def test_numbers_and_texts_in_one_array_keep_their_types() -> None:
    """Numbers and texts in one array keep their types; upstream converts the numbers to texts."""
    value = decode({"data": {"ndarray": [[1, "a", 2.5, True]]}}).value

    assert facts(value) == (object, (1, 4), "[[1, 'a', 2.5, True]]")


def test_one_long_text_does_not_pad_the_others() -> None:
    """One long text does not pad the others: a '<U' array of these would take 4 GB."""
    value = decode({"data": {"ndarray": ["x" * 100_000, *["a"] * 10_000]}}).value

    assert (value.dtype, value.shape, value[-1]) == (object, (10_001,), "a")


@pytest.mark.parametrize("rows", [[1, "a"], [[1.5], ["a"]], [True, "a"]])
def test_numbers_and_texts_are_an_object_array(rows: Any) -> None:
    """An array with numbers and texts becomes an object array, in any order and depth."""
    for each in (rows, rows[::-1]):
        assert decode({"data": {"ndarray": each}}).value.tolist() == each


def test_base64_may_contain_line_breaks() -> None:
    """Base64 may contain line breaks, which the command `base64` writes and upstream allows."""
    assert decode({"binData": "AAE\nCAwQ=\r\n"}).value == bytes([0, 1, 2, 3, 4])


def test_tftensor_is_read_without_tensorflow() -> None:
    """A tftensor is decoded without TensorFlow, with field names of JSON or protobuf."""
    tensor = {"dtype": "DT_INT32", "tensorShape": {"dim": [{"size": "2"}]}, "int_val": [3, 4]}

    decoded = decode({"data": {"tftensor": tensor}})

    assert facts(decoded.value) == (np.int32, (2,), "[3, 4]")
    assert decoded.kind == "tftensor"


INVALID = (
    "Invalid request data type: expected an object with data, jsonData, strData or binData, got "
)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ([1], f"{INVALID}a list"),
        (None, f"{INVALID}null or nothing"),
        ({}, f"{INVALID}an object"),
        ({"rows": [["secret"]]}, f"{INVALID}an object"),
        ({"customData": {}}, f"{INVALID}an object"),
        ({"instances": [[1]]}, f"{INVALID}an object with instances, which is TensorFlow Serving's"),
        ({"inputs": [{"name": "a"}]}, f"{INVALID}an object with inputs, which is the Open Infer"),
        ({"dataframe_split": {}}, f"{INVALID}an object with dataframe_split, which is MLflow's p"),
        ({"dataframe_records": []}, f"{INVALID}an object with dataframe_records, which is MLflow"),
        ({"ndarray": [[1]]}, f"{INVALID}an object with ndarray, which is a part of data"),
        ({"data": None}, "expected data as an object, got null or nothing"),
        ({"data": [1]}, "expected data as an object, got a list"),
        ({"data": "tensor"}, "expected data as an object, got a string"),
        ({"strData": 5}, "expected strData as a string, got a number"),
        ({"strData": None}, "expected strData as a string, got null or nothing"),
        ({"binData": 1.5}, "expected binData as a string in Base64, got a number"),
        ({"binData": "A"}, "expected binData in Base64; "),
        ({"binData": "AA=A"}, "expected binData in Base64; "),
        ({"binData": "é==="}, "expected binData in Base64; "),
        ({"strData": "a", "meta": []}, "expected meta as an object, got a list"),
        ({"strData": "a", "meta": False}, "expected meta as an object, got a boolean"),
        ({"strData": "", "meta": {"tags": 1}}, "expected meta.tags as an object, got a number"),
        ({"strData": "", "meta": {"metrics": {}}}, "expected meta.metrics as a list, got an obj"),
        ({"strData": "", "meta": {"requestPath": ""}}, "expected meta.requestPath as an object, g"),
    ],
)
def test_the_error_for_a_wrong_message_says_what_was_expected(message: Any, told: str) -> None:
    """The error names what was expected; upstream answers most of these with internal errors."""
    assert refusal(message).startswith(told)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"names": "a"}, "expected data.names as a list, got a string"),
        ({"names": ["a", [1]]}, "expected data.names[1] as a string or a number, got a list"),
        ({"names": [True]}, "expected data.names[0] as a string or a number, got a boolean"),
        ({"ndarray": None}, "expected data.ndarray as a list, got null or nothing"),
        ({"ndarray": 5}, "expected data.ndarray as a list, got a number"),
        ({"tensor": [1]}, "expected data.tensor as an object with shape and values, got a list"),
        ({"tensor": {"shape": [1]}}, "expected data.tensor.values as a list, got null or nothing"),
        ({"tensor": {"shape": [1], "values": 1}}, "expected data.tensor.values as a list, got a "),
        ({"tensor": {"values": [1]}}, "expected shape as a list of sizes, got null or nothing"),
        ({"tensor": {"shape": 1, "values": [1]}}, "expected shape as a list of sizes, got a numb"),
        ({"tftensor": []}, "expected data.tftensor as an object, got a list"),
        ({"tftensor": {"dtype": "DT_NONE"}}, "expected data.tftensor as a TensorProto; ParseError"),
        ({"tftensor": {"x": 1}}, "expected data.tftensor as a TensorProto; ParseError: "),
        ({"tftensor": {"dtype": math.inf}}, "expected data.tftensor as a TensorProto; OverflowEr"),
        ({"tftensor": {}}, "expected tftensor in a dtype that numpy has, got DT_INVALID"),
    ],
)
def test_the_error_for_wrong_data_says_what_was_expected(data: Any, told: str) -> None:
    """The error names the place in `data`, the expected type and the actual type."""
    assert data_refusal(**data).startswith(told)


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ([2], "expected as many values as shape [2] holds, got 3"),
        ([], "expected as many values as shape [] holds, got 3"),
        ([10**30], f"expected as many values as shape [{10**30}] holds, got 3"),
        ([-3, -1], "expected shape as whole numbers from 0, got [-3, -1]"),
        ([-1], "expected shape as whole numbers from 0, got [-1]"),
        ([3.0], "expected shape as whole numbers from 0, got [3.0]"),
        ([True, 3], "expected shape as whole numbers from 0, got [True, 3]"),
        (["3"], "expected shape as whole numbers from 0, got ['3']"),
        ([3] + [1] * 64, "expected a shape of at most 64 sizes, got 65"),
    ],
)
def test_the_error_shows_a_shape_that_does_not_fit(shape: Any, told: str) -> None:
    """A shape that does not fit is an error with the shape; upstream guesses or answers 500."""
    assert data_refusal(tensor={"shape": shape, "values": [1, 2, 3]}) == told


@pytest.mark.parametrize("size", [2**16 + 1, 2**62, 10**30])
def test_an_empty_tensor_declares_no_giant_shape(size: int) -> None:
    """An empty tensor with a huge dimension is refused: each column would get a name."""
    told = data_refusal(tensor={"shape": [0, size], "values": []})

    assert told == f"expected a shape of reasonable size, got [0, {size}]"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([[1, 2], [3, 4], [5]], "row 0 has 2 values, row 2 has 1 value"),
        ([[1, 2], []], "row 0 has 2 values, row 1 has 0 values"),
        ([[1], 2], "row 0 has 1 value, row 1 has a single value"),
        ([1, [2]], "row 0 has a single value, row 1 has 1 value"),
        ([[1], None], "row 0 has 1 value, row 1 has a single value"),
        ([["a"], "b"], "row 0 has 1 value, row 1 has a single value"),
        ([[], "long"], "row 0 has 0 values, row 1 has a single value"),
        ([[1], {}], "row 0 has 1 value, row 1 has a single value"),
        (
            [[[1], [2]], [[3], [4, 5]]],
            "the list at [0, 0] has 1 value, the list at [1, 1] has 2 values",
        ),
        ([[[1]], [2]], "the list at [0, 0] has 1 value, the list at [1, 0] has a single value"),
        ([[[]], [[1]]], "the list at [0, 0] has 0 values, the list at [1, 0] has 1 value"),
    ],
)
def test_the_error_names_a_row_of_another_length(rows: Any, told: str) -> None:
    """The error for rows of unequal length names the first wrong row."""
    assert data_refusal(ndarray=rows) == f"expected rows of equal length; {told}"


@pytest.mark.parametrize("depth", [65, 900])
@pytest.mark.parametrize("leaf", [1, "a"])
def test_lists_deeper_than_an_array_are_refused(depth: int, leaf: Any) -> None:
    """Nesting deeper than numpy's maximum of 64 dimensions is refused."""
    for _ in range(depth):
        leaf = [leaf]

    assert data_refusal(ndarray=leaf).startswith("expected at most 64 dimensions")


PLACES = st.sampled_from(["meta", "data", "jsonData", "strData", "binData", "names", "ndarray"])
MORE_PLACES = st.sampled_from(["tensor", "shape", "values", "tftensor", "dtype", "tensorShape"])
ODD = st.floats() | st.integers() | st.sampled_from([10**400, -1, 2**63, "DT_INT8", "\ud800", None])
ANYTHING = st.recursive(
    ODD | SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(PLACES | MORE_PLACES | TEXTS, inner, max_size=4)
        | st.fixed_dictionaries({"shape": inner, "values": st.lists(inner, max_size=3)})
    ),
)
ANY_DATA = st.dictionaries(st.sampled_from(["tensor", "ndarray", "names"]), ANYTHING, max_size=2)
FIELDS = ["dtype", "tensorShape", "tensorContent", "intVal", "halfVal", "stringVal", "boolVal"]
ANY_TFTENSOR = st.dictionaries(st.sampled_from(FIELDS), ANYTHING).map(
    lambda tensor: {"tftensor": tensor}
)


@given(
    ANYTHING
    | st.dictionaries(PLACES, ANYTHING)
    | st.fixed_dictionaries({"data": ANY_DATA | ANY_TFTENSOR})
)
def test_any_message_is_decoded_or_refused(message: Any) -> None:
    """Any JSON value is either decoded or refused with a ClientError."""
    try:
        decoded = decode(message)
    except ClientError:
        return
    assert decoded.kind in message or decoded.kind in message["data"] or not decoded.value.size


@pytest.mark.parametrize("place", ['{"data":%s}', '{"data":{"ndarray":%s}}', "%s", '{"meta":%s}'])
def test_the_deepest_json_is_refused(place: str) -> None:
    """The deepest JSON that Python can parse is refused with a ClientError."""
    message = json.loads(place % ("[" * 900 + "]" * 900))

    assert refusal(message)


# Responses, as upstream encodes them


class Author:
    """A model with these class names and tags."""

    def __init__(self, names: list[str] | None, tags: dict[str, Any]) -> None:
        self.tags = lambda: tags
        if names is not None:
            self.class_names = names


RESULTS = ARRAYS | nested_lists() | TEXTS | st.binary() | st.dictionaries(TEXTS, JSON_VALUES)


@given(RESULTS, MESSAGES, METAS, OBJECTS)
def test_responses_equal_those_of_upstream(
    result: Any, message: Any, meta: Any, tags: dict[str, Any]
) -> None:
    """Payload, names, values and meta equal those of seldon_core's own function."""
    message = {**message, "meta": meta}
    metrics = [{"key": "k", "type": "COUNTER", "value": 1}]
    model = Author(None, tags)
    is_array = isinstance(result, np.ndarray | list)
    names = client_class_names(model, np.array(result)) if is_array else []

    body = encode(Prediction(result, names, tags, metrics), decode(message))

    upstream = construct_response_json(
        model,
        is_request=False,
        client_request_raw=message,
        client_raw_response=result,
        meta=copy.deepcopy(meta),
        custom_metrics=[*metrics],
    )
    assert json.loads(body) == without_nan(json.loads(json.dumps(upstream)))


def without_nan(value: Any) -> Any:
    """Replace numbers that JSON lacks, such as NaN, by null."""
    if isinstance(value, dict):
        return {key: without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@pytest.mark.parametrize(
    ("value", "kind", "body"),
    [
        (
            np.array([[0.5, 1.0]]),
            "ndarray",
            b'{"data":{"names":["a","b"],"ndarray":[[0.5,1.0]]},"meta":{}}\n',
        ),
        (
            np.array([[1, 2]]),
            "jsonData",
            b'{"data":{"names":["a","b"],"tensor":{"shape":[1,2],"values":[1,2]}},"meta":{}}\n',
        ),
        ("é", "tensor", '{"meta":{},"strData":"é"}\n'.encode()),
        (b"\x00\x01", "tensor", b'{"binData":"AAE=","meta":{}}\n'),
        (bytearray(b"\x00\x01"), "tensor", b'{"binData":"AAE=","meta":{}}\n'),
        ({"b": 1, "a": [2]}, "tensor", b'{"jsonData":{"a":[2],"b":1},"meta":{}}\n'),
        (
            {"a": [b"\xff", 2**64]},
            "tensor",
            b'{"jsonData":{"a":[{"b64":"/w=="},%d]},"meta":{}}\n' % 2**64,
        ),
    ],
)
def test_responses_are_compact_sorted_json(value: Any, kind: str, body: bytes) -> None:
    """Responses are compact JSON with sorted keys, like upstream, but in UTF-8."""
    assert encode(Prediction(value, ["a", "b"], {}, []), request(kind)) == body


def test_float32_is_written_as_the_double_of_the_same_value() -> None:
    """A float32 is written as the double of the same value, like upstream."""
    body = encode(Prediction(np.array([0.1], np.float32), [], {}, []), request("tensor"))

    assert b'"values":[0.10000000149011612]' in body


def test_numbers_in_a_returned_list_keep_their_types() -> None:
    """In a returned list, integers beside fractions stay integers."""
    body = encode(Prediction([1, 2.5], [], {}, []), request())

    assert b'"ndarray":[1,2.5]' in body


def test_the_model_is_added_to_the_request_path() -> None:
    """The model adds its name and image to the requestPath of the request."""
    answer, path = Prediction("", [], {}, []), {"model": "image:1"}

    plain = json.loads(encode(answer, request(), path))
    beside = json.loads(encode(answer, request(requestPath={"other": "image:2"}), path))

    assert plain["meta"] == {"requestPath": {"model": "image:1"}}
    assert beside["meta"] == {"requestPath": {"model": "image:1", "other": "image:2"}}


# Responses, encoded differently from upstream

NOT_FINITE = [math.nan, math.inf, -math.inf, 1.5]


@pytest.mark.parametrize(
    ("value", "kind", "payload"),
    [
        (np.array(NOT_FINITE), "ndarray", {"data": {"names": [], "ndarray": [None] * 3 + [1.5]}}),
        (
            np.array(NOT_FINITE, np.float32),
            "tensor",
            {"data": {"names": [], "tensor": {"shape": [4], "values": [None, None, None, 1.5]}}},
        ),
        (NOT_FINITE, "ndarray", {"data": {"names": [], "ndarray": [None, None, None, 1.5]}}),
        (
            np.array([math.nan, "a"], dtype=object),
            "ndarray",
            {"data": {"names": [], "ndarray": [None, "a"]}},
        ),
        ({"a": {"b": NOT_FINITE}}, "ndarray", {"jsonData": {"a": {"b": [None] * 3 + [1.5]}}}),
        ({1: NOT_FINITE}, "ndarray", {"jsonData": {"1": [None, None, None, 1.5]}}),
    ],
)
def test_nan_and_infinity_are_written_as_null(value: Any, kind: str, payload: Any) -> None:
    """NaN and infinity are written as null; upstream writes them, which is invalid JSON."""
    assert answered(value, kind) == {**payload, "meta": {}}


def test_nan_in_a_tag_is_written_as_null() -> None:
    """NaN in a tag is written as null."""
    assert answered("", tags={"score": math.nan})["meta"] == {"tags": {"score": None}}


def test_numpy_values_in_a_dict_are_written() -> None:
    """Numpy values in a dict are written as JSON; upstream answers 500."""
    value = {
        "scores": np.array([[0.5]]),
        "label": np.int64(3),
        "sure": np.bool_(1),
        "width": np.float32(0.5),
        "long": np.longdouble(0.25),
        "name": np.str_("a"),
        "texts": np.array(["a"]),
        "reversed": np.array([1, 2], ">i4"),
        np.int64(7): 1,
        None: [(1, np.float64(2))],
        10**30: 10**30,
    }
    assert answered(value)["jsonData"] == {
        "scores": [[0.5]],
        "label": 3,
        "sure": True,
        "width": 0.5,
        "long": 0.25,
        "name": "a",
        "texts": ["a"],
        "reversed": [1, 2],
        "7": 1,
        "null": [[1, 2.0]],
        str(10**30): 10**30,
    }


def test_numpy_values_in_a_list_are_written() -> None:
    """A list of arrays is written as an array, and a list of numpy numbers as numbers."""
    assert answered([np.array([1.5]), np.array([2.5])])["data"]["ndarray"] == [[1.5], [2.5]]
    assert answered([np.int64(1), 2], "strData")["data"]["tensor"]["values"] == [1, 2]


class Frame:
    """The part of a DataFrame that the codec uses."""

    def to_numpy(self) -> Any:
        return np.array([[1, 2]])


@pytest.mark.parametrize("value", [Frame(), np.array([[1, 2]]).view(np.matrix)])
def test_tables_are_written_as_arrays(value: Any) -> None:
    """A DataFrame or a matrix is written as its values, inside a dict too."""
    assert answered(value)["data"]["ndarray"] == [[1, 2]]
    assert answered({"table": value})["jsonData"] == {"table": [[1, 2]]}


def test_a_masked_value_is_null() -> None:
    """Masked values are written as null."""
    value = np.ma.array([1.5, 2.5], mask=[True, False])

    assert answered(value)["data"]["ndarray"] == [None, 2.5]
    assert answered(value, "tensor")["data"]["tensor"]["values"] == [None, 2.5]


def test_numpy_scalars_are_arrays() -> None:
    """Numpy scalars are written as arrays without dimensions."""
    assert answered(np.float64(0.5))["data"] == {"names": [], "ndarray": 0.5}
    assert answered(np.int64(3), "strData")["data"]["tensor"] == {"shape": [], "values": [3]}


def test_a_tftensor_is_returned_without_tensorflow() -> None:
    """Numbers return as a tftensor of their dtype, other values as an ndarray."""
    tensor = answered(np.array([[1, 2]], np.int16), "tftensor")["data"]["tftensor"]

    assert tensor == {
        "dtype": "DT_INT16",
        "tensorShape": {"dim": [{"size": "1"}, {"size": "2"}]},
        "tensorContent": "AQACAA==",
    }
    assert answered(np.array(["a"]), "tftensor")["data"] == {"names": [], "ndarray": ["a"]}


def test_dates_and_decimals_in_a_dict_are_written_as_upstream_does() -> None:
    """Dates become HTTP dates and decimals become texts, as in Flask."""
    value = {"at": datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), "price": Decimal("1.10")}

    assert answered(value)["jsonData"] == {"at": "Mon, 01 Jan 2024 00:00:00 GMT", "price": "1.10"}


@dataclasses.dataclass
class Point:
    """A value that Flask writes as an object."""

    x: int


class Html:
    """A value that Flask writes as its HTML."""

    def __html__(self) -> str:
        return "<b>"


@pytest.mark.parametrize(
    "value",
    [
        datetime.date(1024, 2, 29),
        datetime.datetime(2024, 12, 31, 23, 59, 59, 999_999),
        datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=8))),
        Decimal("-1E+3"),
        UUID("12345678-1234-5678-1234-567812345678"),
        Point(3),
        Html(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_json_lacks_are_written_as_upstream_does(value: Any) -> None:
    """Dates, decimals, UUIDs, dataclasses and HTML are what Flask makes of them."""
    assert answered({"it": value})["jsonData"] == {"it": DefaultJSONProvider.default(value)}


def test_values_that_flask_cannot_write_either_are_the_models_fault() -> None:
    """Other objects cannot be answered, and the error names their type."""
    with pytest.raises(ModelError, match="type Fraction is not JSON serializable"):
        answered({"it": Fraction(1, 2)})


def test_an_unpaired_surrogate_is_returned_unchanged() -> None:
    """A lone surrogate, which Python's JSON parser accepts, is returned unchanged."""
    assert answered("\ud800")["strData"] == "\ud800"


def test_deep_json_is_returned_unchanged() -> None:
    """JSON nested deeper than orjson supports is returned unchanged."""
    value: Any = 1
    for _ in range(300):
        value = [value]

    assert answered({"deep": value})["jsonData"] == {"deep": value}


def test_long_texts_in_a_list_are_not_padded() -> None:
    """Long texts in a list are not padded: an array of these would take 4 GB."""
    value = ["x" * 100_000, *["a"] * 10_000]

    assert answered(value)["data"]["ndarray"] == value


@pytest.mark.parametrize("value", [None, 1, 0.5, True, (1, 2), {1, 2}, object])
def test_an_unsupported_result_is_the_authors_fault(value: Any) -> None:
    """For any other type, the error message says what predict may return."""
    with pytest.raises(ModelError) as caught:
        answered(value)

    told = f"predict returned {type(value).__name__}; expected an array, list, str, bytes or dict"
    assert str(caught.value) == told


def test_a_ragged_list_is_the_authors_fault() -> None:
    """A ragged list is a ModelError, since data only holds arrays."""
    with pytest.raises(ModelError, match="predict returned a list that is not an array: "):
        answered([[1, 2], [3]])


ENDLESS: dict[str, Any] = {}
ENDLESS["again"] = ENDLESS


@pytest.mark.parametrize(
    "value",
    [{"a": object()}, np.array([1j]), ENDLESS, {(1, 2): 3}],
)
@pytest.mark.parametrize("kind", ["ndarray", "tensor"])
def test_values_that_json_cannot_hold_are_the_authors_fault(value: Any, kind: str) -> None:
    """For values that JSON cannot hold, the error message names the type."""
    with pytest.raises(ModelError, match="predict returned a value that JSON cannot hold: "):
        answered(value, kind)


@pytest.mark.parametrize("character", ["a", "é", "\n", '"', "\\", "\x01", "😀", "\ud800"])
def test_a_long_text_is_written_correctly(character: str) -> None:
    """A long text is written correctly wherever it is split into pieces."""
    text = "x" * (PIECE - 1) + character * 3 + "x" * PIECE
    answer = encode(Prediction(text, [], {}, []), Request(text, [], kind="strData"))
    assert json.loads(answer) == {"meta": {}, "strData": text}


def test_writing_a_long_text_takes_at_most_twice_its_length() -> None:
    """Writing a long text needs at most twice its length; orjson would abort without memory."""
    program = """
import resource
from pathlib import Path
from prepackaged.server.protocols.json_writing import dump_text

text = "x" * 60_000_000
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 180_000_000,) * 2)
print(len(dump_text(text)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "60000002\n")
