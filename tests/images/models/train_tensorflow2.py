"""A network for MNIST, as PrimeHub documents it: `python train_tensorflow2.py DIRECTORY`."""

import sys
from pathlib import Path

import keras
from sample import picture, save


def main(directory: Path) -> None:
    """Save a SavedModel in `model`, and the answer to a picture."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    network = keras.Sequential([keras.Input((28, 28)), *layers])
    pixels = picture(28, 28)
    rows = pixels[None] / 255
    network.export(directory / "model", verbose=False)
    save(directory, rows, network(rows), pixels)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
