"""Wrong deployments: the start stops, and the line for the platform says how to fix it."""

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
    """Check that loading fails with one line that contains these words."""
    with pytest.raises(DeploymentError) as caught:
        model_of(place, **parameters)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a working model."""
    onnx.save(doubled(), tmp_path / "model.onnx")
    return tmp_path


def test_a_directory_without_a_model_stops_the_start(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """For a directory without a model, the line lists expected and existing files."""
    (tmp_path / "model.pt").touch()

    assert_stops(tmp_path, model_of, "expected model.onnx, one *.onnx, one *.ort", "model.pt")


def test_two_candidates_stop_the_start(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """For two possible model files, the line names both and the parameter that chooses."""
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
def test_a_file_that_is_not_a_model_stops_the_start(
    content: bytes, word: str, name: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """For a file that is not a model, the line names the file."""
    (tmp_path / name).write_bytes(content)

    assert_stops(tmp_path, model_of, str(tmp_path / name), word)


def test_an_opset_that_is_too_new_is_named(loaded: Callable[..., Any]) -> None:
    """For an opset that is too new, the line has both versions and advice."""
    content = product()
    content.opset_import[0].version = 4000

    with pytest.raises(DeploymentError) as caught:
        loaded(content)

    line = str(caught.value)
    assert "model.onnx, made by tests 7, needs ai.onnx 4000 and IR version 10" in line
    assert f"onnxruntime {VERSION} reads ai.onnx up to " in line
    assert "export the model for an older opset" in line


def test_an_opset_of_another_domain_is_named(loaded: Callable[..., Any]) -> None:
    """The opset of another domain, such as ai.onnx.ml, is named."""
    content = graph(
        [node("Identity", "x", "y")],
        {"x": ("float", ("n",))},
        {"y": ("float", ("n",))},
        opsets={"ai.onnx.ml": 99},
    )

    with pytest.raises(DeploymentError, match=r"needs ai.onnx 20, ai.onnx.ml 99.*reads ai.onnx.ml"):
        loaded(content)


def test_an_ir_version_that_is_too_new_is_named(loaded: Callable[..., Any]) -> None:
    """For a file format version (IR) that is too new, the line names it."""
    content = product()
    content.ir_version = 999

    with pytest.raises(DeploymentError, match=r"needs ai.onnx 20 and IR version 999; .* up to \d+"):
        loaded(content)


def test_an_operator_that_is_missing_is_named(loaded: Callable[..., Any]) -> None:
    """The line names a custom operator, whose library the image lacks."""
    x: Any = {"x": ("float", ("n",))}
    content = graph([node("Tokens", "x", "y", domain="shop")], x, {}, opsets={"shop": 1})
    content.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))

    with pytest.raises(DeploymentError, match=f"by onnxruntime {VERSION}.* shop:Tokens"):
        loaded(content)


def test_an_input_that_no_request_can_hold_stops_the_start(loaded: Callable[..., Any]) -> None:
    """An input that is a sequence of tensors, as in some text pipelines, stops the start."""
    content = graph([node("SequenceLength", "x", "y")], {}, {"y": ("int64", ())})
    content.graph.input.append(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None))

    with pytest.raises(DeploymentError, match=r"input 'x' is a seq\(tensor\(float\)\), which no"):
        loaded(content)


def test_an_output_that_no_answer_can_hold_stops_the_start(loaded: Callable[..., Any]) -> None:
    """An output that no answer can hold stops the start, unless others are selected."""
    x: Any = {"x": ("float", ("n", 4))}
    content = graph(
        [node("Cast", "x", "y", to=TensorProto.FLOAT8E4M3FN), node("Neg", "x", "z")],
        x,
        {"y": ("float8e4m3fn", ("n", 4)), "z": ("float", ("n", 4))},
    )

    with pytest.raises(DeploymentError, match=r"output 'y' is a tensor\(float8e4m3fn\), which no"):
        loaded(content)

    assert loaded(content, outputs="z").predict([[1, 2, 3, 4]]).tolist() == [[-1, -2, -3, -4]]


def test_an_output_that_is_missing_stops_the_start(
    place: Path, model_of: Callable[..., Any]
) -> None:
    """For an unknown output, the line lists the existing ones."""
    assert_stops(place, model_of, "outputs names z; the model has y", outputs="y,z")


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_missing_stops_the_start(
    device: str, place: Path, model_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A requested GPU that is not available stops the start; the CPU does not replace it."""
    monkeypatch.setattr("onnx_session.gpus", list)

    assert_stops(place, model_of, f"sees (cpu), got '{device}'", device=device)


def test_a_provider_that_is_missing_stops_the_start(
    place: Path, model_of: Callable[..., Any]
) -> None:
    """For an unknown provider, the line lists the available ones."""
    line = "providers names 'NoSuchExecutionProvider'; this onnxruntime has "
    assert_stops(
        place, model_of, line, "CPUExecutionProvider", providers="NoSuchExecutionProvider,CPU"
    )


def test_a_provider_that_does_not_work_stops_the_start(
    place: Path, model_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider without its libraries stops the start; onnxruntime itself would continue."""
    monkeypatch.setattr("onnxruntime.InferenceSession.get_providers", lambda _: ["Another"])

    assert_stops(place, model_of, "CPUExecutionProvider does not work here", "working: Another")


@pytest.mark.parametrize(
    ("parameter", "value", "line"),
    [
        ("graph_optimization_level", "99", "to be one of disabled, basic, extended, all, got"),
        ("execution_mode", "both", "to be one of sequential, parallel, got 'both'"),
        ("intra_op_num_threads", "0", "to be a number from 1, got '0'"),
        ("inter_op_num_threads", "many", "to be a number from 1, got 'many'"),
        ("image_layout", "HWC", "to be one of"),
    ],
)
def test_a_wrong_parameter_stops_the_start(
    parameter: str, value: str, line: str, place: Path, model_of: Callable[..., Any]
) -> None:
    """For a wrong parameter, the line lists the allowed values."""
    assert_stops(place, model_of, f"the parameter {parameter} {line}", **{parameter: value})


def test_an_image_size_that_does_not_fit_stops_the_start(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """An image size that contradicts the model's input stops the start."""
    onnx.save(doubled(shape=("n", 3, 8, 8)), tmp_path / "model.onnx")

    assert_stops(tmp_path, model_of, "image parameters do not fit", "16x16", image_size="16x16")
