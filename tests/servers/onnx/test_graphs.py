"""What graphs may accept and return: types, shapes, batches, names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from graphs import doubled, graph, node, product, same, weights
from onnx import TensorProto, helper

from prepackaged import ClientError, ModelError, TensorSpec

Load = Callable[..., Any]
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
DTYPES = {name: name for name in ("bool", "float16", *INTEGERS)} | {
    "float": "float32",
    "double": "float64",
}


@pytest.mark.parametrize("kind", DTYPES)
def test_values_take_the_dtype_of_the_input(kind: str, loaded: Load) -> None:
    """Numbers are converted to the input's dtype."""
    model = loaded(same(kind))

    for rows in (np.array([[1, 0]]), np.array([[1.0, 0.0]]), [[1, 0]]):
        result = model.predict(rows)
        assert result.dtype == DTYPES[kind]
        assert result.tolist() == [[1, 0]]


def test_text_stays_text(loaded: Load) -> None:
    """Strings pass unchanged through a graph."""
    assert loaded(same("string")).predict([["a", "繁體"]]).tolist() == [["a", "繁體"]]


@pytest.mark.parametrize(
    ("number", "nearest"),
    [
        (1.0, 1.0),
        (1 + 2**-8, 1.0),  # as near to 1 + 2**-7, which is odd
        (1 + 3 * 2**-8, 1 + 2**-6),  # as near to 1 + 2**-7, which is odd
        (1 + 2**-8 + 2**-20, 1 + 2**-7),
        (-3.1415927, -3.140625),
        (np.inf, np.inf),
        (-np.inf, -np.inf),
        (2**-133, 2**-133),  # the smallest bfloat16
    ],
)
def test_bfloat16_is_float32_to_the_client(number: float, nearest: float, loaded: Load) -> None:
    """Numbers are rounded to the nearest bfloat16, ties to even, and answered as float32."""
    result = loaded(same("bfloat16")).predict(np.array([[number, 0]], np.float32))

    assert result.dtype == np.float32
    assert result.tolist() == [[nearest, 0]]


def test_bfloat16_keeps_nan(loaded: Load) -> None:
    """Every NaN stays NaN in bfloat16."""
    patterns = np.array([[0x7F800001, 0xFFFFFFFF]], np.uint32).view(np.float32)

    assert np.isnan(loaded(same("bfloat16")).predict(patterns)).all()


@pytest.mark.parametrize("number", [3.4e38, -3.4e38, 2**128 - 2**104])
def test_a_number_beyond_bfloat16_is_refused(number: float, loaded: Load) -> None:
    """A number that bfloat16 would round to infinity is the client's mistake."""
    model = loaded(same("bfloat16"))

    with pytest.raises(ClientError, match=r"'x': expected bfloat16 from -3.38.* at \[1, 0\]"):
        model.predict([[1, 2], [number, 1]])

    largest = (2 - 2**-7) * 2.0**127
    assert model.predict([[largest, -largest]]).tolist() == [[largest, -largest]]


def test_bfloat16_may_be_sent_beside_other_types(loaded: Load) -> None:
    """A graph may mix bfloat16 with other types."""
    nodes = [node("Cast", "x", "y", to=TensorProto.FLOAT), node("Cast", "i", "z", to=16)]
    inputs = {"x": ("bfloat16", ("n", 2)), "i": ("int64", ("n", 1))}
    model = loaded(graph(nodes, inputs, {"y": ("float", ("n", 2)), "z": ("bfloat16", ("n", 1))}))

    assert model.predict({"x": [[1.5, 2]], "i": [[3]]}) == {"y": [[1.5, 2]], "z": [[3]]}


def test_a_fixed_batch_size_requires_that_many_rows(loaded: Load) -> None:
    """A fixed batch refuses other numbers of rows with both shapes."""
    model = loaded(doubled(shape=(3, 4)))

    assert model.predict(np.ones((3, 4))).tolist() == [[2] * 4] * 3
    with pytest.raises(ClientError, match=r"'x': expected float32 of shape \[3, 4\], got shape"):
        model.predict(np.ones((2, 4)))


