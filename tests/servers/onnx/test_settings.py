"""How onnxruntime is set up: threads, providers, options."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from graphs import doubled

HAS_CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def options_of(model: Any) -> onnxruntime.SessionOptions:
    """What its session was opened with."""
    return model.graph.session.get_session_options()


def test_threads_follow_the_containers_limit_and_sleep_when_idle(
    loaded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Onnxruntime by itself takes all the host's processors and lets its threads spin."""
    monkeypatch.setattr("onnx_session.available_cpus", lambda: 3)

    options = options_of(loaded(doubled()))

    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 3)
    for pool in ("intra_op", "inter_op"):
        assert options.get_session_config_entry(f"session.{pool}.allow_spinning") == "0"


def test_the_options_are_onnxruntimes_own(loaded: Callable[..., Any]) -> None:
    """Unset, as it would have them."""
    ours, own = options_of(loaded(doubled())), onnxruntime.SessionOptions()

    assert ours.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert ours.execution_mode == own.execution_mode


def test_the_parameters_set_the_options(loaded: Callable[..., Any]) -> None:
    """Numbers may come as text, which is what platforms make of all parameters."""
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
def test_the_cpu_is_taken_where_there_is_no_gpu(device: str, loaded: Callable[..., Any]) -> None:
    """The metadata says which provider works."""
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
    """CUDA where there is a GPU, with the number of that which the parameter device names."""
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
    """The answers are the CPU's."""
    model = loaded(doubled(), device=device)

    assert model.graph.session.get_providers()[0] == "CUDAExecutionProvider"
    assert model.predict(np.ones((2, 4))).tolist() == [[2] * 4] * 2
