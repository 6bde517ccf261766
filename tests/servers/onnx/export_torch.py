"""Export networks to ONNX; run this in an environment with PyTorch and onnxscript.

python export_torch.py DIRECTORY

Beside each NAME.onnx, NAME.npz has inputs by name and, as `expected <output>`, PyTorch's own
outputs for them.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

directory = Path(sys.argv[1])


class Images(torch.nn.Module):
    """A small network for colour images of 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 16, 3)
        self.head = torch.nn.Linear(16 * 6 * 6, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits of shape [n, 10]."""
        return self.head(torch.relu(self.convolution(image)).flatten(1))


class Words(torch.nn.Module):
    """A network of two inputs, integers and a weight, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(50, 4)

    def forward(
        self, tokens: torch.Tensor, weight: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weighted mean [n, 4] of the tokens, and its length [n]."""
        mean = self.words(tokens).mean(1) * weight
        return mean, mean.norm(dim=1)


def export(
    name: str, network: torch.nn.Module, inputs: dict[str, Any], outputs: list[str], **options: Any
) -> None:
    """Write the network with PyTorch's exporter, and inputs with the right answers."""
    given = tuple(map(torch.from_numpy, inputs.values()))
    with torch.inference_mode():
        answers = network.eval()(*given)
    answers = answers if isinstance(answers, tuple) else (answers,)
    expected = {f"expected {each}": answers[place].numpy() for place, each in enumerate(outputs)}
    np.savez(directory / f"{name}.npz", **inputs, **expected)
    names = {"input_names": list(inputs), "output_names": outputs}
    torch.onnx.export(network, given, directory / f"{name}.onnx", **names, **options)


torch.manual_seed(0)
images = np.random.default_rng(0).random((2, 3, 8, 8), np.float32)
# The current exporter, which puts the weights into images.onnx.data, and the previous one.
batch = {0: torch.export.Dim("batch", max=1024)}
export("images", Images(), {"image": images}, ["logits"], dynamic_shapes=(batch,))
export("one_image", Images(), {"image": images[:1]}, ["logits"], dynamo=False)
words = {"tokens": np.array([[1, 2, 3], [4, 5, 49]]), "weight": np.array([[1], [0.5]], np.float32)}
axes = {name: {0: "batch"} for name in ("tokens", "weight", "mean", "length")}
export("words", Words(), words, ["mean", "length"], dynamo=False, dynamic_axes=axes)
rows = {"x": np.array([[0.5, 1, 1.5, 2]], np.float16)}
axes = {"x": {0: "batch"}, "y": {0: "batch"}}
export("half", torch.nn.Linear(4, 2).half(), rows, ["y"], dynamo=False, dynamic_axes=axes)
