"""Wrong deployments: the start stops, and the line that a platform shows says how to mend it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
from graphs import doubled, graph, node, product
from onnx import TensorProto, helper

from prepackaged import DeploymentError

VERSION = onnxruntime.__version__


def assert_stops(place: Path, model_of: Callable[..., Any], *words: str, **parameters: Any) -> None:
    """Loading ends with one line that has these words in it."""
    with pytest.raises(DeploymentError) as caught:
        model_of(place, **parameters)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a good model."""
    onnx.save(doubled(), tmp_path / "model.onnx")
    return tmp_path


def test_a_directory_without_a_model_stops_the_start(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The line lists what was expected and what was found."""
    (tmp_path / "model.pt").touch()

    assert_stops(tmp_path, model_of, "expected model.onnx, one *.onnx, one *.ort", "model.pt")


def test_two_candidates_stop_the_start(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """Nothing is guessed; the line names both and the parameter that decides."""
    for name in ("encoder.onnx", "decoder.onnx"):
        onnx.save(doubled(), tmp_path / name)

    assert_stops(tmp_path, model_of, "decoder.onnx, encoder.onnx", "model_file")
    assert model_of(tmp_path, model_file="encoder.onnx").predict([[1, 2, 3, 4]]).size == 4


@pytest.mark.parametrize("name", ["model.onnx", "model.ort"])
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "is empty (0 bytes)"),
        (b"\x89PNG and so on", "cannot be loaded"),
        (b"text, of which many bytes are fields of protobuf", "cannot be loaded"),
        (doubled().SerializeToString()[:-9], "cannot be loaded"),
        (helper.make_graph([], "no model", [], []).SerializeToString(), "cannot be loaded"),
    ],
    ids=["empty", "image", "text", "truncated", "graph"],
)
def test_what_is_no_model_stops_the_start(
    content: bytes, word: str, name: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The line names the file."""
    (tmp_path / name).write_bytes(content)

    assert_stops(tmp_path, model_of, str(tmp_path / name), word)


def test_an_opset_that_is_too_new_is_named(loaded: Callable[..., Any]) -> None:
    """What the file needs, what this onnxruntime reads, and what to do."""
    content = product()
    content.opset_import[0].version = 4000

    with pytest.raises(DeploymentError) as caught:
        loaded(content)

    line = str(caught.value)
    assert "model.onnx, made by tests 7, needs ai.onnx 4000 and IR version 10" in line
    assert f"onnxruntime {VERSION} reads ai.onnx up to " in line
    assert "export the model for an older opset" in line


def test_an_opset_of_another_domain_is_named(loaded: Callable[..., Any]) -> None:
    """Such as that of classic models."""
    content = graph(
        [node("Identity", "x", "y")],
        {"x": ("float", ("n",))},
        {"y": ("float", ("n",))},
        opsets={"ai.onnx.ml": 99},
    )

    with pytest.raises(DeploymentError, match=r"needs ai.onnx 20, ai.onnx.ml 99.*reads ai.onnx.ml"):
        loaded(content)


def test_an_ir_version_that_is_too_new_is_named(loaded: Callable[..., Any]) -> None:
    """It is a version of the file format itself."""
    content = product()
    content.ir_version = 999

    with pytest.raises(DeploymentError, match=r"needs ai.onnx 20 and IR version 999; .* up to \d+"):
        loaded(content)


def test_an_operator_that_is_not_there_is_named(loaded: Callable[..., Any]) -> None:
    """A custom operator needs a library that this image does not have."""
    x: Any = {"x": ("float", ("n",))}
    content = graph([node("Tokens", "x", "y", domain="shop")], x, {}, opsets={"shop": 1})
    content.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))

    with pytest.raises(DeploymentError, match=f"by onnxruntime {VERSION}.* shop:Tokens"):
        loaded(content)


def test_an_input_that_no_request_can_hold_stops_the_start(loaded: Callable[..., Any]) -> None:
    """A sequence of tensors, as some pipelines of text take it."""
    content = graph([node("SequenceLength", "x", "y")], {}, {"y": ("int64", ())})
    content.graph.input.append(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None))

    with pytest.raises(DeploymentError, match=r"input 'x' is a seq\(tensor\(float\)\), which no"):
        loaded(content)


def test_an_output_that_no_answer_can_hold_stops_the_start(loaded: Callable[..., Any]) -> None:
    """Unless others are asked for."""
    x: Any = {"x": ("float", ("n", 4))}
    content = graph(
        [node("Cast", "x", "y", to=TensorProto.FLOAT8E4M3FN), node("Neg", "x", "z")],
        x,
        {"y": ("float8e4m3fn", ("n", 4)), "z": ("float", ("n", 4))},
    )

    with pytest.raises(DeploymentError, match=r"output 'y' is a tensor\(float8e4m3fn\), which no"):
        loaded(content)

    assert loaded(content, outputs="z").predict([[1, 2, 3, 4]]).tolist() == [[-1, -2, -3, -4]]


def test_an_output_that_is_not_there_stops_the_start(
    place: Path, model_of: Callable[..., Any]
) -> None:
    """The line lists those that are."""
    assert_stops(place, model_of, "outputs names z; the model has y", outputs="y,z")


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_stops_the_start(
    device: str, place: Path, model_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that was asked for is never replaced by the CPU in silence."""
    monkeypatch.setattr("onnx_session.gpus", list)

    assert_stops(place, model_of, f"asks for {device}, which is not there", device=device)


def test_a_provider_that_is_not_there_stops_the_start(
    place: Path, model_of: Callable[..., Any]
) -> None:
    """The line lists those that are."""
    line = "providers names 'NoSuchExecutionProvider'; this onnxruntime has "
    assert_stops(
        place, model_of, line, "CPUExecutionProvider", providers="NoSuchExecutionProvider,CPU"
    )


def test_a_provider_that_does_not_work_stops_the_start(
    place: Path, model_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does whose libraries are missing, without which onnxruntime itself goes on."""
    monkeypatch.setattr("onnxruntime.InferenceSession.get_providers", lambda _: ["Another"])

    assert_stops(place, model_of, "CPUExecutionProvider does not work here", "working: Another")


@pytest.mark.parametrize(
    ("parameter", "value", "line"),
    [
        ("graph_optimization_level", "99", "must be one of disabled, basic, extended, all; not"),
        ("execution_mode", "both", "must be one of sequential, parallel; not 'both'"),
        ("intra_op_num_threads", "0", "must be a number from 1; not '0'"),
        ("inter_op_num_threads", "many", "must be a number from 1; not 'many'"),
        ("image_layout", "HWC", "must be one of"),
    ],
)
def test_a_wrong_parameter_stops_the_start(
    parameter: str, value: str, line: str, place: Path, model_of: Callable[..., Any]
) -> None:
    """The line says which values there are."""
    assert_stops(place, model_of, f"the parameter {parameter} {line}", **{parameter: value})


def test_an_image_size_that_does_not_fit_stops_the_start(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """What the model says of its input and what the parameters say contradict each other."""
    onnx.save(doubled(shape=("n", 3, 8, 8)), tmp_path / "model.onnx")

    assert_stops(tmp_path, model_of, "image parameters do not fit", "16x16", image_size="16x16")
