"""Modules that the tests save in every format; the source is saved beside the weights."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn


class Mlp(nn.Module):
    """Maps rows of four features to three classes."""

    def __init__(self, hidden: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.layers(x), dim=1)


class Cifar(nn.Module):
    """The network of PyTorch's CIFAR10 tutorial, for colour images of 32 by 32 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.conv1(x)))
        x = self.pool(torch.relu(self.conv2(x)))
        return self.fc2(torch.relu(self.fc1(x.view(-1, 16 * 5 * 5))))


class Mnist(nn.Module):
    """Maps grey images of at least 3 by 3 pixels to the log-probabilities of ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.conv(x)))
        return torch.log_softmax(self.fc(torch.flatten(x, 1)), dim=1)


class Tokens(nn.Module):
    """Maps token numbers to two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.fc = nn.Linear(4, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc(self.embedding(tokens).mean(1))


class Mixed(nn.Module):
    """Maps categories, measurements and optional weights to two tensors by name."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.fc = nn.Linear(2, 3)

    def forward(
        self, category: Tensor, size: Tensor, weight: Tensor | None = None, scale: float = 2.0
    ) -> dict[str, Tensor]:
        hidden = self.embedding(category).mean(1) + self.fc(size)
        if weight is not None:
            hidden = hidden * weight
        return {"hidden": hidden * scale, "score": hidden.sum(1)}


class Pair(nn.Module):
    """Adds two inputs of one value per row."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right


class Recurrent(nn.Module):
    """Maps sequences to an LSTM's output and state, a tuple in a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True)

    def forward(self, steps: Tensor) -> Any:
        return self.lstm(steps)


def source_of(net: type[nn.Module], name: str = "PyTorchModel") -> str:
    """The text of a Python file that defines the class under this name."""
    head = "from typing import Any\n\nimport torch\nfrom torch import Tensor, nn\n\n\n"
    return head + inspect.getsource(net).replace(f"class {net.__name__}(", f"class {name}(")


def seeded(net: type[nn.Module]) -> nn.Module:
    """A module with the same random weights each time, in evaluation mode."""
    torch.manual_seed(0)
    return net().eval()
