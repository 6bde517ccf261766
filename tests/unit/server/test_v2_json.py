import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prepackaged.errors import ClientError
from prepackaged.server.inference.requests import InferenceRequest
from prepackaged.server.protocols.v2 import json_requests, raw_requests
from prepackaged.server.protocols.v2.datatypes import DATATYPES
from prepackaged.server.protocols.v2.inputs import Inputs
from prepackaged.server.protocols.v2.requests import Message, memory_of_elements, request_of
from prepackaged.server.protocols.v2.tensors import Tensor


@given(
    st.sampled_from([np.float32, np.float64, np.int64, np.uint64, np.int8]),
    st.integers(1, 3),
    st.sampled_from(["flat", "nested"]),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_large_messages_are_read_like_small_ones(
    dtype: Any, dimensions: int, nesting: str, data: st.DataObject
) -> None:
    """Large JSON bodies, parsed directly into arrays, give the same values."""
    shape = [3000, *data.draw(st.lists(st.integers(1, 2), min_size=0, max_size=dimensions - 1))]
    scale = data.draw(st.sampled_from([1, 100]))
    values = (np.random.default_rng(0).random(shape) * scale).astype(dtype)
    name = {"float32": "FP32", "float64": "FP64"}.get(values.dtype.name, values.dtype.name.upper())
    lists = values.tolist() if nesting == "nested" else values.ravel().tolist()
    entry = {"name": "x", "datatype": name, "shape": shape, "data": lists}
    text = {"name": "y", "datatype": "BYTES", "shape": [2], "data": ["a", data.draw(st.text())]}
    body = json.dumps({"inputs": [entry, text], "outputs": [{"name": "x"}]}).encode()
    first, second = json_requests.read(body, None).inputs
    assert np.array_equal(first.array(), values)
    assert first.array().dtype == dtype
    assert second.array().tolist() == text["data"]


def arrays_in(body: bytes) -> list[Any]:
    """Return the input arrays of a message."""
    return [tensor.array() for tensor in json_requests.read(body, None).inputs]


@pytest.mark.parametrize(
    "data", ["[1,[2]]", "[[1],[2]]", '["1","2"]', "[1,null]", "[[1,2],[3]]", "[]", "{}", "[1,2,3]"]
)
def test_errors_in_large_messages_equal_those_in_small_ones(data: str) -> None:
    """An invalid large body gives the same error message as a small one."""
    body = f'{{"inputs":[{{"name":"x","datatype":"INT64","shape":[2],"data":{data}}}]}}'
    errors = []
    for padded in (body, body + " " * 10_000):
        with pytest.raises(ClientError) as caught:
            arrays_in(padded.encode())
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def request(**parameters: Any) -> InferenceRequest:
    """Build a request with these parameters."""
    tensor = Tensor("x", DATATYPES["INT8"], [1], [1])
    return request_of(Message([tensor], "r", parameters), Inputs(object()))


def test_unknown_parameters_become_tags_and_the_id_becomes_the_puid() -> None:
    """Unknown parameters become tags and the id becomes the puid; known ones are not passed on."""
    given = request(method="predict", mood="fine", priority=1, headers={}, triton_x=1, timeout=5)
    assert given.meta == {"puid": "r", "tags": {"method": "predict", "mood": "fine"}}


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [(0, 0), (None, 0), (5000, 0.005), (2.5e6, 2.5), (float("inf"), 366 * 86400)],
)
def test_a_timeout_is_in_microseconds(timeout: Any, seconds: float) -> None:
    """The timeout is in microseconds, as in tritonclient, and is at most 366 days."""
    assert request(timeout=timeout).seconds == pytest.approx(seconds)


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5"])
def test_an_invalid_timeout_is_refused(timeout: Any) -> None:
    """An invalid timeout is refused."""
    with pytest.raises(ClientError, match="as a number of microseconds from 0"):
        request(timeout=timeout)


def test_the_memory_of_bytes_elements_is_estimated_before_they_are_created() -> None:
    """The memory of BYTES elements is estimated before they are created."""
    tensor = Tensor("x", DATATYPES["BYTES"], [1000], content=bytes(4000))
    assert memory_of_elements([tensor]) == 64_000


def entry(datatype: str, *shape: int) -> dict[str, Any]:
    """Build an input of a model's metadata."""
    return {"name": "x", "datatype": datatype, "shape": list(shape)}


@pytest.mark.parametrize(
    ("known", "body", "shape", "values"),
    [
        (entry("FP32", -1, 2), np.array([0.5, 2], "f4").tobytes(), [1, 2], [[0.5, 2]]),
        (entry("INT8", -1, -1), b"\1\2\3", [1, 3], [[1, 2, 3]]),
        (entry("BYTES", -1, 1), b"cat", [1], [b"cat"]),
        (entry("FP32", -1, 8, 8, 3), b"\x89PNG...", [1], [b"\x89PNG..."]),
        (entry("FP32", -1, -1, -1, 3), b"\xff\xd8...", [1], [b"\xff\xd8..."]),
    ],
)
def test_a_raw_body_is_one_row_of_the_only_input(
    known: Any, body: bytes, shape: list[int], values: Any
) -> None:
    """A raw body is one row of the model's only input, or an image if the model takes images."""
    (tensor,) = raw_requests.read(body, [known], is_binary=True).inputs
    assert (tensor.name, tensor.shape, tensor.array().tolist()) == ("x", shape, values)


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([], "needs a model of one known input, and this one has 0"),
        ([entry("FP32", -1), entry("FP32", -1)], "and this one has 2"),
        (
            [entry("FP32", -1, 2)],
            r"^input 'x': expected a body of FP32 values for one row of shape \[-1, 2\], got 7 by",
        ),
        ([entry("FP32", -1, -1, -1)], "got 7 bytes"),
    ],
)
def test_a_raw_body_that_does_not_suit_the_input_is_refused(inputs: Any, text: str) -> None:
    """The error for an unsuitable raw body names what the model takes."""
    with pytest.raises(ClientError, match=text):
        raw_requests.read(b"seven..", inputs, is_binary=True)
