"""Compare the startup of servers with a script that only loads the model: `make bench-start`.

    python -m bench.start [--runs N] [--image NAME]... [--cpu CPUS]...

For each image and each CPU limit, the bare script and the servers start in turn, N times. The
output has the median times until the first right answer, and their ratios to the script's. The
limits need cgroups. MLServer and KServe are measured if their environments exist.
"""

import argparse
import compileall
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bench.cases import train, trained
from bench.cgroups import limited_cpu
from bench.load import Figures
from bench.programs import (
    OURS,
    PEERS,
    PUBLISHED,
    ROOT,
    Program,
    Serves,
    programs_of,
    trainable_images,
)
from bench.run import machine
from bench.samples import of_rows
from bench.servers import MODELS, Model, NotStartedError, family, running, wait_for_answer
from bench.table import table

IMAGES = ("skeleton", *trainable_images())
CPUS = (1.0, 0.2)
RUNS = 3
SCRIPT = "bare script"
BARE = MODELS / "bare_start.py"
MOST_SECONDS = 300  # the time limit of a start with a fifth of a CPU
TICKS = os.sysconf("SC_CLK_TCK")
# Fields after the name in /proc/PID/stat: user and system time, of the process and its children.
TIMES = slice(11, 15)
PEER_NAMES = ("mlserver", "kserve")


def main() -> None:
    """Read the command line, measure, and print the table."""
    parser = argparse.ArgumentParser(description="Compare how servers start.")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each; %(default)s by default")
    parser.add_argument("--image", action="append", choices=IMAGES, help="this one; repeatable")
    parser.add_argument("--cpu", action="append", type=float, help="this limit; repeatable")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended by SIGTERM"))
    compileall.compile_dir(ROOT / "common/src", quiet=2)  # as in the images
    measured: dict[str, dict[str, list[Figures]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for image in options.image or IMAGES:
            model = model_of(image, Path(scratch))
            for cpus in options.cpu or CPUS:
                with limited_cpu(cpus) as under:
                    title = f"{image}, {cpus:g} CPU" if under else image
                    measured[title] = starts(model, under, Path(scratch), options.runs)
                if not under:
                    break  # without cgroups, other limits would give the same
    print(header(options.runs, under), result(measured), sep="\n\n")


def model_of(image: str, scratch: Path) -> Model:
    """The image's server with the small model of the benchmark; for the skeleton, `Plain`."""
    if image != "skeleton":
        return trained(image, train(image, scratch))
    (scratch / image).mkdir()
    (scratch / image / "samples.json").write_text('{"inputs": [[[1.0, 0.5]]]}')
    sample = of_rows([[1.0, 0.5]], [[1.0, 0.5]])
    return Model(MODELS, "Plain", [sample], image=image)


def starts(
    model: Model, under: Sequence[str], scratch: Path, runs: int
) -> dict[str, list[Figures]]:
    """The figures of all starts, by program; the programs take turns: A B C, A B C."""
    found: dict[str, list[Figures]] = {}
    for _ in range(runs):
        for program in (None, *programs_for(model)):
            name = program.name if program else SCRIPT
            figures = (
                server(program, model, under, scratch) if program else script(model, under, scratch)
            )
            shown = ", ".join(f"{key} {value:.3g}" for key, value in figures.items())
            print(f"{model.image}: {name}: {shown}", file=sys.stderr)
            found.setdefault(name, []).append(figures)
    return found


def programs_for(model: Model) -> Iterator[Program]:
    """The servers that can serve the model and whose environments exist."""
    yield OURS
    yield PUBLISHED
    for peer in (PEERS[name] for name in PEER_NAMES):
        if model.is_estimator and peer.serves & Serves.ESTIMATORS and is_there(peer):
            yield peer


def is_there(program: Program) -> bool:
    """Whether the program's environment exists."""
    return (programs_of(program.programs) / program.command[0]).exists()


def server(program: Program, model: Model, under: Sequence[str], scratch: Path) -> Figures:
    """Start a server, and measure the time until its first right answer."""
    with running(program, model, scratch, under) as started:
        try:
            seconds = wait_for_answer(started, model.samples[0], MOST_SECONDS)
        except NotStartedError as error:
            print(f"bench: {error}", file=sys.stderr)
            return {"errors": 1}
        return figures_of(started.process.pid, seconds)


def script(model: Model, under: Sequence[str], scratch: Path) -> Figures:
    """Start the bare script, and measure the time until its prediction."""
    command = [*under, str(programs_of(model.image) / "python"), str(BARE), model.image]
    began = time.monotonic()
    with subprocess.Popen(
        [*command, str(scratch / model.image)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        if not (process.stdout and process.stdout.readline()):
            return {"errors": 1}
        return figures_of(process.pid, time.monotonic() - began)


def figures_of(pid: int, seconds: float) -> Figures:
    """The figures of a start: its time, and the CPU time and peak memory of all its processes."""
    pids = list(family(pid))
    cpu, memory = sum(map(cpu_seconds, pids)), sum(map(peak_megabytes, pids))
    return {"s": seconds, "CPU s": cpu, "peak MB": memory}


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process and of its children that have exited."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[TIMES])) / TICKS
    return 0


def peak_megabytes(pid: int) -> float:
    """The peak memory of a process, in MB."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0


def result(measured: Mapping[str, Mapping[str, Sequence[Figures]]]) -> str:
    """The table, with a column for each measured program."""
    names = {name: name for by_program in measured.values() for name in by_program}
    return table(measured, names, SCRIPT)


def header(runs: int, under: Sequence[str]) -> str:
    """The text above the table: an explanation, and the programs that are left out."""
    missing = [PEERS[name].name for name in PEER_NAMES if not is_there(PEERS[name])]
    about = (
        f"{machine()}. Medians of {runs} run{'s'[: runs > 1]} from exec to the first right answer;"
        f" in brackets, how many times the {SCRIPT}'s. It imports the framework, loads the model"
        " and predicts once. Memory is the sum of the peaks of all processes."
    )
    if not under:
        about += "\nNo CPU limits: no cgroup could be created here."
    if missing:
        about += f"\nLeft out, without an environment: {', '.join(missing)}."
    return about


if __name__ == "__main__":
    main()
