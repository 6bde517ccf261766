from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from prepackaged import ClientError, TensorSpec
from prepackaged.tensor_values import check_sizes, to_array

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def refusal(spec: TensorSpec, value: Any) -> str:
    """Return the error message for a value."""
    with pytest.raises(ClientError) as caught:
        to_array(spec, value)
    return str(caught.value)


# Shapes


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        ((1, 4), (None, 4)),
        ((5, 4), (None, 4)),
        ((5,), (None,)),
        ((2, 3, 8, 9), (None, 3, None, None)),
        ((2, 3), (None, None)),
        ((4, 2), (4, 2)),
        ((2, 7, 5), None),
        ((3,), None),
        ((), ()),
    ],
)
def test_a_shape_that_fits_stays(got: tuple[int, ...], wanted: tuple[int | None, ...]) -> None:
    """An array of the right dtype and shape is returned without a copy."""
    values = np.zeros(got, np.float32)
    assert to_array(TensorSpec("x", "float32", wanted), values) is values


@pytest.mark.parametrize(
    ("got", "wanted", "becomes"),
    [
        ((2, 784), (None, 28, 28), (2, 28, 28)),
        ((2, 784), (None, 28, 28, 1), (2, 28, 28, 1)),
        ((2, 3072), (None, 3, 32, 32), (2, 3, 32, 32)),
        ((2, 28, 28), (None, 28, 28, 1), (2, 28, 28, 1)),
        ((2, 28, 28), (None, 1, 28, 28), (2, 1, 28, 28)),
        ((2, 28, 28, 1), (None, 28, 28), (2, 28, 28)),
        ((1, 28, 28), (1, 1, 28, 28), (1, 1, 28, 28)),
        ((5,), (None, 1), (5, 1)),
        ((5, 1), (None,), (5,)),
        ((1,), (), ()),
    ],
)
def test_rows_may_be_flat_or_have_other_axes_of_size_1(
    got: tuple[int, ...], wanted: tuple[int | None, ...], becomes: tuple[int, ...]
) -> None:
    """Flat rows and axes of size 1 are reshaped to the model's shape without reordering values."""
    values = np.arange(np.prod(got), dtype=np.float32).reshape(got)
    answer = to_array(TensorSpec("x", "float32", wanted), values)
    assert answer.shape == becomes
    assert answer.ravel().tolist() == values.ravel().tolist()


@pytest.mark.parametrize(
    ("got", "wanted", "expected"),
    [
        ((1, 3), (None, 4), "[n, 4], got shape [1, 3]"),
        ((2, 32, 32, 3), (None, 3, 32, 32), "[n, 3, 32, 32], got shape [2, 32, 32, 3]"),
        ((2, 96, 32), (None, 3, 32, 32), "[n, 3, 32, 32], got shape [2, 96, 32]"),
        ((1, 5, 8), (None, None, None, 3), "[n, ?, ?, 3], got shape [1, 5, 8]"),
        ((2, 4), (1, 4), "[1, 4], got shape [2, 4]"),
        ((2, 16), (1, 4, 4), "[1, 4, 4], got shape [2, 16]"),
        ((), (None, 4), "[n, 4], got shape []"),
        ((2,), (), "[], got shape [2]"),
        ((2,), (1,), "[1], got shape [2]"),
        ((0, 4), (None, 5), "[n, 5], got shape [0, 4]"),
        ((0, 4), (1, 4), "[1, 4], got shape [0, 4]"),
        ((3, 0), (None, 4), "[n, 4], got shape [3, 0]"),
    ],
)
def test_another_shape_is_refused(
    got: tuple[int, ...], wanted: tuple[int | None, ...], expected: str
) -> None:
    """The error names the input, the expected and the actual shape."""
    message = refusal(TensorSpec("pixels", "float32", wanted), np.zeros(got))
    assert message == f"input 'pixels': expected float32 of shape {expected}"


