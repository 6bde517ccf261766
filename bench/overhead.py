"""What a server's Model adds to its framework, row by row: `make bench-overhead`.

    python -m bench.overhead            every image, as a table
    python bench/overhead.py IMAGE DIR  one image, in its own environment

Both calls are made in turn in one process, without a server; what is printed is the medians.
"""

import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
IMAGES = ("sklearn", "xgboost", "pytorch", "tensorflow2", "onnx")
CALLS = 2000
WARM_UP = 100


def main() -> None:
    """Measure each image, and print a table."""
    from bench.cases import train  # of which an image's environment has no need

    print("| image | Model.predict | framework | added |", "| --- | ---: | ---: | ---: |", sep="\n")
    for image in IMAGES:
        with tempfile.TemporaryDirectory() as scratch:
            directory = train(image, Path(scratch))
            python = ROOT / f".envs/{image}/bin/python"
            command = [str(python), __file__, image, str(directory)]
            printed = subprocess.check_output(
                command, text=True, stderr=subprocess.DEVNULL
            ).splitlines()[-1]
        ours, framework = json.loads(printed)
        row = [f"{each:.0f} us" for each in (ours, framework, ours - framework)]
        print(f"| {image} | {' | '.join(row)} |")


def measure(image: str, directory: Path) -> None:
    """Print two numbers: the Model's microseconds a call, and the framework's."""
    sys.path[:0] = [str(ROOT / image / "server"), str(ROOT / "bench/models")]
    model = importlib.import_module("Model").Model(model_uri=str(directory))
    model.load()
    import numpy as np  # after the Model, which limits its threads

    framework = importlib.import_module(f"train_{image}").direct(directory)
    row = np.array(json.loads((directory / "samples.json").read_text())["inputs"][0])
    times: dict[str, list[float]] = {"ours": [], "framework": []}
    for _ in range(CALLS):
        times["ours"].append(seconds(lambda rows: model.predict(rows, []), row))
        times["framework"].append(seconds(framework, row))
    print(json.dumps([statistics.median(each[WARM_UP:]) * 1e6 for each in times.values()]))


def seconds(call: Callable[[Any], Any], row: Any) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    call(row)
    return time.perf_counter() - start


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
