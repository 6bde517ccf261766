"""A perceptron of 784 inputs, 128 hidden units and 10 classes.

python train_pytorch.py DIRECTORY
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from samples import rows_of, save

PIXELS = 784


def main(directory: Path) -> None:
    """Save the module as TorchScript, with random weights."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(PIXELS, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 10),
        torch.nn.Softmax(1),
    )
    directory.mkdir(parents=True, exist_ok=True)
    torch.jit.script(module).save(directory / "model.pt")
    save(directory, rows_of(PIXELS), direct(directory))


def direct(directory: Path) -> Callable[[Any], Any]:
    """A function that calls the module on an array."""
    module = torch.jit.load(directory / "model.pt").eval()

    def call(rows: Any) -> Any:
        with torch.inference_mode():
            return module(torch.from_numpy(rows).float()).numpy()

    return call


if __name__ == "__main__":
    main(Path(sys.argv[1]))
