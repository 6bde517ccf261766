"""A network for CIFAR10, as PrimeHub documents it: `python train_pytorch.py DIRECTORY`."""

import shutil
import sys
from pathlib import Path

import torch
from ModelClass import PyTorchModel
from sample import picture, save


def main(directory: Path) -> None:
    """Save the weights with their class in `model`, and the answer to a picture."""
    torch.manual_seed(0)
    network = PyTorchModel().eval()
    pixels = picture(32, 32, 3)
    rows = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    (directory / "model").mkdir()
    torch.save(network.state_dict(), directory / "model/model.pt")
    shutil.copy(Path(__file__).with_name("ModelClass.py"), directory / "model")
    with torch.inference_mode():
        save(directory, rows, network(rows), pixels)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
