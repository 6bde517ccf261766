"""What is accepted without jsonschema is what jsonschema accepts."""

import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seldon_core.metadata import (
    JSON_SCHEMA,
    SeldonInvalidMetadataError,
    validate_model_metadata,
)

from prepackaged.metadata_schema import follows, validated


class Version(str):
    """A text as `torch.__version__` is one, which compares as a version."""

    __slots__ = ()

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise ValueError(f"expected a version, got {other}")


TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
ARRAY = {"messagetype": "ndarray", "schema": {"names": ["a", "b"], "shape": [2]}}
USUAL: dict[str, dict[str, Any]] = {
    "nothing": {},
    "an array": {"platform": "sklearn", "inputs": [ARRAY], "outputs": [ARRAY]},
    "tensors": {"inputs": [TENSOR, {"name": "y"}], "outputs": [{"shape": []}]},
    "other messages": {
        "inputs": [{"messagetype": "jsonData", "schema": {"type": "object"}}],
        "outputs": [{"messagetype": "strData"}, {"messagetype": "binData"}],
    },
    "texts of a type of their own": {"custom": {"torch": Version("2.13.0+cpu")}},
    "a form of one's own": {"inputs": [{"messagetype": "audio", "schema": {"rate": 8000}}]},
    "all": {
        "name": "iris",
        "versions": ["iris:1", "2"],
        "platform": "xgboost",
        "inputs": [TENSOR, ARRAY],
        "outputs": [],
        "custom": {"saved_with": "3.1"},
    },
}
WRONG: dict[str, dict[str, Any]] = {
    "a name that is a number": {"name": 1},
    "versions that are a text": {"versions": "1"},
    "another field": {"author": "Ada"},
    "a custom value that is a number": {"custom": {"depth": 3}},
    "inputs that are an object": {"inputs": {}},
    "a tensor of another type": {"inputs": [{**TENSOR, "datatype": "FLOAT"}]},
    "a shape of texts": {"inputs": [{**TENSOR, "shape": ["n"]}]},
    "a shape of truth values": {"inputs": [{**TENSOR, "shape": [True]}]},
    "a text with a schema": {"inputs": [{"messagetype": "strData", "schema": {}}]},
    "an array with another field": {"inputs": [{**ARRAY, "datatype": "FP32"}]},
    "a messagetype that is a list": {"inputs": [{"messagetype": ["tensor"]}]},
    "a second input that is wrong": {"inputs": [TENSOR, 1]},
}
KEYS = st.sampled_from(
    [
        "name",
        "versions",
        "platform",
        "inputs",
        "outputs",
        "custom",
        "messagetype",
        "schema",
        "names",
        "datatype",
        "shape",
        "other",
    ]
)
LEAVES = st.sampled_from([None, True, 1, -1, 1.0, 2.5, "", "tensor", "ndarray", "jsonData"]) | (
    st.sampled_from(["strData", "binData", "audio", "FP32", "BYTES", "iris:1"])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("metadata", USUAL.values(), ids=USUAL)
def test_usual_metadata_is_accepted_without_jsonschema(metadata: dict[str, Any]) -> None:
    """Valid metadata of each form gets Seldon's defaults, and jsonschema is not asked."""
    expected = validate_model_metadata(metadata)

    assert follows(expected, JSON_SCHEMA)
    assert validated(metadata) == expected


@pytest.mark.parametrize("metadata", WRONG.values(), ids=WRONG)
def test_wrong_metadata_gives_the_error_of_jsonschema(metadata: dict[str, Any]) -> None:
    """Invalid metadata raises what seldon-core raises."""
    with pytest.raises(SeldonInvalidMetadataError) as theirs:
        validate_model_metadata(metadata)
    with pytest.raises(SeldonInvalidMetadataError) as ours:
        validated(metadata)
    assert str(ours.value) == str(theirs.value)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_nothing_is_accepted_that_jsonschema_refuses(metadata: dict[str, Any]) -> None:
    """Whatever the metadata, the result or the error is seldon-core's."""
    try:
        expected = validate_model_metadata(metadata)
    except SeldonInvalidMetadataError:
        with pytest.raises(SeldonInvalidMetadataError):
            validated(metadata)
    else:
        assert validated(metadata) == expected


def test_name_and_version_default_to_the_image_s() -> None:
    """Name and version of PREDICTIVE_UNIT_IMAGE are the defaults, as in seldon-core."""
    script = (
        "from prepackaged.metadata_schema import validated;"
        "from seldon_core.metadata import validate_model_metadata;"
        "print(validated({}) == validate_model_metadata({}), *validated({})['versions'])"
    )
    completed = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PREDICTIVE_UNIT_IMAGE": "infuseai/iris:v1"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert completed.stdout == "True v1\n"
