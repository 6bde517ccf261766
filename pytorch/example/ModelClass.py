"""The class that the example's weights belong to."""

import torch
from torch import Tensor, nn


class PyTorchModel(nn.Module):
    """Points [n, 2] to the chances [n, 2] that they are outside and inside of a circle."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))

    def forward(self, points: Tensor) -> Tensor:
        """The chances."""
        return torch.softmax(self.layers(points), dim=1)