def test_rows_are_run_one_by_one_where_the_batch_is_fixed_at_one(loaded: Load) -> None:
    """If the batch is fixed at 1, rows run one by one, here through a sum over the whole input."""
    total = [node("ReduceSum", "x", "y", keepdims=1)]
    model = loaded(graph(total, {"x": ("float", (1, 2))}, {"y": ("float", (1, 1))}))

    assert model.predict(np.array([[1, 2], [3, 4], [5, 6]])).tolist() == [[3], [7], [11]]


def test_inputs_without_a_batch_are_the_same_for_every_row(loaded: Load) -> None:
    """If the batch is fixed at 1, a scalar input applies to every row."""
    inputs = {"x": ("float", (1, 2)), "factor": ("float", ())}
    model = loaded(graph([node("Mul", "x factor", "y")], inputs, {"y": ("float", (1, 2))}))

    assert model.predict({"x": [[1, 2], [3, 4]], "factor": 10}).tolist() == [[10, 20], [30, 40]]


NONZERO = node("NonZero", "x", "found")


@pytest.mark.parametrize(
    "rows",
    [
        [[1, 0, 0], [0, 1, 1]],
        [[1, 0, 0], [0, 0, 1]],
        [[0, 0, 0], [0, 0, 0]],
        [[1, 0, 1], [1, 1, 0]],
    ],
    ids=["one and two", "one each", "none", "two each"],
)
@pytest.mark.parametrize("first", [False, True], ids=["[axes, found]", "[found, axes]"])
def test_answers_of_free_length_are_lists_by_row(rows: Any, first: Any, loaded: Load) -> None:
    """Outputs of free length, as of a detector, are lists by row, also if lengths are equal."""
    nodes, shape = [NONZERO], [2, None]
    if first:
        nodes, shape = [node("NonZero", "x", "z"), node("Transpose", "z", "found")], [None, 2]
    model = loaded(graph(nodes, {"x": ("float", (1, 3))}, {"found": ("int64", shape)}))
    expected = [model.predict(np.array([row])).tolist() for row in rows]  # each alone

    answer = model.predict(np.array(rows))

    places = np.array(np.nonzero([rows[0]]))
    assert expected[0] == (places.T if first else places).tolist()
    assert answer.tolist() == expected
    assert answer.dtype == object


def test_a_setting_applies_to_every_row(loaded: Load) -> None:
    """If the batch is fixed at 1, an input of shape [1] is sent once or for each row."""
    inputs: Any = {"x": ("float", (1, 2)), "factor": ("float", (1,))}
    model = loaded(graph([node("Mul", "x factor", "y")], inputs, {"y": ("float", (1, 2))}))
    rows = [[1, 2], [3, 4]]

    assert model.predict({"x": rows, "factor": 10}).tolist() == [[10, 20], [30, 40]]
    assert model.predict({"x": rows, "factor": [10]}).tolist() == [[10, 20], [30, 40]]
    assert model.predict({"x": rows, "factor": [10, 100]}).tolist() == [[10, 20], [300, 400]]
    with pytest.raises(ClientError, match="or one; 'factor' has 3, 'x' has 2"):
        model.predict({"x": rows, "factor": [1, 2, 3]})


def test_a_setting_beside_a_batch_is_not_part_of_it(loaded: Load) -> None:
    """Beside a free batch, an input whose first size is 1 keeps its size, as a state does."""
    inputs: Any = {
        "x": ("float", ("batch", 2)),
        "factor": ("float", (1,)),
        "state": ("float", (1, 1, 2)),
    }
    nodes = [
        node("Mul", "x factor", "m"),
        node("Add", "m state", "y"),
        node("Neg", "state", "next"),
    ]
    outputs: Any = {"y": ("float", (1, "batch", 2)), "next": ("float", (1, 1, 2))}
    model = loaded(graph(nodes, inputs, outputs))
    request = {"x": [[1, 2], [3, 4], [5, 6]], "factor": 10, "state": [[[1, 2]]]}

    assert model.predict(request) == {
        "y": [[[11, 22], [31, 42], [51, 62]]],
        "next": [[[-1, -2]]],
    }
    metadata = model.init_metadata()
    shapes = {each["name"]: each["shape"] for each in metadata["inputs"] + metadata["outputs"]}
    assert shapes == {
        "x": [-1, 2],
        "factor": [1],
        "state": [1, 1, 2],
        "y": [1, -1, 2],
        "next": [1, 1, 2],
    }
    with pytest.raises(ClientError, match=r"'factor': expected float32 of shape \[1\], got shape"):
        model.predict(request | {"factor": [1, 2, 3]})
    assert not model.batchable


