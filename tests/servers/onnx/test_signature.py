"""The Model's signature equals onnxruntime's description of the graph, axis by axis."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from graphs import CLASSES, doubled, graph, node, scores
from onnx import TensorProto, helper

from prepackaged import TensorSpec

Load = Callable[..., Any]


def told_by_onnxruntime(path: Path) -> tuple[list[Any], list[Any]]:
    """The inputs and outputs of a separate session."""
    session = onnxruntime.InferenceSession(path)
    return session.get_inputs(), session.get_outputs()


def axes(shape: list[Any]) -> tuple[str | None, ...]:
    """The names of axes in onnxruntime's shapes, where a name replaces a size."""
    return tuple(axis if isinstance(axis, str) else None for axis in shape)


def test_tensors_and_their_axes_are_those_of_the_session(tmp_path: Path, loaded: Load) -> None:
    """Tensors and axes have the graph's names; axes of one name have one size."""
    inputs: Any = {
        "nodes": ("float", ("nodes", 2)),
        "edges": ("int64", ("edges", None)),
        "scale": ("float", ()),
    }
    nodes = [node("Gather", "nodes edges", "picked"), node("Mul", "picked scale", "y")]
    model = loaded(graph(nodes, inputs, {"y": ("float", ("edges", None, 2))}))
    given, answered = told_by_onnxruntime(tmp_path / "model.onnx")

    signature = model.signature

    assert [each.name for each in signature.inputs] == [each.name for each in given]
    assert [each.axes for each in signature.inputs] == [axes(each.shape) for each in given]
    assert [each.axes for each in signature.outputs] == [axes(each.shape) for each in answered]
    assert [each.shape for each in signature.inputs] == [(None, 2), (None, None), ()]
    assert [str(each.dtype) for each in signature.inputs] == ["float32", "int64", "float32"]
    assert signature.sources == {"inputs": "model", "outputs": "model"}


def test_a_batch_of_one_is_free(tmp_path: Path, loaded: Load) -> None:
    """A batch that is fixed at 1 is free in the signature, because rows run one by one."""
    model = loaded(doubled(shape=(1, 4)))
    (given,), _ = told_by_onnxruntime(tmp_path / "model.onnx")
    assert given.shape == [1, 4]

    assert model.signature.inputs == (TensorSpec("x", "float32", (None, 4)),)
    assert model.signature.inputs[0].axes == ("batch", None)


def test_a_free_axis_without_a_name_is_tied_to_none(loaded: Load) -> None:
    """Free axes without names may differ in size."""
    nodes = [node("Gather", "x at", "y")]
    inputs: Any = {"x": ("float", (None, 2)), "at": ("int64", (None,))}
    model = loaded(graph(nodes, inputs, {"y": ("float", (None, 2))}))

    assert [each.axes for each in model.signature.inputs] == [(None, None), (None,)]
    assert model.predict({"x": [[1, 2], [3, 4]], "at": [1]}).tolist() == [[3, 4]]


def test_an_optional_input_is_reported(loaded: Load) -> None:
    """An input of ONNX's optional type is optional in the signature."""
    element = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 2])
    content = graph(
        [node("Identity", "x", "y")], {"x": ("float", ("n", 2))}, {"y": ("float", None)}
    )
    content.graph.node.append(node("OptionalHasElement", "maybe", "is_there"))
    content.graph.input.append(
        helper.make_value_info("maybe", helper.make_optional_type_proto(element))
    )
    content.graph.output.append(helper.make_tensor_value_info("is_there", TensorProto.BOOL, []))

    inputs = loaded(content).signature.inputs

    assert {each.name: each.optional for each in inputs} == {"x": False, "maybe": True}


@pytest.fixture
def classifier(loaded: Load) -> Any:
    """The server's Model with a classifier's scores."""
    return loaded(scores())


def test_class_names_are_the_labels_of_the_scores(classifier: Any) -> None:
    """The first run, at load, finds the class names and the number of columns."""
    signature = classifier.signature

    assert signature.class_names == CLASSES
    assert signature.sources["class_names"] == "model"
    assert signature.outputs == (TensorSpec("scores", "float32", (None, 2)),)
    assert list(classifier.class_names()) == list(CLASSES)