@pytest.mark.parametrize(
    ("got", "wanted", "becomes"),
    [
        ((0, 4), (None, 4), (0, 4)),
        ((2, 0), (None, None), (2, 0)),
        ((0,), (None, 4), (0, 4)),
        ((1, 12, 0), (None, 12, None, 64), (1, 12, 0, 64)),
        ((1, 0), (1, None, None), (1, 0, 0)),
        ((0,), None, (0,)),
    ],
)
def test_an_axis_may_be_empty(
    got: tuple[int, ...], wanted: tuple[int | None, ...] | None, becomes: tuple[int, ...]
) -> None:
    """Axes may be empty, such as a cache of no steps; in JSON, later axes are then implied."""
    values = np.zeros(got).tolist()
    answer = to_array(TensorSpec("past", "float32", wanted), values)
    assert (answer.shape, answer.dtype) == (becomes, np.float32)


def test_a_row_without_its_batch_is_explained() -> None:
    """The error for a row without a batch axis explains the missing brackets."""
    message = refusal(TensorSpec("x", "float32", (None, 3, 32, 32)), np.zeros((3, 32, 32)))
    assert message.endswith("got shape [3, 32, 32]; put a single row into another pair of brackets")


# Numbers


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([[1, 2]], "float32"),
        ([[1, 2]], "int32"),
        ([[1.0, 2.0]], "int64"),
        ([[1.0, 255.0]], "uint8"),
        ([[0.5, -1.5]], "float32"),
        ([[True, False]], "float32"),
        ([[True, False]], "int64"),
        ([[0, 1]], "bool"),
        ([[0.0, 1.0]], "bool"),
        ([[2**53, -(2**63)]], "int64"),
        ([[2**64 - 1]], "uint64"),
        ([[2**63]], "uint64"),
        ([[0.25, 2]], "float16"),
        ([[1623456789012345679, 2.0]], "int64"),
        ([[1623456789012345679, True]], "int64"),
        ([[-1623456789012345679, 2.0], [0.0, 1623456789012345679]], "int64"),
        ([[2**64 - 1, 1]], "uint64"),
        ([[2**64 - 1, 3.0]], "uint64"),
        ([[True, 2, 2.0]], "int8"),
    ],
)
def test_numbers_take_the_dtype_of_the_input(values: list[Any], dtype: str) -> None:
    """Numbers are converted to the input's dtype if it holds them exactly."""
    answer = to_array(TensorSpec("x", dtype, (None, None)), values)
    assert answer.dtype == dtype
    assert answer.tolist() == values


@pytest.mark.parametrize("sent", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["int8", "int64", "uint64"])
def test_whole_floats_of_any_size_are_integers(sent: str, dtype: str) -> None:
    """Also if the dtype's largest integer is more than the floats can hold."""
    answer = to_array(TensorSpec("x", dtype, (None, 2)), np.array([[0, 100]], sent))
    assert answer.dtype == dtype
    assert answer.tolist() == [[0, 100]]


def test_fractions_are_rounded_to_the_nearest_value_of_the_dtype() -> None:
    """Fractions are rounded to the nearest float32."""
    answer = to_array(TensorSpec("x", "float32", (None, 1)), [[0.1]])
    assert answer[0, 0] == np.float32(0.1)


def test_null_nan_and_infinity_are_values_of_a_float_input() -> None:
    """For a float input, NaN and infinity are accepted, and null is NaN."""
    answer = to_array(
        TensorSpec("x", "float32", (None, 4)), [[None, float("nan"), float("inf"), 1]]
    )
    assert np.isnan(answer[0, :2]).all()
    assert answer[0, 2:].tolist() == [float("inf"), 1.0]


@pytest.mark.parametrize("values", [np.array([[1.5, 2]]), np.array([[3]]), np.array([[True]])])
def test_an_input_of_unknown_dtype_keeps_the_dtype_of_the_request(values: Any) -> None:
    """An input of unknown dtype keeps the request's dtype."""
    assert to_array(TensorSpec("x", None), values) is values