def test_answers_without_a_batch_are_stacked(loaded: Load) -> None:
    """If rows run one by one, scalar outputs become a list with one per row."""
    total = [node("ReduceSum", "x", "y", keepdims=0)]
    model = loaded(graph(total, {"x": ("float", (1, 2))}, {"y": ("float", ())}))

    assert model.predict(np.array([[1, 2], [3, 4]])).tolist() == [3, 7]


ROWS = {count: np.arange(2.0 * count, dtype=np.float32).reshape(count, 2) for count in (1, 2, 3)}


@pytest.mark.parametrize("count", ROWS)
def test_onnxruntime_says_whether_axes_of_one_name_may_differ(
    count: int, loaded: Load, tmp_path: Path
) -> None:
    """Unequal sizes of a named axis pass if onnxruntime computes them; else the error has both."""
    inputs: Any = {"a": ("float", ("batch", 2)), "b": ("float", ("batch", 2))}
    model = loaded(graph([node("Add", "a b", "y")], inputs, {"y": ("float", ("batch", 2))}))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    request = {"a": ROWS[2], "b": ROWS[count]}
    try:
        (expected,) = session.run(None, request)
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail:
        with pytest.raises(ClientError) as caught:
            model.predict(request)
        assert str(caught.value).startswith("the model refuses the data: Add: ")
        assert str(caught.value).endswith(
            "; expected as many rows in every input; 'a' has 2, 'b' has 3"
        )
    else:
        assert model.predict(request).tolist() == expected.tolist()
    assert (tmp_path / "model.onnx").exists()


def test_axes_of_different_names_may_differ(loaded: Load) -> None:
    """Axes of different names may differ in size, as nodes and edges."""
    inputs = {"nodes": ("float", ("nodes", 2)), "edges": ("int64", ("edges", 1))}
    gathered = graph([node("Gather", "nodes edges", "y")], inputs, {"y": ("float", None)})

    answer = loaded(gathered).predict({"nodes": [[1, 2], [3, 4]], "edges": [[1], [0], [1]]})

    assert answer.tolist() == [[[3, 4]], [[1, 2]], [[3, 4]]]


def test_an_input_of_any_rank_accepts_any_shape(loaded: Load) -> None:
    """An input of unknown rank accepts any shape, although onnxruntime describes it as a scalar."""
    model = loaded(doubled(shape=None))

    assert model.predict(np.array([1, 2])).tolist() == [2, 4]
    assert model.predict(np.array([[1, 2], [3, 4]])).tolist() == [[2, 4], [6, 8]]


def test_an_optional_input_may_be_left_out(loaded: Load) -> None:
    """An input of ONNX's optional type may be sent or left out."""
    element = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 2])
    kind = helper.make_optional_type_proto(element)
    content = graph(
        [node("Identity", "x", "y")], {"x": ("float", ("n", 2))}, {"y": ("float", None)}
    )
    content.graph.node.append(node("OptionalHasElement", "maybe", "is_there"))
    content.graph.input.append(helper.make_value_info("maybe", kind))
    content.graph.output.append(helper.make_tensor_value_info("is_there", TensorProto.BOOL, []))
    model = loaded(content)

    assert model.predict({"x": [[1, 2]], "maybe": [[3, 4]]}) == {"y": [[1, 2]], "is_there": True}
    assert model.predict({"x": [[1, 2]]}) == {"y": [[1, 2]], "is_there": False}


def test_an_input_with_a_default_need_not_be_sent(loaded: Load) -> None:
    """Weights that an older file lists among its inputs need not be sent."""
    content = product(4, 3)
    content.ir_version = 3
    content.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3]))

    assert loaded(content).predict(np.ones((1, 4))).tolist() == [weights(4, 3).sum(0).tolist()]


def test_a_weight_among_the_inputs_may_be_sent(loaded: Load, tmp_path: Path) -> None:
    """Since IR version 4, a weight among the inputs is a default that a request may replace."""
    content = product(4, 3)
    content.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3]))
    model = loaded(content)
    (replaceable,) = onnxruntime.InferenceSession(
        tmp_path / "model.onnx"
    ).get_overridable_initializers()
    x, w = np.ones((2, 4), np.float32), np.full((4, 3), 2, np.float32)

    assert {each.name for each in model.signature.inputs if each.optional} == {replaceable.name}
    assert model.predict(x).tolist() == [weights(4, 3).sum(0).tolist()] * 2
    assert model.predict({"x": x}).tolist() == [weights(4, 3).sum(0).tolist()] * 2
    assert model.predict({"x": x, "w": w}).tolist() == [[8, 8, 8]] * 2
    assert model.batchable
    with pytest.raises(ClientError, match=r"'w': expected float32 of shape \[4, 3\], got shape"):
        model.predict({"x": x, "w": w[:3]})


