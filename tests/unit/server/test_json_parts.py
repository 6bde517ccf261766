"""Large bodies are parsed in parts, with the result of a parser that reads them as a whole."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import orjson
import pytest
import simdjson
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

from prepackaged import ClientError
from prepackaged.arrays import from_lists
from prepackaged.server.protocols import json_parts, json_reading, row_requests
from prepackaged.server.protocols.seldon import json_reader
from prepackaged.server.protocols.seldon.json_codec import decode
from prepackaged.server.protocols.v2 import json_requests

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([0, -0.0, 2**53 + 1, 2**63, 2**64 - 1, -(2**63), 1e308, 5e-324]),
)
SCALARS = st.one_of(NUMBERS, st.booleans(), st.none(), st.text('a[]{}",:\\1é', max_size=4))
TABLES = numpy_st.arrays(
    st.sampled_from([np.int64, np.float64]), numpy_st.array_shapes(max_dims=4, max_side=4)
).map(np.ndarray.tolist)
RECORDS = st.lists(st.dictionaries(st.sampled_from("ab]"), SCALARS, max_size=3), max_size=5)
ROWS = st.one_of(
    TABLES, st.lists(st.lists(NUMBERS, max_size=4), max_size=5),
    st.lists(st.lists(SCALARS, max_size=4), max_size=5), RECORDS,
)  # fmt: skip
OTHERS = st.one_of(SCALARS, ROWS)
INPUTS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["x", "y["]), "data": ROWS},
        optional={
            "datatype": st.sampled_from(["FP64", "INT64", "BYTES", 1]),
            "shape": st.lists(st.integers(0, 4), max_size=3),
        },
    )
    | OTHERS,
    max_size=3,
)
SELDON = st.fixed_dictionaries(
    {
        "data": st.fixed_dictionaries(
            {},
            optional={
                "ndarray": ROWS,
                "names": st.lists(st.text("a[", max_size=2), max_size=3),
                "tensor": st.fixed_dictionaries(
                    {"values": ROWS, "shape": st.lists(st.integers(0, 4), max_size=3)}
                ),
            },
        )
    },
    optional={"meta": OTHERS, "strData": st.text("a]", max_size=3)},
)
V1 = st.fixed_dictionaries({"instances": OTHERS}, optional={"parameters": OTHERS})
V2 = st.fixed_dictionaries({"inputs": INPUTS}, optional={"id": st.text("a[", max_size=3)})
#: How clients write JSON: compact, as Python's json module, or indented.
WRITTEN: list[dict[str, Any]] = [{"separators": (",", ":")}, {}, {"indent": 1}]


@contextmanager
def in_parts(size: int) -> Iterator[None]:
    """In this block, bodies of any length are parsed in parts of this size."""
    with (
        patch.object(json_parts, "PART", size),
        patch.multiple(json_reading, LONG=0, LARGE=0),
        patch.multiple(json_reader, LARGE=0),
        patch.multiple(row_requests, LARGE=0),
        patch.multiple(json_requests, LARGE=0),
    ):
        yield


def comparable(value: Any) -> Any:
    """A value in a form in which NaN equals itself and arrays have their dtype."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, repr(value.tolist())
    return repr(value)


def seldon(body: bytes) -> Any:
    """The request that a body of Seldon's protocol contains."""
    request = decode(json_reader.read_prediction(body))
    return comparable(request.value), request.names, comparable(request.meta), request.kind


def v1(body: bytes) -> Any:
    """The rows and parameters in a body of V1."""
    message = row_requests.read_object(body, "instances")
    rows = message.pop("instances")
    is_flat = isinstance(rows, list) and not any(isinstance(row, dict) for row in rows)
    return comparable(from_lists(rows) if is_flat else rows), comparable(message)


def v2(body: bytes) -> Any:
    """The tensors in a body of V2."""
    message = json_requests.read(body, None)
    return message.id, [
        (each.name, each.datatype.name, each.shape, comparable(np.asarray(each.values).tolist()))
        for each in message.inputs
    ]


