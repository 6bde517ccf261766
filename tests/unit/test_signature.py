import copy
import dataclasses
import math
import pickle
from typing import Any

import numpy as np
import pytest
from seldon_core.metadata import validate_model_metadata

from prepackaged import Column, Signature, TensorSpec
from prepackaged.metadata import seldon_metadata
from prepackaged.signature import UNKNOWN

AGE = Column("age", "float64", missing=math.nan)
CITY = Column("city", "category", ("Taipei", "Tainan"), missing=None)
PIXELS = TensorSpec("pixels", "uint8", (None, 28, 28))
PEOPLE = Signature(
    inputs=(AGE, CITY, Column("id", "int64", used=False)),
    outputs=(Column("died"), Column("survived")),
    class_names=("died", "survived"),
    method="predict_proba",
    methods=("predict_proba", "predict"),
    sources={"inputs": "pipeline", "class_names": "model"},
)


def with_fields(fact: Any) -> list[str]:
    """Return the names of a dataclass's fields."""
    return [each.name for each in dataclasses.fields(fact)]


# Immutability


@pytest.mark.parametrize("fact", [AGE, PIXELS, PEOPLE], ids=lambda fact: type(fact).__name__)
def test_no_fact_can_be_changed(fact: Any) -> None:
    """The fields of columns, tensors and signatures cannot be changed."""
    for name in with_fields(fact):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(fact, name, None)


@pytest.mark.parametrize("fact", [AGE, CITY, PIXELS, PEOPLE], ids=["nan", "none", "tensor", "all"])
def test_copies_are_equal(fact: Any) -> None:
    """Copied and unpickled objects are equal to the original."""
    assert copy.deepcopy(fact) == fact
    assert pickle.loads(pickle.dumps(fact)) == fact
    assert hash(copy.copy(fact)) == hash(fact)


def test_sources_are_a_copy() -> None:
    """Changing the caller's dict does not change the signature."""
    sources: dict[str, Any] = {"inputs": "model"}
    signature = Signature(sources=sources)
    sources["inputs"] = "MLmodel"
    assert signature.sources == {"inputs": "model"}


def test_any_nan_is_the_same_missing_value() -> None:
    """All NaN values are equal as missing values."""
    assert Column("age", missing=np.float64("nan")) == Column("age", missing=float("nan"))


def test_no_missing_value_is_not_the_missing_value_none() -> None:
    """An unknown missing value differs from the missing value None."""
    assert Column("flag").missing is UNKNOWN
    assert Column("flag", missing=None) != Column("flag")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Column("a", "str"), "expected a kind of float64, .*, any, got 'str'"),
        (lambda: Signature(sources={"input": "model"}), "expected sources of .*, got 'input'"),
        (lambda: Signature(sources={"inputs": "guess"}), "expected sources model, .*'guess'"),
        (lambda: TensorSpec("x", None, (None, 3), axes=("n",)), r"each axis of \(None, 3\)"),
        (lambda: TensorSpec("x", None, None, axes=("n",)), "each axis of None"),
    ],
)
def test_invalid_facts_are_refused(make: Any, message: str) -> None:
    """Invalid values raise a ValueError at once."""
    with pytest.raises(ValueError, match=message):
        make()


# Tensors


def test_dtypes_and_shapes_are_normalised() -> None:
    """Dtypes and shapes are normalised."""
    spec = TensorSpec("x", float, [None, 3])
    assert (spec.dtype, spec.shape) == (np.dtype("float64"), (None, 3))
    assert spec == TensorSpec("x", "float64", (None, 3))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((None, 3, None), ("batch", None, None)),
        ((None,), ("batch",)),
        ((1, 3), (None, None)),
        ((), ()),
        (None, ()),
    ],
)
def test_a_variable_first_axis_is_the_batch(shape: Any, axes: Any) -> None:
    """A variable first axis is named "batch" by default."""
    assert TensorSpec("x", None, shape).axes == axes


def test_the_models_own_names_of_axes_are_kept() -> None:
    """The model's own axis names are kept."""
    assert TensorSpec("x", None, (None, None), axes=("nodes", None)).axes == ("nodes", None)


# As text


def test_a_signature_can_be_printed() -> None:
    """The text has one line per field, with its source."""
    assert str(PEOPLE) == (
        "inputs: age (float64, missing: nan), city (category of Taipei, Tainan, missing: None),"
        " id (int64, unused) [pipeline]\n"
        "outputs: died (any), survived (any)\n"
        "class_names: died, survived [model]\n"
        "method: predict_proba\n"
        "methods: predict_proba, predict"
    )