def test_a_weight_of_one_row_is_not_a_batch(loaded: Load) -> None:
    """A weight with one row does not fix the batch at 1; only required inputs do."""
    content = graph(
        [node("Mul", "x w", "y")],
        {"x": ("float", ("n", 2)), "w": ("float", (1, 2))},
        {"y": ("float", ("n", 2))},
        {"w": np.array([[3, 4]], np.float32)},
    )

    model = loaded(content)

    assert model.predict([[1, 2], [3, 4]]).tolist() == [[3, 8], [9, 16]]
    assert model.signature.inputs[1] == TensorSpec("w", "float32", (1, 2), optional=True)


def test_a_cache_may_be_empty(loaded: Load) -> None:
    """A cache may have size 0, as `past_key_values` at a decoder's first step."""
    inputs: Any = {
        "step": ("float", ("batch", 2, 1, 4)),
        "past": ("float", ("batch", 2, "past", 4)),
    }
    joined = node("Concat", "past step", "present", axis=2)
    outputs: Any = {"present": ("float", ("batch", 2, "total", 4))}
    model = loaded(graph([joined], inputs, outputs))
    step = np.arange(8, dtype=np.float32).reshape(1, 2, 1, 4)

    for past in (np.zeros((1, 2, 0, 4)), [[[], []]]):
        answer = model.predict({"step": step, "past": past})
        assert answer.tolist() == step.tolist()
    longer = model.predict({"step": step, "past": answer})
    assert longer.shape == (1, 2, 2, 4)


def test_a_graph_may_have_no_edges(loaded: Load) -> None:
    """An axis of size 0 other than the batch is passed to onnxruntime."""
    inputs: Any = {"nodes": ("float", ("nodes", 2)), "edges": ("int64", ("edges",))}
    gathered = graph([node("Gather", "nodes edges", "y")], inputs, {"y": ("float", ("edges", 2))})

    assert loaded(gathered).predict({"nodes": [[1, 2]], "edges": []}).tolist() == []


ID = 1623456789012345679


@pytest.mark.parametrize(
    ("payload", "names"),
    [
        ({"id": [ID, 2.0], "amount": [0.5, None]}, None),
        ([{"id": ID, "amount": 0.5}, {"id": 2, "amount": None}], None),
        ([[ID, 0.5], [2, None]], ["id", "amount"]),
    ],
)
def test_an_id_of_64_bits_stays_exact(payload: Any, names: Any, loaded: Load) -> None:
    """A 64-bit ID stays exact beside a fraction, a null, and an integer sent as a float."""
    inputs: Any = {"id": ("int64", ("n",)), "amount": ("float", ("n",))}
    nodes = [node("Identity", "id", "a"), node("Identity", "amount", "b")]
    model = loaded(graph(nodes, inputs, {"a": inputs["id"], "b": inputs["amount"]}))

    answer = model.predict(payload, names)

    assert answer["a"] == [ID, 2]
    assert answer["b"][0] == 0.5
    assert np.isnan(answer["b"][1])


def test_a_sequence_of_tensors_is_answered_as_an_array(loaded: Load) -> None:
    """A sequence of tensors of equal shape is answered as one array."""
    nodes = [node("SequenceConstruct", "x x x", "y")]
    content = graph(nodes, {"x": ("float", (2,))}, {})
    info = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    content.graph.output.append(info)

    assert loaded(content).predict(np.array([1, 2])).tolist() == [[1, 2]] * 3


def test_the_outputs_that_are_named_are_answered(loaded: Load) -> None:
    """The parameter outputs selects outputs and their order."""
    nodes = [node(each, "x", each.lower()) for each in ("Neg", "Abs", "Sign")]
    shape: tuple[str, list[Any]] = ("float", ["n", 1])
    content = graph(nodes, {"x": shape}, {each.lower(): shape for each in ("Neg", "Abs", "Sign")})

    assert loaded(content).predict([[-2]]) == {"neg": [[2]], "abs": [[2]], "sign": [[-1]]}
    assert list(loaded(content, outputs="sign, abs").predict([[-2]])) == ["sign", "abs"]
    assert loaded(content, outputs="neg").predict([[-2]]).tolist() == [[2]]


