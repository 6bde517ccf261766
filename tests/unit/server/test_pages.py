import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import jsonschema
import numpy as np
import pybase64
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from prepackaged import Column, Signature, TensorSpec
from prepackaged.examples import DOCUMENTED, example_request
from prepackaged.server.protocols.openapi import document
from prepackaged.server.protocols.pages.facts import page_facts
from prepackaged.server.protocols.pages.page import page, policy
from prepackaged.server.protocols.seldon.openapi import paths
from prepackaged.server.protocols.seldon.rest import PREDICTIONS

HOSTILE = "</script><script>alert(1)</script><!--"
TABLE = Signature(
    (
        Column("age", "float64", nullable=True),
        Column("class", "int64", (1, 2, 3), open=False, nullable=False),
        Column("city", "category", ("Taipei", "Tainan"), missing=None),
        Column("day", "datetime"),
        Column("free"),
    )
)
TENSORS = Signature(
    (
        TensorSpec("x", "float32", (None, 3)),
        TensorSpec("n", "int64", ()),
        TensorSpec("words", bytes, (None,), optional=True),
    )
)


class Served:
    """A model with only a signature."""

    def __init__(self, signature: Signature | None) -> None:
        self.signature = signature


class Elements(HTMLParser):
    """Collect the texts of scripts and styles in a page, by element and type."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = " ".join(filter(None, (tag, dict(attrs).get("type"))))
        assert self._open not in self.found or tag not in ("script", "style")

    def handle_data(self, data: str) -> None:
        if self._open.startswith(("script", "style")):
            self.found[self._open] = data

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


def facts_of(signature: Signature | None, **metadata: Any) -> dict[str, Any]:
    """Return the facts on the page of a model with this signature."""
    return page_facts(Served(signature), metadata, "", PREDICTIONS[1], paths(signature))


def test_the_policy_allows_only_the_page_s_own_script_and_style() -> None:
    """The CSP allows only the page's own script and style, by hash (CSP 3, section 6.7)."""
    found = Elements(page(facts_of(TABLE), "/ui").decode()).found

    for element in ("script", "style"):
        digest = pybase64.b64encode(hashlib.sha256(found[element].encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy()
    assert "default-src 'none'" in policy()
    assert "unsafe" not in policy()


def test_the_page_loads_nothing_from_other_servers() -> None:
    """The page loads nothing from other servers, so it works in an isolated cluster."""
    text = page(facts_of(None), "/").decode()
    assert set(re.findall(r"https?://[\w.]+", text)) <= {"https://example.org"}  # a placeholder


def test_hostile_names_stay_text() -> None:
    """Hostile names cannot close the HTML element that contains the facts."""
    columns = Signature((Column(HOSTILE, "text", (HOSTILE, "b")),))
    facts = facts_of(columns, name=HOSTILE, custom={HOSTILE: HOSTILE})
    found = Elements(page(facts, "/").decode()).found

    assert json.loads(found["script application/json"]) == facts
    assert facts["columns"][0]["name"] == HOSTILE


@pytest.mark.parametrize("signature", [TABLE, TENSORS, Signature(), None], ids=str)
def test_a_form_is_filled_with_a_row_of_the_columns(signature: Signature | None) -> None:
    """The form is filled with an example row of the columns, or with an example message."""
    facts = facts_of(signature)
    columns = [each for each in (signature or Signature()).inputs or () if type(each) is Column]

    assert [each["name"] for each in facts["columns"]] == [each.name for each in columns]
    assert all(each["example"] is not None for each in facts["columns"])
    assert facts["example"].keys() & {"data", "jsonData"}


def test_a_table_of_very_many_columns_has_a_json_field() -> None:
    """A table of thousands of columns gets a JSON field instead of a form."""
    facts = facts_of(Signature(tuple(Column(str(number)) for number in range(5000))))
    assert facts["columns"] == []
    assert "5000 columns" in facts["hint"]


@pytest.mark.parametrize(
    ("shape", "is_image"),
    [
        ((None, 224, 224, 3), True),
        ((None, 1, None, None), True),
        ((None, 3), False),
        ((None, 8, 8, 8), False),
        (None, False),
    ],
)
def test_the_page_offers_an_upload_if_the_model_takes_images(shape: Any, *, is_image: bool) -> None:
    """The page offers an image upload if the input is a batch of images with 1 or 3 channels."""
    assert facts_of(Signature((TensorSpec("x", "float32", shape),)))["takesImages"] is is_image


@pytest.mark.parametrize(
    "signature",
    [
        None,
        TABLE,
        TENSORS,
        Signature((TensorSpec("x", np.float32, (None, 2, None)),)),
        Signature((TensorSpec("x", None),)),
        Signature((Column(), Column())),
        Signature(tuple(Column(f"c{number}") for number in range(500))),
        Signature(tuple(Column(f"c{number}") for number in range(5000))),
        Signature((Column(""), Column("'"))),
    ],
    ids=str,
)
def test_the_document_is_valid_openapi_and_its_example_matches(
    signature: Signature | None,
) -> None:
    """The document is valid OpenAPI 3.1, and its example matches its schema."""
    described = json.loads(json.dumps(document("a model", "1", paths(signature))))
    OpenAPIV31SpecValidator(described).validate()

    operation = described["paths"]["/api/v1.0/predictions"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    if example_request(signature, DOCUMENTED):
        jsonschema.validate(content["example"], content["schema"], jsonschema.Draft202012Validator)
    else:
        assert "example" not in content


@pytest.mark.parametrize(
    ("message", "is_right"),
    [
        ({"data": {"ndarray": [[1.5, 2, "Taipei", "2026-01-31", 1]]}}, True),
        ({"data": {"ndarray": [[None, 2, None, None, "x"]]}}, True),
        ({"jsonData": [{"age": 1, "class": 1, "city": "x", "day": "2026-01-31", "free": 1}]}, True),
        ({"data": {"ndarray": [[1.5, 7, "Taipei", "2026-01-31", 1]]}}, False),
        ({"data": {"ndarray": [["old", 2, "Taipei", "2026-01-31", 1]]}}, False),
        ({"data": {"ndarray": [[1.5, 2]]}}, False),
        ({"data": {"ndarray": []}}, False),
        ({"jsonData": [{"age": 1}]}, False),
        ({"instances": []}, False),
    ],
)
def test_the_schema_accepts_what_the_model_accepts(message: Any, *, is_right: bool) -> None:
    """The schema accepts what the server accepts, and rejects what it refuses."""
    operation = paths(TABLE)["/api/v1.0/predictions"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert jsonschema.Draft202012Validator(schema).is_valid(message) is is_right
