"""Train a classifier of digits in 8 x 8 pixels and save it: `python train.py DIRECTORY`."""

import sys
from pathlib import Path

import keras
import numpy as np

FONT = """
.###. ..#.. .###. ####. #..#. ##### .##.. ##### .###. .###.
#...# .##.. #...# ....# #..#. #.... #.... ....# #...# #...#
#...# ..#.. ...#. .###. ##### ####. ####. ...#. .###. .####
#...# ..#.. ..#.. ....# ...#. ....# #...# ..#.. #...# ...#.
.###. .###. ##### ####. ...#. ####. .###. ..#.. .###. ##...
"""


def digits() -> np.ndarray:
    """The ten digits in 5 x 5 pixels: [10, 5, 5] of 0 and 1."""
    lines = [line.split() for line in FONT.split("\n") if line]
    return np.array([[[c == "#" for c in line[digit]] for line in lines] for digit in range(10)])


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits anywhere on 8 x 8 pixels with some noise: [count, 8, 8], and which they are."""
    random = np.random.default_rng(0)
    labels = random.integers(10, size=count)
    drawn = random.uniform(0, 0.3, (count, 8, 8))
    for image, digit, (row, column) in zip(
        drawn, digits()[labels], random.integers(4, size=(count, 2)), strict=True
    ):
        image[row : row + 5, column : column + 5] += 0.7 * digit
    return drawn.astype(np.float32), labels


def main(directory: Path) -> None:
    """Save `model.keras` in the directory."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Flatten(), keras.layers.Dense(128, activation="relu")]
    outputs = keras.layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.Input((8, 8), name="pixels"), *layers, outputs])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*images(4000), epochs=10, verbose=0)
    directory.mkdir(parents=True, exist_ok=True)
    model.save(directory / "model.keras")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
