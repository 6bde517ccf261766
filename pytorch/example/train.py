"""Train a small network to tell points inside of a circle: `python train.py DIRECTORY`."""

import sys
from pathlib import Path

import torch
from ModelClass import PyTorchModel
from torch.nn.functional import nll_loss


def main(directory: Path) -> None:
    """Save the weights and, beside them, their class."""
    torch.manual_seed(0)
    points = torch.rand(400, 2) * 4 - 2
    is_inside = (points.norm(dim=1) < 1).long()
    model = PyTorchModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        nll_loss(model(points).log(), is_inside).backward()
        optimizer.step()
    source = Path(__file__).with_name("ModelClass.py").read_text()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "ModelClass.py").write_text(source)
    torch.save(model.state_dict(), directory / "model.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
