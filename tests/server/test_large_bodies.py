"""Large JSON bodies are read by another parser than small ones, and mean the same."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rawhttp import Connection, connected, post

from prepackaged.server.protocols.json_reading import LARGE
from prepackaged.testing import serve

NUMBERS = st.sampled_from([0, 1, -1, 2.5, -0.0, 1e308, 2**53 + 1, 2**63, 2**64, -(2**63)])
SCALARS = NUMBERS | st.sampled_from([None, True, "a", "[", "", "NaN", {"b64": "aGk="}, {}])
ROWS = st.lists(st.lists(NUMBERS, min_size=2, max_size=2), max_size=3)
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=8)
VALUES = ROWS | st.lists(SCALARS, max_size=3) | ANYTHING
RECORDS = st.lists(st.fixed_dictionaries({"a": SCALARS, "b": SCALARS}), max_size=2)
SHAPES = st.sampled_from([[1], [2], [1, 2], [2, 2], [0], [-1], [], "a", None, [1.5]])
DATATYPES = st.sampled_from(["FP64", "FP16", "INT64", "INT8", "UINT64", "BOOL", "BYTES", "NONE", 1])
TENSORS = st.fixed_dictionaries(
    {"name": st.just("x"), "datatype": DATATYPES, "shape": SHAPES, "data": VALUES}
)


def messages(**members: Any) -> Any:
    """Objects with some of these members."""
    return st.fixed_dictionaries({}, optional=members)


REQUESTS = st.one_of(
    *(
        st.tuples(st.just(path), body)
        for path, body in {
            "/predict": messages(
                data=messages(
                    ndarray=VALUES, tensor=messages(values=VALUES, shape=SHAPES), names=ANYTHING
                )
                | ANYTHING,
                jsonData=ANYTHING,
                meta=ANYTHING,
            ),
            "/v1/models/model:predict": messages(
                instances=VALUES | RECORDS, inputs=VALUES, signature_name=ANYTHING
            ),
            "/v2/models/model/infer": messages(
                inputs=st.lists(TENSORS, max_size=2) | ANYTHING, parameters=ANYTHING
            ),
            "/invocations": messages(
                inputs=VALUES | RECORDS,
                dataframe_records=RECORDS | ANYTHING,
                dataframe_split=messages(columns=ANYTHING, data=VALUES),
                params=ANYTHING,
            ),
        }.items()
    )
)


class Described:
    """Answers with what it was given, its dtype included."""

    def predict(self, X: Any, names: Any) -> Any:
        kind = X.dtype.str if isinstance(X, np.ndarray) else type(X).__name__
        return [[kind, repr(X.tolist() if isinstance(X, np.ndarray) else X), repr(list(names))]]


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """One connection for all requests: no body ends it."""
    with serve(Described()) as server, connected(server.url) as connection:
        yield connection


@settings(max_examples=400)
@given(REQUESTS)
@example(("/predict", {"data": {"ndarray": "a"}}))
@example(("/v1/models/model:predict", {"instances": "a"}))
@example(("/predict", {"data": {"ndarray": [[2**63, 0]]}}))
def test_spaces_before_a_body_are_ignored(connection: Connection, request: tuple[str, Any]) -> None:
    """Spaces, which JSON ignores, make a small body a large one."""
    path, message = request
    body = json.dumps(message).encode()

    small, large = (connection.ask(post(text, path)) for text in (body, b" " * LARGE + body))

    assert large.status == small.status
    assert large.body == small.body or small.status == 400  # errors may name another place
