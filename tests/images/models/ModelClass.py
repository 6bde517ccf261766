"""The network of PyTorch's CIFAR10 tutorial, which PrimeHub's example uses."""

import torch
from torch import nn
from torch.nn.functional import max_pool2d, relu


class PyTorchModel(nn.Module):
    """Logits of ten classes for pictures of 32 x 32 in three colours."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [n, 10] of pictures [n, 3, 32, 32]."""
        for convolution in (self.conv1, self.conv2):
            x = max_pool2d(relu(convolution(x)), 2)
        return self.fc2(relu(self.fc1(x.flatten(1))))
