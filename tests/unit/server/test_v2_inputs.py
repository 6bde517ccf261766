import base64
from typing import Any

import numpy as np
import pytest

from prepackaged.component import Component
from prepackaged.errors import ClientError
from prepackaged.server.protocols.v2.datatypes import DATATYPES
from prepackaged.server.protocols.v2.inputs import MOST_COPIED, Inputs
from prepackaged.server.protocols.v2.tensors import Tensor
from prepackaged.signature import Column, Signature, TensorSpec
from prepackaged.tables import Columns
from prepackaged.tensors import TensorComponent

FACTS = (Column("age", "float64"), Column("job", "text"), Column("n", "int64"))


def tensor(name: str, datatype: str, shape: list[int], values: Any, kind: str = "") -> Tensor:
    """Build an input with values."""
    parameters = {"content_type": kind} if kind else {}
    return Tensor(name, DATATYPES[datatype], shape, values, parameters=parameters)


def binary(name: str, datatype: str, shape: list[int], content: bytes) -> Tensor:
    """Build an input with binary content."""
    return Tensor(name, DATATYPES[datatype], shape, content=content)


class Plain:
    """A model without a signature."""


def tabular(*facts: Column) -> Any:
    """Build a model of tables."""
    model = Component()
    model.signature = Signature(facts)
    return model


def of_tensors(*specs: TensorSpec) -> Any:
    """Build a model of named tensors."""
    model = TensorComponent()
    model.signature = Signature(specs)
    return model


def value(model: Any, *tensors: Tensor, kind: Any = None) -> Any:
    """Return the input that the model gets."""
    return Inputs(model).value(tensors, kind)[0]


def refusal(model: Any, *tensors: Tensor, kind: Any = None) -> str:
    """Return the error message for invalid inputs."""
    with pytest.raises(ClientError) as caught:
        value(model, *tensors, kind=kind)
    return str(caught.value)


def test_one_tensor_is_an_array_whatever_its_name() -> None:
    """A single tensor is passed as an array, whatever its name."""
    one = tensor("anything", "FP32", [1, 2], [1, 2])
    for model in (
        Plain(),
        tabular(Column(), Column()),
        of_tensors(TensorSpec("x", "f4", [None, 2])),
    ):
        array = value(model, one)
        assert (array.dtype, array.tolist()) == (np.float32, [[1, 2]])


def test_several_tensors_are_arrays_by_name() -> None:
    """Several tensors are passed as arrays by name."""
    sent = [tensor("a", "INT8", [1, 1], [1]), tensor("b", "BYTES", [1], ["x"])]
    specs = (TensorSpec("a", "i1", [None, 1]), TensorSpec("b", "O", [None]))
    for model in (Plain(), of_tensors(*specs)):
        arrays = value(model, *sent)
        assert {name: (array.dtype, array.tolist()) for name, array in arrays.items()} == {
            "a": (np.int8, [[1]]),
            "b": (object, ["x"]),
        }


def test_one_tensor_for_a_model_of_several_inputs_keeps_its_name() -> None:
    """A single tensor for a model of several inputs keeps its name, so errors name the others."""
    model = of_tensors(TensorSpec("a", "f4", [None]), TensorSpec("b", "f4", [None]))
    with pytest.raises(ClientError, match="missing: a"):
        model.tensors(value(model, tensor("b", "FP32", [1], [1])))


@pytest.mark.parametrize("kind", [None, "pd"])
@pytest.mark.parametrize("width", [[], [1]])
def test_columns_in_any_order_are_a_table(kind: str | None, width: list[int]) -> None:
    """Columns of shape [n] or [n, 1] form a table in any order; null is a missing value."""
    sent = [
        tensor("job", "BYTES", [3, *width], ["a", None, "b"]),
        tensor("n", "INT64", [3, *width], [2**53 + 1, 2, 3]),
        tensor("age", "FP64", [3, *width], [0.5, None, 2]),
    ]
    table = Columns.of(FACTS).table(value(tabular(*FACTS), *sent, kind=kind))
    ages, jobs, numbers = (array.tolist() for array in table.arrays)
    assert [ages[0], str(ages[1]), ages[2]] == [0.5, "nan", 2]
    assert [jobs[0], jobs[2]] == ["a", "b"]
    assert jobs[1] is None or jobs[1] != jobs[1]
    assert numbers == [2**53 + 1, 2, 3]