def test_tensors_can_be_printed() -> None:
    """In the text, n is the batch and ? any other variable size."""
    mask = TensorSpec("mask", "bool", (None, None), optional=True)
    score = TensorSpec("", "float32", (None,))
    assert str(Signature((PIXELS, mask), (score,))) == (
        "inputs: pixels (uint8 of shape [n, 28, 28]), mask (bool of shape [n, ?], optional)\n"
        "outputs: array (float32 of shape [n])"
    )


def test_the_text_says_what_is_unknown() -> None:
    """The text says which parts are unknown."""
    assert str(Signature()) == "inputs: unknown\noutputs: unknown"
    assert str(Signature((Column(),) * 4)) == "inputs: 4 columns without names\noutputs: unknown"


def test_a_long_signature_is_truncated() -> None:
    """The text truncates a long list of columns."""
    columns = tuple(Column(f"c{number}") for number in range(1000))
    assert str(Signature(columns)).endswith("c19 (any) and 980 more\noutputs: unknown")


def test_a_single_source_is_shown_for_all_parts() -> None:
    """A single source applies to all known parts but the method, which the deployment chooses."""
    assert PEOPLE.with_source("MLmodel").sources == dict.fromkeys(
        ["inputs", "outputs", "class_names", "methods"], "MLmodel"
    )
    assert Signature((AGE,), method="predict").with_source("model").sources == {"inputs": "model"}


# As Seldon's metadata


def test_columns_are_an_array_with_names() -> None:
    """Columns are described as an ndarray with names and the number of columns."""
    assert seldon_metadata(PEOPLE) == {
        "inputs": [
            {"messagetype": "ndarray", "schema": {"names": ["age", "city", "id"], "shape": [3]}}
        ],
        "outputs": [
            {"messagetype": "ndarray", "schema": {"names": ["died", "survived"], "shape": [2]}}
        ],
    }
    validate_model_metadata(seldon_metadata(PEOPLE))


def test_columns_without_names_are_counted() -> None:
    """Unless all columns have names, only their number is given."""
    counted = [{"messagetype": "ndarray", "schema": {"shape": [2]}}]
    assert seldon_metadata(Signature((Column(), Column())))["inputs"] == counted
    assert seldon_metadata(Signature((Column("a"), Column())))["inputs"] == counted


def test_an_array_without_a_name_has_the_shape_of_a_row() -> None:
    """An unnamed tensor is described as an ndarray with the shape of a row, if known."""
    for shape, schema in {(None,): [], (None, 3, 5): [3, 5]}.items():
        told = seldon_metadata(Signature(outputs=(TensorSpec("", "float32", shape),)))["outputs"]
        assert told == [{"messagetype": "ndarray", "schema": {"shape": schema}}]
        validate_model_metadata({"outputs": told})
    unknown = seldon_metadata(Signature(outputs=(TensorSpec("", None),)))
    assert unknown["outputs"] == [{"messagetype": "ndarray"}]
    validate_model_metadata(unknown)


def test_unknown_inputs_and_outputs_are_empty_lists() -> None:
    """Unknown inputs and outputs are empty lists."""
    assert seldon_metadata(Signature()) == {"inputs": [], "outputs": []}


@pytest.mark.parametrize(
    ("dtype", "datatype"),
    [
        ("bool", "BOOL"),
        ("uint8", "UINT8"),
        ("int64", "INT64"),
        ("float16", "FP16"),
        ("float32", "FP32"),
        ("float64", "FP64"),
        ("str", "BYTES"),
        ("object", "BYTES"),
    ],
)
def test_a_tensor_has_name_datatype_and_shape(dtype: str, datatype: str) -> None:
    """A tensor has a name, a datatype and a shape with -1 for variable sizes."""
    told = seldon_metadata(Signature((TensorSpec("x", dtype, (None, 3, 224, 224)),)))
    assert told["inputs"] == [{"name": "x", "datatype": datatype, "shape": [-1, 3, 224, 224]}]
    validate_model_metadata(told)


@pytest.mark.parametrize("dtype", [None, "complex64"])
def test_an_unsupported_datatype_is_omitted(dtype: Any) -> None:
    """An unknown or unsupported dtype is omitted."""
    assert seldon_metadata(Signature((TensorSpec("x", dtype),)))["inputs"] == [{"name": "x"}]
