"""The time that a server adds to its framework, for each model: `make bench-overhead`.

    python -m bench.overhead             every model, as a table
    python bench/overhead.py SCRIPT DIR  one model, in its image's environment

The Model's `predict` and the framework's own call with prepared input (an array or a DataFrame)
alternate in one process; the table has the medians. The last two columns are the time of a request
over REST with one connection, and the ratio of the framework's time to it.
"""

import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.servers import Model

ROOT = Path(__file__).parents[1]
OF_TABLES = "tables"  # the training script of models that the sklearn image serves
CALLS = 2000
MOST_SECONDS = 20
WARM_UP = 100
HEADING = ("model", "Model.predict", "framework", "added", "REST", "framework / REST")


def main() -> None:
    """Measure each model, and print a table."""
    print(row(HEADING), row(["---", *("---:" for _ in HEADING[1:])]), sep="\n")
    with tempfile.TemporaryDirectory() as scratch:
        for title, script, directory, model in models(Path(scratch)):
            ours, framework = in_process(script, directory)
            served = over_rest(model, Path(scratch))
            times = [f"{each:.0f} us" for each in (ours, framework, ours - framework, served)]
            print(row([title, *times, f"{framework / served:.2f}"]), flush=True)


def models(scratch: Path) -> Iterator[tuple[str, str, Path, "Model"]]:
    """Yield each model: title, training script, directory, and the served model."""
    # Imported here, because an image's environment lacks the packages that this module needs.
    from bench.cases import TABLES, train, trained, trained_on_records
    from bench.programs import trainable_images

    for image in trainable_images():
        directory = train(image, scratch)
        yield image, image, directory, trained(image, directory)
    for name, title in TABLES.items():
        directory = train(OF_TABLES, scratch) / name
        yield f"sklearn, {title}", OF_TABLES, directory, trained_on_records(directory)


def in_process(script: str, directory: Path) -> list[float]:
    """The median microseconds of a call, for the Model and for the framework."""
    python = ROOT / f".envs/{image_of(script)}/bin/python"
    command = [str(python), __file__, script, str(directory)]
    printed = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL)
    times: list[float] = json.loads(printed.splitlines()[-1])
    return times


def over_rest(model: "Model", scratch: Path) -> float:
    """The microseconds of a request to our server, one at a time."""
    from bench import load
    from bench.programs import OURS
    from bench.servers import running, wait_for_answer

    with running(OURS, model, scratch) as server:
        wait_for_answer(server, model.samples[0])
        load.rest(server, model.samples, 1, 1)
        return 1e6 / load.rest(server, model.samples, 1, 2)["req/s"]


def image_of(script: str) -> str:
    """The image that serves the script's models."""
    return "sklearn" if script == OF_TABLES else script


def row(cells: "list[str] | tuple[str, ...]") -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def measure(script: str, directory: Path) -> None:
    """Print the microseconds per call, for the Model and for the framework."""
    sys.path[:0] = [str(ROOT / image_of(script) / "server"), str(ROOT / "bench/models")]
    model = importlib.import_module("Model").Model(model_uri=str(directory))
    model.load()
    import numpy as np  # after importing the Model, which limits numpy's threads

    training = importlib.import_module(f"train_{script}")
    framework = training.direct(directory)
    sent = json.loads((directory / "samples.json").read_text())["inputs"][0]
    ready = getattr(training, "ready", np.array)(sent)
    rows = sent if script == OF_TABLES else ready
    times: dict[str, list[float]] = {"ours": [], "framework": []}
    until = time.monotonic() + MOST_SECONDS
    while len(times["ours"]) < CALLS and time.monotonic() < until:
        times["ours"].append(seconds(lambda rows: model.predict(rows, []), rows))
        times["framework"].append(seconds(framework, ready))
    print(json.dumps([statistics.median(each[WARM_UP:]) * 1e6 for each in times.values()]))


def seconds(call: Callable[[Any], Any], rows: Any) -> float:
    """The seconds of one call."""
    start = time.perf_counter()
    call(rows)
    return time.perf_counter() - start


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
