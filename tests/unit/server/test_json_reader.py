import json
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

from prepackaged import ClientError
from prepackaged.server.protocols.seldon import json_reader
from prepackaged.server.protocols.seldon.json_codec import decode

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([0, -0.0, 2**63, 2**64 - 1, 2**64, -(2**63), 1e308, 5e-324]),
)
SCALARS = st.one_of(NUMBERS, st.booleans(), st.none(), st.text(alphabet='a[]",', max_size=3))
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from("ab["), inner, max_size=2)
    ),
    max_leaves=12,
)
TABLES = numpy_st.arrays(
    st.sampled_from([np.int64, np.float64]), numpy_st.array_shapes(max_dims=4, max_side=4)
).map(np.ndarray.tolist)
ROWS = st.one_of(TABLES, st.lists(st.lists(NUMBERS, max_size=3), max_size=3), ANYTHING)
TENSORS = st.fixed_dictionaries(
    {"values": st.one_of(st.lists(NUMBERS), ROWS), "shape": st.lists(st.integers(0, 4))}
)
DATA = st.fixed_dictionaries(
    {},
    optional={
        "ndarray": ROWS,
        "tensor": st.one_of(TENSORS, ANYTHING),
        "names": st.one_of(st.lists(st.text(alphabet="a[", max_size=2), max_size=3), ANYTHING),
    },
)
MESSAGES = st.fixed_dictionaries(
    {"data": st.one_of(DATA, ANYTHING)}, optional={"meta": ANYTHING, "strData": st.text()}
)


def outcome(body: bytes) -> Any:
    """Return the decoded request, or the error message."""
    try:
        request = decode(json_reader.read_prediction(body))
    except ClientError as error:
        return str(error)
    value = request.value
    if isinstance(value, np.ndarray):
        value = value.shape, value.dtype.str, repr(value.tolist())
    return value, request.names, request.meta, request.kind


@given(MESSAGES)
@example({"data": {"ndarray": [[1, [2]], [3, 4]]}})
@example({"data": {"ndarray": [[1, 2], [3], [4, 5, 6]]}})
@example({"data": {"names": ["[", "b"], "ndarray": [[1, 2.5]]}})
@example({"data": {"tensor": {"shape": [1, 2], "values": [1, [2]]}}})
@example({"data": {"ndarray": [[1]], "tensor": {"shape": [1], "values": [2]}}})
def test_large_bodies_mean_the_same_as_small_ones(message: Any) -> None:
    """The fast parser for large bodies gives the same requests and errors as the one for small."""
    body = json.dumps(message).encode()
    with patch.object(json_reader, "LARGE", len(body) + 1):
        expected = outcome(body)

    with patch.object(json_reader, "LARGE", 0):
        assert outcome(body) == expected


@pytest.mark.parametrize("key", ["ndarray", "tensor"])
@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_large_arrays_are_read_without_objects(key: str, dtype: Any) -> None:
    """Large arrays are parsed directly into writeable numpy arrays, with the exact numbers."""
    numbers = np.random.default_rng(0).normal(0, 1000, (40, 50)).astype(dtype)
    values = {"values": numbers.ravel().tolist(), "shape": [40, 50]}
    data = {"ndarray": numbers.tolist()} if key == "ndarray" else {"tensor": values}
    body = json.dumps({"data": {"names": [f"c{each}" for each in range(50)], **data}}).encode()
    assert len(body) > json_reader.LARGE

    message = json_reader.read_prediction(body)

    held = message["data"][key] if key == "ndarray" else message["data"][key]["values"]
    assert isinstance(held, np.ndarray)
    request = decode(message)
    np.testing.assert_array_equal(request.value, numbers, strict=True)
    assert request.value.flags.writeable
    assert request.names[:2] == ["c0", "c1"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": {"ndarray": [[1]], "ndarray": [[2]]}}',
        b'{"data": {"ndarray": [[1]]}, "data": {"ndarray": [[2]]}}',
    ],
)
def test_if_a_key_occurs_twice_the_last_one_counts(body: bytes) -> None:
    """If a key occurs twice, the last one counts, as in Python's json module."""
    request = decode(json_reader.read_prediction(body + b" " * json_reader.LARGE))

    assert request.value.tolist() == [[2]]


def test_the_error_for_a_very_long_number_is_for_clients() -> None:
    """Python's own message advises to call a function of Python."""
    with pytest.raises(ClientError, match=r"for integer string conversion: value has 5000 digits$"):
        json_reader.read_prediction(b'{"data":{"ndarray":[[%s]]}}' % (b"9" * 5000))


@pytest.mark.parametrize("body", [b"{", b"nothing", b"\xff", b"null"])
def test_invalid_json_is_the_client_s_mistake(body: bytes) -> None:
    """Invalid JSON is a ClientError, in large and in small bodies."""
    for padding in (b"", b" " * json_reader.LARGE):
        with pytest.raises(ClientError, match="Can't find JSON in data"):
            json_reader.read_prediction(body + padding)
