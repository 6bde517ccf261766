"""The device that a model runs on: the parameter `device`, checked against what is available."""

import re
from collections.abc import Sequence

from prepackaged.parameters import wrong_parameter

CPU = "cpu"


def choose_device(asked: str | None, available: Sequence[str]) -> str:
    """The device to use: `cpu` or `cuda:N`.

    `asked` is `auto`, `cpu`, `cuda` (the first GPU) or `cuda:N`; None and an empty string mean
    `auto`: the first GPU if there is one, else the CPU. `available` lists the GPUs that the
    framework sees, as `cuda:N`; the CPU is always available.

    Raises `DeploymentError` for any other value and for a GPU that is not available.

    >>> choose_device("auto", ["cuda:0", "cuda:1"])
    'cuda:0'
    >>> choose_device(None, [])
    'cpu'
    """
    wanted = (asked or "auto").strip().lower()
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", wanted):
        raise wrong_parameter("device", "auto, cpu, cuda or cuda:N", asked)
    gpus = [device for device in available if device != CPU]
    if wanted == CPU or (wanted == "auto" and not gpus):
        return CPU
    found = gpus if wanted in ("auto", "cuda") else [gpu for gpu in gpus if gpu == wanted]
    if not found:
        seen = f"a device that the framework sees ({', '.join([CPU, *gpus])})"
        cure = "give the container a GPU and use an image for GPUs, or set device to auto"
        raise wrong_parameter("device", seen, asked, cure)
    return found[0]