def outcome(read: Any, body: bytes) -> Any:
    """What the body contains, or the error's message."""
    try:
        return read(body)
    except ClientError as error:
        return str(error)


@given(SELDON, st.sampled_from(WRITTEN), st.integers(8, 60))
@example({"data": {"ndarray": [[1, 2], [3, 4.5]]}, "meta": {"tags": {"a": [[1, 2], [3]]}}}, {}, 8)
@example({"data": {"ndarray": [[2**53 + 1, 1], [0.5, 2]]}}, {}, 8)
@example({"data": {"ndarray": [["],[", 1], ["a", 2]]}}, {"separators": (",", ":")}, 8)
def test_seldons_messages_mean_the_same_in_parts(message: Any, written: Any, size: int) -> None:
    """Numbers, rows and records of a long body are those that a whole parser finds."""
    body = json.dumps(message, **written).encode()
    expected = outcome(seldon, body)

    with in_parts(size):
        assert outcome(seldon, body) == expected


@given(V1, st.sampled_from(WRITTEN), st.integers(8, 60))
def test_v1s_messages_mean_the_same_in_parts(message: Any, written: Any, size: int) -> None:
    """Instances of a long body are those that a whole parser finds."""
    body = json.dumps(message, **written).encode()
    expected = outcome(v1, body)

    with in_parts(size):
        assert outcome(v1, body) == expected


@given(V2, st.sampled_from(WRITTEN), st.integers(8, 60))
@example({"inputs": [{"name": "x", "data": [[1, 2], [3, 4]]}, 5]}, {}, 8)
@example({"inputs": [{"name": "x", "datatype": "BYTES", "shape": [3], "data": [1, 2, 3]}]}, {}, 8)
def test_v2s_messages_mean_the_same_in_parts(message: Any, written: Any, size: int) -> None:
    """Tensors of a long body are those that a whole parser finds."""
    body = json.dumps(message, **written).encode()
    expected = outcome(v2, body)

    with in_parts(size):
        assert outcome(v2, body) == expected


@given(SELDON, st.sampled_from(WRITTEN), st.integers(8, 60), st.data())
def test_damaged_messages_are_no_others_in_parts(
    message: Any, written: Any, size: int, data: Any
) -> None:
    """A body with a character too many, too few or elsewhere is refused in parts as it is whole."""
    body = json.dumps(message, **written).encode()
    at, to = (data.draw(st.integers(0, len(body) - 1)) for _ in range(2))
    more = data.draw(st.sampled_from([b"", b",", b"[", b"]", b"}", b'"', b"1", b"-", b".", b" "]))
    damaged = body[:at] + more + body[at + (not more) :]
    if data.draw(st.booleans()):
        moved = body[at : at + 1]
        damaged = (body[:at] + body[at + 1 :])[:to] + moved + (body[:at] + body[at + 1 :])[to:]
    expected = outcome(seldon, damaged)

    with in_parts(size):
        assert outcome(seldon, damaged) == expected


DEEP = '{"a":' * 600 + "1" + "}" * 600