ONE: Any = ("float", ("n", 1))
BATCHABLE = {
    "free": doubled(),
    "free sizes": doubled(shape=("batch", "length")),
    "columns": graph([node("Add", "a b", "y")], {"a": ONE, "b": ONE}, {"y": ONE}),
    "unnamed columns": graph(
        [node("Concat", "a b", "y", axis=1)],
        {"a": ("float", (None, 1)), "b": ("float", (None, 2))},
        {"y": ("float", (None, 3))},
    ),
}
NOT_BATCHABLE = {
    "two batches": graph(
        [node("Gather", "a b", "y")],
        {"a": ONE, "b": ("int64", ("m",))},
        {"y": ("float", ("m", 1))},
    ),
    "unnamed nodes and edges": graph(
        [node("Gather", "a b", "y")],
        {"a": ("float", (None, 1)), "b": ("int64", (None,))},
        {"y": ("float", (None, 1))},
    ),
    "one": doubled(shape=(1, 4)),
    "two": doubled(shape=(2, 4)),
    "two outputs": graph(
        [node("Neg", "x", "a"), node("Abs", "x", "b")], {"x": ONE}, {"a": ONE, "b": ONE}
    ),
    "no batch in the answer": graph([node("Shape", "x", "y")], {"x": ONE}, {"y": ("int64", (2,))}),
}


@pytest.mark.parametrize("kind", [*BATCHABLE, *NOT_BATCHABLE])
def test_requests_are_batched_where_the_batch_is_free_and_the_output_one(
    kind: str, loaded: Load
) -> None:
    """A graph is batchable only with a free batch and a single output that has it."""
    content = (BATCHABLE | NOT_BATCHABLE)[kind]

    assert loaded(content).batchable == (kind in BATCHABLE)


@pytest.mark.parametrize("name", ["/emb/Gather", "/failure_emb/Gather", "/allocator/Gather"])
def test_an_index_out_of_range_is_the_clients_mistake(loaded: Load, name: str) -> None:
    """For an index out of range, the client error has the message, whatever nodes are called."""
    words = graph(
        [node("Gather", "w i", "y", name=name)],
        {"i": ("int64", ("n",))},
        {"y": ("float", None)},
        {"w": weights(10, 2)},
    )

    with pytest.raises(ClientError, match=r"^the model refuses the data: Gather: indices .*idx=99"):
        loaded(words).predict([3, 99])


def test_a_text_that_is_no_number_is_the_clients_mistake(loaded: Load) -> None:
    """If a graph cannot parse a text as a number, that is a client error."""
    cast = node("Cast", "x", "y", to=TensorProto.FLOAT)
    model = loaded(graph([cast], {"x": ("string", ("n",))}, {"y": ("float", ("n",))}))

    assert model.predict(["1.5", "2"]).tolist() == [1.5, 2]
    with pytest.raises(ClientError, match="the model refuses the data: Cast: sto"):
        model.predict(["1.5", "two"])


def test_sizes_that_do_not_fit_the_graph_are_the_clients_mistake(loaded: Load) -> None:
    """For sizes that the graph refuses, the client error has the graph's message."""
    free = graph(
        [node("MatMul", "x w", "y")],
        {"x": ("float", ("n", None))},
        {"y": ("float", None)},
        {"w": weights(3, 2)},
    )

    with pytest.raises(ClientError, match=r"MatMul: .*dimension mismatch"):
        loaded(free).predict(np.ones((2, 4)))


def test_a_lack_of_memory_is_an_error_of_the_server(loaded: Load) -> None:
    """A failed memory allocation is a ModelError (status 500), not a client error."""
    inputs: Any = {"x": ("float", (1,)), "shape": ("int64", (2,))}
    huge = graph([node("Expand", "x shape", "y")], inputs, {"y": ("float", None)})

    with pytest.raises(ModelError, match=r"^the model failed: Expand: Failed to allocate memory"):
        loaded(huge).predict({"x": [1], "shape": [2**24, 2**24]})