def test_columns_of_a_single_row_are_one_record() -> None:
    """Columns of a single row form one record, which is several times as fast to read."""
    sent = [
        tensor("n", "INT32", [1], [7]),
        tensor("age", "FP32", [1, 1], [[0.5]]),
        tensor("job", "BYTES", [1], ["a"]),
    ]
    assert value(tabular(*FACTS), *sent) == {"n": 7, "age": 0.5, "job": "a"}
    assert value(tabular(*FACTS), tensor("n", "INT32", [1], [None])) == {"n": None}


def test_columns_in_binary_are_the_same_table() -> None:
    """Binary columns form the same table, with texts in UTF-8."""
    sent = [
        binary("job", "BYTES", [2], b"\2\0\0\0\xc3\xa9\0\0\0\0"),
        binary("n", "INT64", [2], np.array([1, 2]).tobytes()),
        binary("age", "FP32", [2, 1], np.array([0.5, 1], "f4").tobytes()),
    ]
    table = Columns.of(FACTS).table(value(tabular(*FACTS), *sent))
    assert [array.tolist() for array in table.arrays] == [[0.5, 1], ["\u00e9", ""], [1, 2]]


def test_a_pd_request_for_a_model_without_a_signature_is_rows_under_names() -> None:
    """Without a signature, "pd" columns become rows and names, as in Seldon's protocol."""
    sent = [tensor("a", "INT8", [2], [1, 2]), tensor("b", "FP64", [2, 1], [0.5, 1])]
    array, names = Inputs(Plain()).value(sent, "pd")
    assert (array.tolist(), names) == ([[1, 0.5], [2, 1]], ["a", "b"])
    texts, _ = Inputs(Plain()).value([*sent, tensor("c", "BYTES", [2], ["x", None])], "pd")
    assert texts.tolist() == [[1, 0.5, "x"], [2, 1.0, None]]
    assert list(map(type, texts[0])) == [int, float, str]  # as JSON has them


def test_a_pd_request_for_columns_without_names_is_rows_in_their_order() -> None:
    """A DataFrame for a model that knows no names is rows under names, as MLflow's `split` is."""
    sent = [tensor("b", "INT8", [2], [1, 2]), tensor("a", "FP64", [2, 1], [0.5, 1])]
    array, names = Inputs(tabular(Column(), Column())).value(sent, "pd")
    assert (array.tolist(), names) == ([[1, 0.5], [2, 1]], ["b", "a"])
    records, names = Inputs(tabular(Column(), Column())).value(sent, None)
    assert (list(records), names) == (["b", "a"], [])


def test_texts_are_strings_for_a_model_of_tables_and_bytes_for_others() -> None:
    """Binary BYTES are strings for a model of tables, otherwise bytes; in JSON they are strings."""
    content = binary("x", "BYTES", [1], b"\1\0\0\0a")
    assert value(tabular(), content).tolist() == ["a"]
    assert value(Plain(), content).tolist() == [b"a"]
    assert value(of_tensors(TensorSpec("x", "S", [None])), content).tolist() == [b"a"]
    assert value(Plain(), tensor("x", "BYTES", [1], ["a"])).tolist() == ["a"]
    assert value(tabular(), tensor("x", "BYTES", [1], ["YQ=="], "base64")).tolist() == ["a"]


def test_a_single_value_is_one_row() -> None:
    """A tensor of shape [], as KServe's tests send an image, is passed as one row."""
    content = binary("x", "BYTES", [], b"\4\0\0\0\x89PNG")
    assert value(Plain(), content).tolist() == [b"\x89PNG"]
    assert value(of_tensors(TensorSpec("x", "f4", [None, 8, 8, 3])), content).tolist() == [
        b"\x89PNG"
    ]


@pytest.mark.parametrize(
    ("kind", "sent", "array"),
    [
        ("base64", base64.b64encode(b"\xff\0").decode(), b"\xff\0"),
        ("str", "caf\u00e9", "caf\u00e9"),
        ("np", "a", "a"),
        ("datetime", "2026-01-31T00:00:00", "2026-01-31T00:00:00"),
        ("pd_json", '{"a": [1]}', {"a": [1]}),
        ("whatever", "a", "a"),
    ],
)
def test_a_content_type_says_what_bytes_mean(kind: str, sent: str, array: Any) -> None:
    """MLServer's content types convert BYTES; unknown ones are ignored if the values are usable."""
    assert value(Plain(), tensor("x", "BYTES", [1], [sent], kind)).tolist() == [array]


