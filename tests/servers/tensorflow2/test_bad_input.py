"""Wrong requests: errors name the input, what was expected and received; serving continues."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
from serving import Server, serve_here

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

GOOD = {"jsonData": {"measures": [[1, 2, 3]], "kind": [[1]]}}


@pytest.fixture(scope="module")
def server(load: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a model of two inputs: three measures, and one of five kinds."""
    directory = tmp_path_factory.mktemp("model")
    measures = keras.Input((3,), name="measures")
    kind = keras.Input((1,), dtype="int32", name="kind")
    flat = keras.layers.Flatten()(keras.layers.Embedding(5, 2)(kind))
    joined = keras.layers.Concatenate()([measures, flat])
    keras.Model([measures, kind], keras.layers.Dense(1)(joined)).save(directory / "model.keras")
    with serve_here(load(directory)) as server:
        yield server


@pytest.fixture(autouse=True)
def keeps_serving(server: Server) -> Iterator[None]:
    """Check after each test that the server still answers a valid request."""
    yield
    assert server.post(GOOD).status_code == 200


def measures(rows: Any) -> dict[str, Any]:
    """A request with these measures."""
    return {"jsonData": {"measures": rows, "kind": [[1]]}}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            measures([[1, 2]]),
            "input 'measures': expected float32 of shape [n, 3], got shape [1, 2]",
        ),
        (
            measures([[[1, 2, 3, 4]]]),
            "input 'measures': expected float32 of shape [n, 3], got shape",
        ),
        (measures([]), "expected as many rows in every input; 'measures' has 0, 'kind' has 1"),
        (
            {"jsonData": {"measures": [], "kind": []}},
            "'kind' (int32 of shape [n, 1]), got no rows",
        ),
        (measures([[1, 2, {"b64": "AA=="}]]), "got {'b64': 'AA=='} at [0, 2]"),
        (
            measures([[1, "wide", 3]]),
            "input 'measures': expected float32 of shape [n, 3], got 'wide'",
        ),
        (
            measures([[1, 2, 3], [1]]),
            "input 'measures': expected float32 of shape [n, 3]; row 1 has 1 value",
        ),
        (
            measures([[1], [1, 2, 3]]),
            "input 'measures': expected float32 of shape [n, 3]; row 0 has 1 value",
        ),
        (measures("text"), "input 'measures': expected float32 of shape [n, 3], got a string"),
        (
            {"jsonData": {"measures": [[1, 2, 3]], "kind": [[1.5]]}},
            "input 'kind': expected int32 of shape [n, 1], got 1.5 at [0, 0]",
        ),
        ({"jsonData": {"measures": [[1, 2, 3]], "kind": [[5]]}}, "5 is not in [0, 5)"),
        ({"jsonData": {"measures": [[1, 2, 3]]}}, "missing: kind"),
        ({"jsonData": {**GOOD["jsonData"], "colour": [1]}}, "unknown: colour"),
        (
            {"jsonData": {"measures": [[1, 2, 3]] * 2, "kind": [[1]]}},
            "expected as many rows in every input; 'measures' has 2, 'kind' has 1",
        ),
        (
            {"data": {"ndarray": [[1, 2, 3]]}},
            "expected an object with 'measures' (float32 of shape [n, 3]), 'kind' (int32 of shape",
        ),
    ],
)
def test_the_error_of_a_wrong_request_says_what_was_expected(
    server: Server, body: Any, told: str
) -> None:
    """A wrong request gets an HTTP 400 with Seldon's error body, which says what was expected."""
    answer = server.post(body)

    assert answer.status_code == 400, answer.text
    status = answer.json()["status"]
    assert status["reason"] == "MICROSERVICE_BAD_DATA"
    assert told in status["info"]


def test_a_model_that_fails_is_not_the_clients_mistake(tmp_path: Path, load: Any) -> None:
    """If the model fails on a valid request, the response is a 500 with TensorFlow's reason."""
    shape = keras.Input((3,))
    keras.Model(shape, keras.layers.Reshape((3,))(shape)).save(tmp_path / "model.keras")
    model = load(tmp_path)

    def fail(tensors: Any) -> Any:
        raise RuntimeError("no luck")

    object.__setattr__(model.compiled, "function", fail)
    with serve_here(model) as server:
        answer = server.post({"data": {"ndarray": [[1, 2, 3]]}})

    assert answer.status_code == 500
    assert "the model failed: RuntimeError: no luck" in answer.json()["status"]["info"]
