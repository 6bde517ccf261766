"""The setup of onnxruntime: threads, providers, options."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from graphs import doubled

HAS_CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def options_of(model: Any) -> onnxruntime.SessionOptions:
    """The options that the session was opened with."""
    return model.graph.session.get_session_options()


def test_threads_follow_the_containers_limit_and_sleep_when_idle(
    loaded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads follow the container's limit and do not spin, unlike onnxruntime's defaults."""
    monkeypatch.setattr("onnx_session.available_cpus", lambda: 3)

    options = options_of(loaded(doubled()))

    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 3)
    for pool in ("intra_op", "inter_op"):
        assert options.get_session_config_entry(f"session.{pool}.allow_spinning") == "0"


def test_the_options_are_onnxruntimes_own(loaded: Callable[..., Any]) -> None:
    """Without parameters, the options are onnxruntime's defaults."""
    ours, own = options_of(loaded(doubled())), onnxruntime.SessionOptions()

    assert ours.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert ours.execution_mode == own.execution_mode


def test_the_parameters_set_the_options(loaded: Callable[..., Any]) -> None:
    """Parameters set the options; numbers may be text, as platforms send them."""
    options = options_of(
        loaded(
            doubled(),
            graph_optimization_level="basic",
            execution_mode="parallel",
            intra_op_num_threads="2",
            inter_op_num_threads=5,
        )
    )

    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 5)


@pytest.mark.skipif(HAS_CUDA, reason="this is onnxruntime's build for CUDA")
@pytest.mark.parametrize("device", ["auto", "cpu", None])
def test_the_cpu_is_used_without_a_gpu(device: str, loaded: Callable[..., Any]) -> None:
    """Without a GPU the CPU is used, and the metadata names the provider."""
    custom = loaded(doubled(), device=device).init_metadata()["custom"]

    assert custom["providers"] == "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("asked", "device", "chosen"),
    [
        (None, None, [("CUDA", "0"), ("CPU", None)]),
        (None, "cuda:1", [("CUDA", "1"), ("CPU", None)]),
        (None, "cpu", [("CPU", None)]),
        ("TensorrtExecutionProvider, CUDA", "cuda:1", [("Tensorrt", "1"), ("CUDA", "1")]),
        ("cpu", "auto", [("CPU", None)]),
    ],
)
def test_tensorrt_is_taken_only_when_it_is_asked_for(
    asked: str | None,
    device: str | None,
    chosen: list[tuple[str, str | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a GPU, CUDA is the default, on the parameter's device; TensorRT must be requested."""
    from onnx_session import Settings  # found once conftest.py has set the path

    there = [f"{name}ExecutionProvider" for name in ("Tensorrt", "CUDA", "CPU")]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: there)
    monkeypatch.setattr("onnx_session.gpus", lambda: ["cuda:0", "cuda:1"])

    providers = Settings(device, asked).chosen_providers()

    assert providers == [
        (f"{name}ExecutionProvider", {"device_id": number} if number else {})
        for name, number in chosen
    ]


@pytest.mark.skipif(not HAS_CUDA, reason="needs a GPU and onnxruntime's build for CUDA")
@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0"])
def test_a_gpu_is_used_where_there_is_one(device: str, loaded: Callable[..., Any]) -> None:
    """An available GPU is used and gives the CPU's answers."""
    model = loaded(doubled(), device=device)

    assert model.graph.session.get_providers()[0] == "CUDAExecutionProvider"
    assert model.predict(np.ones((2, 4))).tolist() == [[2] * 4] * 2