@pytest.mark.parametrize(
    ("model", "sent", "kind", "text"),
    [
        (
            Plain(),
            [tensor("x", "BYTES", [1, 2], ["YQ==", "?"], "base64")],
            None,
            "input 'x': expected a string in Base64 at [0, 1], got '?'",
        ),
        (
            Plain(),
            [tensor("x", "BYTES", [1], ["YQ"], "base64")],
            None,
            "input 'x': expected a string in Base64 at [0], got 'YQ'",
        ),
        (
            Plain(),
            [tensor("x", "BYTES", [1], ["{"], "pd_json")],
            None,
            "input 'x': expected JSON at [0], got '{'",
        ),
        (
            tabular(),
            [binary("x", "BYTES", [1], b"\1\0\0\0\xff")],
            None,
            "input 'x': expected text in UTF-8 at [0], got b'\\xff'",
        ),
        (
            tabular(),
            [tensor("x", "BYTES", [1], ["/w=="], "base64")],
            None,
            "input 'x': expected text in UTF-8 at [0], got b'\\xff'",
        ),
        (
            Plain(),
            [tensor("x", "BYTES", [1], ["a"], "hf")],
            None,
            (
                "input 'x': expected content_type as one of np, pd, pd_json, str, base64, datetime,"
                " got 'hf'"
            ),
        ),
        (
            tabular(*FACTS),
            [tensor("age", "FP64", [2], [1, 2]), tensor("job", "BYTES", [3], ["a"] * 3)],
            None,
            "input 'job': expected a column, shape [2] or [2, 1], got [3]",
        ),
        (
            tabular(*FACTS),
            [tensor("age", "FP64", [1], [1]), tensor("age", "FP64", [1], [1])],
            None,
            "expected each input once, got 'age' twice",
        ),
        (
            tabular(Column(), Column()),
            [tensor("x", "FP64", [2], [1, 2])],
            None,
            (
                "input 'x': expected rows of values, shape [rows, 2], got shape [2];"
                " a single row is shape [1, 2]"
            ),
        ),
        (
            tabular(*FACTS),
            [tensor("n", "INT8", [2], [None, 300]), tensor("age", "FP64", [2], [1, 2])],
            None,
            "input 'n': expected int8, got 300 at [1]",
        ),
    ],
)
def test_unusable_inputs_are_refused(model: Any, sent: Any, kind: Any, text: str) -> None:
    """The error names the input, the place, the expected and the actual value."""
    assert refusal(model, *sent, kind=kind) == text


def test_duplicate_names_are_found_in_linear_time() -> None:
    """Duplicate names among 10,000 inputs are found in linear time."""
    names = [tensor(str(number % 9999), "FP32", [1], [1]) for number in range(10_000)]
    assert refusal(Plain(), *names) == "expected each input once, got '0' twice"


NUMBERS = binary("x", "UINT8", [1, 4], b"1234")


@pytest.mark.parametrize(
    ("model", "tensors", "thread"),
    [
        (Plain(), [NUMBERS], "loop"),
        (of_tensors(TensorSpec("x", "uint8")), [NUMBERS, NUMBERS], "loop"),
        (Plain(), [NUMBERS, binary("y", "BYTES", [1], b"\1\0\0\0a")], "background"),
        (Plain(), [tensor("x", "UINT8", [1, 2], [1, 2])], "background"),
        (
            Plain(),
            [binary("x", "UINT8", [1, MOST_COPIED + 1], bytes(MOST_COPIED + 1))],
            "background",
        ),
        (tabular(*FACTS), [binary("n", "INT64", [1], bytes(8))], "background"),
    ],
    ids=["numbers", "several inputs", "texts", "JSON", "too many", "columns of a table"],
)
def test_the_event_loop_only_reads_binary_numbers_that_are_copied(
    model: Any, tensors: list[Tensor], thread: str
) -> None:
    """Texts, JSON, columns of a table and many bytes are for another thread."""
    assert Inputs(model).only_copies(tensors) == (thread == "loop")