def test_an_input_of_unknown_dtype_accepts_only_numbers() -> None:
    """An input of unknown dtype accepts only numbers."""
    assert (
        refusal(TensorSpec("x", None), [["a"]]) == "input 'x': expected numbers, got 'a' at [0, 0]"
    )


@pytest.mark.parametrize(
    ("dtype", "values", "got"),
    [
        ("int64", [[1, 1.5]], "1.5 at [0, 1]"),
        ("int64", [[1, 2], [3, None]], "null or NaN at [1, 1]"),
        ("int64", [[float("nan"), 1]], "null or NaN at [0, 0]"),
        ("int64", [[float("inf"), 1]], "inf at [0, 0]"),
        ("int64", [[2.0**63, 1]], "9.223372036854776e+18 at [0, 0]"),
        ("int64", np.array([[2**63, 1]], np.uint64), "9223372036854775808 at [0, 0]"),
        ("uint64", [[2.0**64, 1]], "1.8446744073709552e+19 at [0, 0]"),
        ("uint64", [[1, -1]], "-1 at [0, 1]"),
        ("int32", [[2**31, 1]], "2147483648 at [0, 0]"),
        ("uint8", [[256, 1]], "256 at [0, 0]"),
        ("uint8", [[-1.0, 1]], "-1.0 at [0, 0]"),
        ("bool", [[1, 2]], "2 at [0, 1]"),
        ("bool", [[None, True]], "null or NaN at [0, 0]"),
        ("float32", [[1, 1e39]], "1e+39 at [0, 1]"),
        ("float32", [[1, -1e39]], "-1e+39 at [0, 1]"),
        ("float16", [[70000, 1]], "70000 at [0, 0]"),
        ("float32", [["1", "2"]], "'1' at [0, 0]"),
        ("float32", [[1, "2"]], "'2' at [0, 1]"),
        ("float32", [[1, {"a": 1}]], "{'a': 1} at [0, 1]"),
        ("int64", [[1623456789012345679, 0.5]], "0.5 at [0, 1]"),
        ("int64", [[1623456789012345679, None]], "null or NaN at [0, 1]"),
        ("int64", [[2**63 + 1, 1.0]], "9223372036854775809 at [0, 0]"),
        ("int64", [[1, -(2**63) - 1]], "-9223372036854775809 at [0, 1]"),
        ("int64", orjson.loads(b"[[1, -9223372036854775809]]"), "-9.223372036854776e+18 at [0, 1]"),
        ("int64", [[1, 2**70]], "1180591620717411303424 at [0, 1]"),
        ("int32", [[1623456789012345679, 1.0]], "1623456789012345679 at [0, 0]"),
        ("uint64", [[2**64 - 1, float("inf")]], "inf at [0, 1]"),
        ("uint64", [[2**64 - 1, -1]], "-1 at [0, 1]"),
        ("float32", np.array([[1 + 1j, 1]]), "(1+1j) at [0, 0]"),
    ],
)
def test_values_that_the_dtype_cannot_hold_are_refused(dtype: str, values: Any, got: str) -> None:
    """The error names the input, its dtype, and the first wrong value with its place."""
    message = refusal(TensorSpec("ids", dtype, (None, 2)), values)
    assert message == f"input 'ids': expected {dtype} of shape [n, 2], got {got}"


