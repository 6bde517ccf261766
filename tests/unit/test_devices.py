import pytest

from prepackaged import DeploymentError, choose_device

GPUS = ["cuda:0", "cuda:1"]


def refusal(asked: str, available: list[str]) -> str:
    """Return the error message for a device that cannot be used."""
    with pytest.raises(DeploymentError) as caught:
        choose_device(asked, available)
    return str(caught.value)


@pytest.mark.parametrize(
    ("asked", "available", "chosen"),
    [
        (None, [], "cpu"),
        ("", [], "cpu"),
        ("auto", [], "cpu"),
        ("auto", ["cpu"], "cpu"),
        (None, GPUS, "cuda:0"),
        ("auto", GPUS, "cuda:0"),
        ("auto", ["cpu", *GPUS], "cuda:0"),
        ("cpu", GPUS, "cpu"),
        ("cuda", GPUS, "cuda:0"),
        ("cuda:0", GPUS, "cuda:0"),
        ("cuda:1", GPUS, "cuda:1"),
        (" CUDA:1 ", GPUS, "cuda:1"),
    ],
)
def test_the_requested_device_is_used(asked: str | None, available: list[str], chosen: str) -> None:
    """The default is the first GPU or else the CPU; otherwise the requested device is used."""
    assert choose_device(asked, available) == chosen


@pytest.mark.parametrize("asked", ["cuda", "cuda:0"])
def test_a_missing_gpu_stops_the_start(asked: str) -> None:
    """If a requested GPU is missing, the error says what the framework sees."""
    message = refusal(asked, ["cpu"])
    assert message == (
        "expected the parameter device to be a device that the framework sees (cpu),"
        f" got {asked!r}: give the container a GPU and use an image for GPUs, or set device to auto"
    )


def test_a_gpu_number_that_is_too_high_stops_the_start() -> None:
    """If the GPU's number is too high, the error lists the existing GPUs."""
    assert "that the framework sees (cpu, cuda:0, cuda:1), got 'cuda:2': " in (
        refusal("cuda:2", GPUS)
    )


@pytest.mark.parametrize("asked", ["gpu", "cuda:", "cuda:x", "cuda:-1", "0", "mps", "cuda 1"])
def test_an_invalid_device_stops_the_start(asked: str) -> None:
    """The error for an invalid device lists the valid forms."""
    assert refusal(asked, GPUS) == (
        f"expected the parameter device to be auto, cpu, cuda or cuda:N, got {asked!r}"
    )
