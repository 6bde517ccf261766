from collections.abc import Iterator
from functools import partial
from typing import Any

import jsonschema
import numpy as np
import pytest
import requests
from openapi_spec_validator import OpenAPIV31SpecValidator

from prepackaged import Artifact, Column, Component, Signature, TensorSpec, ValueRange
from prepackaged.tables import Columns
from prepackaged.tensors import TensorComponent
from prepackaged.testing import serve

COLUMNS = (Column("age", "float64"), Column("city", "category", ("Taipei", "Tainan")))
NAMELESS = (Column(kind="float64"), Column(kind="float64"))
EMPTY_NAME = (Column("", "float64"), Column("it's", "float64"))
MANY = tuple(Column(f"column number {number}", "float64") for number in range(150))
TENSORS = (TensorSpec("x", "float32", (None, 3)), TensorSpec("k", "int64", (None,)))


class OfTable(Component):
    """Answers each row of a table with the number of rows."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        super().__init__()
        self.signature = Signature(columns)
        self.load()

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        rows = len(Columns.of(self.signature.inputs).table(X, feature_names))
        return np.full((rows, 1), rows)


class OfTensors(TensorComponent):
    """Returns the sum of two tensors."""

    def load_model(self, artifact: Artifact | None) -> None:
        self.signature = Signature(TENSORS)

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        arrays = self.tensors(X, feature_names)
        return arrays["x"].sum(axis=1) + arrays["k"]


def of_tensors() -> Component:
    """A loaded OfTensors."""
    model = OfTensors()
    model.load()
    return model


@pytest.mark.parametrize(
    "make",
    [
        *(partial(OfTable, each) for each in (COLUMNS, NAMELESS, EMPTY_NAME, MANY)),
        of_tensors,
    ],
    ids=["names", "no names", "an empty name", "many columns", "tensors"],
)
def test_every_example_of_the_document_is_what_it_describes_and_is_answered(make: Any) -> None:
    """In every protocol, the document's example matches its schema and is answered with 200."""
    with serve(make()) as served:
        document = requests.get(f"{served.url}/openapi.json").json()
        OpenAPIV31SpecValidator(document).validate()
        asked = []
        for path, item in document["paths"].items():
            for method, operation in item.items():
                body = operation.get("requestBody", {"content": {}})["content"]
                content = body.get("application/json", {})
                if "example" in content:
                    jsonschema.validate(
                        content["example"], content["schema"], jsonschema.Draft202012Validator
                    )
                answer = requests.request(method, served.url + path, json=content.get("example"))
                assert answer.status_code == 200, (path, answer.text)
                asked.append(path)
    assert len([path for path in asked if path.endswith(("predict", "infer", "invocations"))]) == 3


def test_the_range_of_a_column_is_described_but_not_enforced() -> None:
    """A column's description names its known range, and a number outside is answered."""
    column = Column("age", "float64", value_range=ValueRange(18, 90.5, "training"))
    with serve(OfTable((column,))) as served:
        document = requests.get(f"{served.url}/openapi.json").json()
        answer = requests.post(
            f"{served.url}/api/v1.0/predictions", json={"jsonData": [{"age": 1e6}]}
        )

    found = [
        schema["properties"]["age"]
        for schema in schemas_in(document)
        if "age" in schema.get("properties", {})
    ]
    assert found
    for schema in found:
        assert schema == {"type": ["number", "null"], "description": "known range: 18 to 90.5"}
    assert answer.status_code == 200


def schemas_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield from schemas_in(each)