@given(
    arrays.arrays(
        st.sampled_from([*INTEGERS, "float32", "float64", "bool"]),
        arrays.array_shapes(max_dims=2, max_side=3),
    ),
    st.sampled_from([*INTEGERS, "bool"]),
)
def test_integers_are_exact_or_refused(values: Any, dtype: str) -> None:
    """Integers are converted exactly or refused, between any two dtypes."""
    got = [value.item() for value in values.flat]
    limits = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if all(limits[0] <= value <= limits[1] and value == value // 1 for value in got):
        answer = to_array(TensorSpec("x", dtype), values)
        assert answer.dtype == dtype
        assert [int(value) for value in answer.flat] == got
    else:
        assert ", got " in refusal(TensorSpec("x", dtype), values)


@pytest.mark.parametrize(
    ("shape", "rows", "told"),
    [
        ((None, 2), [[1, 2], [3]], "float32 of shape [n, 2]; row 1 has 1 value"),
        ((None, 2), [[1], [2, 3]], "float32 of shape [n, 2]; row 0 has 1 value"),
        ((None, 2), [[1, 2], 3], "float32 of shape [n, 2]; row 1 has a single value"),
        (
            (None, 2),
            [[1], [2], [3, 4, 5]],
            (
                "float32 of shape [n, 2], in lists of equal length; row 0 has 1 value, row 2 has 3"
                " values"
            ),
        ),
        (
            (None, None),
            [[1, 2], [3]],
            (
                "float32 of shape [n, ?], in lists of equal length; row 0 has 2 values, row 1 has 1"
                " value"
            ),
        ),
        (
            (None, 2, 2),
            [[[1, 2], [3, 4]], [[1, 2], [3]]],
            "float32 of shape [n, 2, 2]; the list at [1, 1] has 1 value",
        ),
        (
            None,
            [[1, 2], [3]],
            "float32, in lists of equal length; row 0 has 2 values, row 1 has 1 value",
        ),
        ((None,), [1, [2]], "float32 of shape [n]; row 1 has 1 value"),
        (
            (None, None),
            [[1], 2],
            (
                "float32 of shape [n, ?], in lists of equal length; row 0 has 1 value, row 1 has a"
                " single value"
            ),
        ),
    ],
)
def test_the_error_for_ragged_rows_names_the_row_that_the_shape_forbids(
    shape: Any, rows: Any, told: str
) -> None:
    """The row whose length the shape forbids is named, else the first two that differ."""
    assert refusal(TensorSpec("x", "float32", shape), rows) == f"input 'x': expected {told}"


@pytest.mark.parametrize(
    ("value", "got"),
    [("abc", "a string"), (5, "a number"), (None, "null"), (True, "a boolean"), ({}, "an object")],
)
def test_a_value_that_is_no_list_is_refused(value: Any, got: str) -> None:
    """The error for a value that is no list names its JSON type."""
    assert refusal(TensorSpec("x", "float32", (None, 2)), value).endswith(f", got {got}")


@pytest.mark.parametrize(
    ("shape", "becomes"),
    [((), ()), (None, ()), ((1,), (1,)), ((1, 1), (1, 1)), ((None,), (1,)), ((None, 1), (1, 1))],
)
@pytest.mark.parametrize(
    ("dtype", "value"), [("float32", 0.5), ("int64", 2**62 + 1), ("bool", True), (None, 3)]
)
def test_an_input_of_one_value_takes_a_plain_one(
    shape: Any, becomes: Any, dtype: str | None, value: Any
) -> None:
    """An input of one value, or of unknown shape, accepts a plain value."""
    answer = to_array(TensorSpec("setting", dtype, shape), value)
    assert (answer.shape, answer.item()) == (becomes, value)
    assert answer.dtype == dtype or dtype is None


@pytest.mark.parametrize(
    ("dtype", "value", "got"),
    [
        ("int64", 0.5, "0.5 at []"),
        ("int64", 2**70, "1180591620717411303424 at []"),
        ("bool", 2, "2 at []"),
        ("float32", "1", "a string"),
        ("str", 1, "a number"),
    ],
)
def test_a_plain_value_of_another_type_is_refused(dtype: str, value: Any, got: str) -> None:
    """Plain values are checked like values in lists."""
    assert refusal(TensorSpec("k", dtype, ()), value).endswith(f"of shape [], got {got}")


# Text


@pytest.mark.parametrize("dtype", ["str", "object", "bytes"])
@pytest.mark.parametrize("values", [[["a"], ["bcd"]], np.array([["a"], ["bcd"]])])
def test_text_stays_text(dtype: str, values: Any) -> None:
    """Text becomes an object array of str for all text dtypes."""
    answer = to_array(TensorSpec("words", dtype, (None, 1)), values)
    assert answer.dtype == object
    assert answer.tolist() == [["a"], ["bcd"]]


@pytest.mark.parametrize(
    ("values", "got"),
    [
        ([[1]], "1 at [0, 0]"),
        ([["a"], [None]], "null or NaN at [1, 0]"),
        ([["a"], [2]], "2 at [1, 0]"),
    ],
)
def test_an_input_of_text_takes_nothing_else(values: Any, got: str) -> None:
    """A text input refuses numbers and null."""
    assert refusal(TensorSpec("words", "str", (None, 1)), values) == (
        f"input 'words': expected text of shape [n, 1], got {got}"
    )


BYTES = b"\x89PNG\0\0"  # trailing zeros, which numpy's fixed-size strings would lose
IN_JSON = {"b64": "iVBORwAA"}


@pytest.mark.parametrize(
    ("value", "shape", "becomes"),
    [
        ([[IN_JSON], ["a"]], (None, 1), [[BYTES], ["a"]]),
        ([IN_JSON], (None,), [BYTES]),
        (IN_JSON, (None,), [BYTES]),
        (IN_JSON, (), BYTES),
        (IN_JSON, None, BYTES),
        ([IN_JSON], None, [BYTES]),
        (BYTES, (None,), [BYTES]),
        (np.array([[IN_JSON]], dtype=object), (None, 1), [[BYTES]]),
    ],
)
def test_base64_objects_are_decoded_for_bytes_inputs(value: Any, shape: Any, becomes: Any) -> None:
    """Base64 objects are decoded for bytes inputs, in any nesting."""
    assert to_array(TensorSpec("image", "bytes", shape), value).tolist() == becomes


def test_bytes_for_an_input_of_text_are_utf_8() -> None:
    """For a text input, bytes must be UTF-8."""
    spec = TensorSpec("words", "str", (None,))
    assert to_array(spec, [{"b64": "a8O2eg=="}, "b"]).tolist() == ["köz", "b"]
    assert refusal(spec, ["b", IN_JSON]) == (
        r"input 'words': expected text of shape [n], got b'\x89PNG\x00\x00' at [1]"
    )


@pytest.mark.parametrize("shape", [(None,), (None, 1), (), None])
def test_a_plain_text_is_one_row(shape: Any) -> None:
    """A plain text is one row."""
    answer = to_array(TensorSpec("words", "str", shape), "hi")
    assert answer.shape == (1,) * len(shape or ())
    assert answer.item() == "hi"


# Shared axes


def test_axes_of_one_name_have_one_size() -> None:
    """Axes of the same name must have the same size, within an input and between inputs."""
    square = TensorSpec("square", "float32", (None, None), axes=("n", "n"))
    row = TensorSpec("row", "float32", (None, None), axes=("m", "n"))
    check_sizes([square, row], {"square": np.zeros((2, 2)), "row": np.zeros((7, 2))})
    with pytest.raises(ClientError, match="'square' has 2, 'row' has 3"):
        check_sizes([square, row], {"square": np.zeros((2, 2)), "row": np.zeros((2, 3))})
    with pytest.raises(ClientError) as caught:
        check_sizes([square], {"square": np.zeros((2, 4))})
    assert str(caught.value) == (
        "expected one size of 'n', an axis of several inputs; 'square' has 2, 'square' has 4"
    )


def test_axes_without_names_may_differ() -> None:
    """Unnamed axes, missing inputs and unknown shapes are not compared."""
    image = TensorSpec("image", "float32", (None, None))
    others = [TensorSpec("any", None), TensorSpec("left_out", "float32", (None,))]
    check_sizes([image, *others], {"image": np.zeros((2, 5)), "any": np.zeros((3, 4))})