@pytest.mark.parametrize(
    "body",
    [
        '{"data":{"ndarray":[5.3[,3.5],[1,2]]}}',
        '{"data":{"ndarray":[[1,2],[3,]4]}}',
        '{"data":{"ndarray":[[1,2],7[],[8]]}}',
        '{"data":{"ndarray":[[7],[]7,[7]]}}',
        '{"data":{"ndarray":[[1,2],[3,4]],"ndarray":[[5,6],[7,8]]}}',
        '{"data":{"ndarray":[[1,"a"],[3,"b"]],"ndarray":[[5,6],[7,8]]}}',
        '{[[1,2],[3,4]]:1,"data":{"ndarray":[[1,2]]}}',
        '{[[1,"a"],[3,"b"]]:1,"data":{"ndarray":[[1,2]]}}',
        '{"strData":"a\\[[1,2],[3,4]]","data":{"ndarray":[[1,2]]}}',
        DEEP.join(['{"x":', ',"data":{"ndarray":[[1,"a"],[3,"b"]]}}']),
        DEEP.join(['{"x":', ',"data":{"ndarray":[[1,2],[3,4]]}}']),
        '{"data":{"ndarray":[[1,"a"],[NaN,' + "[" * 3000 + "]" * 3000 + "]]}}",
    ],
)
def test_bodies_that_only_look_right_in_parts_mean_the_same(body: str) -> None:
    """A part may be valid although the body is not; and a body may be deeper than Python calls."""
    expected = outcome(seldon, body.encode())

    for size in (8, 16, 10_000):
        with in_parts(size):
            assert outcome(seldon, body.encode()) == expected


NUMBERS_OF = {
    "rows": np.random.default_rng(0).random((3000, 200)),
    "whole numbers": np.arange(2_000_000).reshape(-1, 4),
    "one row": np.random.default_rng(0).random((1, 400_000)),
    "an image": np.random.default_rng(0).random((1, 3, 400, 400)),
    "with NaN": np.where(np.arange(600_000) % 7, np.arange(600_000) / 3, np.nan).reshape(-1, 6),
}
TEXTS = {
    "rows of numbers and texts": [
        [number / 3, "],[" + str(number), None] for number in range(200_000)
    ],
    "records": [{"a": number / 3, "b": "},{" + str(number)} for number in range(200_000)],
}


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the texts that are parsed at once, each of which blocks other threads."""
    found: list[int] = []

    def loads(text: bytes) -> Any:
        found.append(len(text))
        return loads_whole(text)

    class Parser(simdjson.Parser):  # type: ignore[misc]  # simdjson has no types for a subclass
        def parse(self, text: Any, recursive: bool = False) -> Any:  # noqa: FBT001, FBT002  its own
            found.append(len(text))
            return super().parse(text, recursive)

    loads_whole = orjson.loads
    for module in (json_parts, json_reading):
        monkeypatch.setattr(f"{module.__name__}.orjson.loads", loads)
        monkeypatch.setattr(f"{module.__name__}.simdjson.Parser", Parser)
    return found


@pytest.mark.parametrize("name", NUMBERS_OF)
def test_no_long_list_of_numbers_is_parsed_at_once(name: str, sizes: list[int]) -> None:
    """The numbers are exact, and other threads can run after each part."""
    numbers = NUMBERS_OF[name]
    body = json.dumps({"data": {"ndarray": numbers.tolist()}}).encode()
    assert len(body) > json_parts.LONG

    value = decode(json_reader.read_prediction(body)).value

    np.testing.assert_array_equal(value, numbers, strict=True)
    assert max(sizes) <= json_parts.PART + 2


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("key", ["data", "jsonData"])
@pytest.mark.parametrize("name", TEXTS)
def test_no_long_table_is_parsed_at_once(
    name: str, key: str, indent: int | None, sizes: list[int]
) -> None:
    """Rows and records with texts are cut between rows, never within a text."""
    rows = TEXTS[name]
    message = {key: {"ndarray": rows} if key == "data" else rows}
    body = json.dumps(message, indent=indent).encode()
    assert len(body) > json_parts.LONG

    message = json_reader.read_body(body)

    assert message == json.loads(body)
    assert max(sizes) <= json_parts.PART + 2


def test_long_text_with_nan_outside_of_rows_is_refused(sizes: list[int]) -> None:
    """Only json reads NaN, and it would block other threads for seconds."""
    body = json.dumps({"jsonData": {"a": np.nan, "b": "x" * json_reading.LONGEST_SLOW}}).encode()

    with pytest.raises(ClientError, match="only rows may contain NaN"):
        json_reader.read_body(body)
    assert len(sizes) <= 2
