"""Compare our server with upstream's, under load, on this machine: `make bench`.

    python -m bench.run [--quick] [--case NAME]... [--earlier CHECKOUT] [--peer NAME]...

Servers run as processes on localhost. Each in turn gets the load, several times; the output has the
medians, and their ratios to upstream's server with default settings. The benchmark needs the
development environment, that of the sklearn image, wrk and h2load. On an otherwise idle machine, a
full run takes about ten minutes, and a quick run less than two.
"""

import argparse
import importlib.metadata
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPException
from pathlib import Path

from bench.cases import FRAMEWORKS, Case, Group, Measure, groups
from bench.load import Figures, require_tools
from bench.programs import ALL, PEERS, UPSTREAM, Program, Serves, earlier, programs_of
from bench.servers import Model, NotStartedError, Server, running, wait_for_answer
from bench.table import table

FULL, QUICK = (5, 2), (1, 1)  # the number of rounds, and the seconds of each load
FAILURES = (
    NotStartedError,
    subprocess.SubprocessError,
    OSError,
    ValueError,
    TimeoutError,
    HTTPException,
)
PACKAGES = ("seldon-core", "scikit-learn", "httptools", "uvloop", "grpcio")


def main() -> None:
    """Read the command line, measure, and print the table."""
    parser = argparse.ArgumentParser(description="Compare the microservice with upstream's.")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--case", action="append", metavar="NAME", help="this one; repeatable")
    parser.add_argument(
        "--earlier", type=Path, metavar="CHECKOUT", help="measure another checkout's server too"
    )
    parser.add_argument(
        "--peer",
        action="append",
        choices=PEERS,
        default=[],
        help="measure this server of others where it can; repeatable",
    )
    options = parser.parse_args()
    programs = [*ALL, *([earlier(options.earlier)] if options.earlier else [])]
    programs += [PEERS[name] for name in options.peer]
    require_tools()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended by SIGTERM"))
    rounds, seconds = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch), rounds, programs)
        every = groups(Path(scratch), seconds, options.case or FRAMEWORKS)
        for group in chosen(every, options.case):
            bench.measure(group)
    print(
        header(rounds, seconds),
        table(bench.measured, {each.name: each.name for each in programs}, UPSTREAM),
        sep="\n\n",
    )


def chosen(every: list[Group], names: list[str] | None) -> list[Group]:
    """The groups with only the named cases; all cases if there are no names."""
    known = [case.name for group in every for case in group.cases] + list(FRAMEWORKS)
    if unknown := set(names or ()) - set(known):
        sys.exit(f"bench: no case {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    for group in every:
        group.cases = [case for case in group.cases if case.name in (names or known)]
    return [group for group in every if group.cases]


@dataclass
class Bench:
    """Runs the servers in turn and collects the figures."""

    scratch: Path
    rounds: int
    programs: Sequence[Program]
    measured: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)

    def measure(self, group: Group) -> None:
        """Measure all cases of a group."""
        able = Serves.MODELS
        if group.model.is_estimator:
            able |= Serves.ESTIMATORS
        if group.model.plain:
            able |= Serves.TABLES
        if not group.needs_model:
            able |= Serves.ONE_ANSWER
        programs = [
            each
            for each in self.programs
            if each.serves & able and (each.speaks_infer or not group.needs_infer)
        ]
        if group.warm_up is None:
            self.one_by_one(group, programs)
        else:
            self.side_by_side(group, programs, group.warm_up)

    def one_by_one(self, group: Group, programs: list[Program]) -> None:
        """Start each server for every round, while no other server runs."""
        for case in group.cases:
            for program in programs * self.rounds:
                with running(program, group.model, self.scratch) as server:
                    self.note(case, server)

    def side_by_side(self, group: Group, programs: list[Program], warm_up: Measure) -> None:
        """Start all servers, then send load to one after the other: A B C, A B C.

        The first load on each server is not measured, because it fills caches and tries batching.
        """
        with ExitStack() as stack:
            servers = [
                stack.enter_context(running(program, group.model, self.scratch))
                for program in programs
            ]
            for server in servers:
                attempt(partial(ready, model=group.model), server)
            for server in servers:
                attempt(warm_up, server)
            for case in group.cases:
                for server in servers * self.rounds:
                    self.note(case, server)

    def note(self, case: Case, server: Server) -> None:
        """Measure once, then store and print the figures."""
        figures = attempt(case.measure, server)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        print(f"{case.title}: {server.program.name}: {shown}", file=sys.stderr)
        by_server = self.measured.setdefault(case.title, {})
        by_server.setdefault(server.program.name, []).append(figures)


def attempt(measure: Measure, server: Server) -> Figures:
    """Measure and return the figures; one error if the measurement fails."""
    try:
        return measure(server)
    except FAILURES as error:
        print(f"bench: {server.program.name}: {error}", file=sys.stderr)
        return {"errors": 1}


def ready(server: Server, model: Model) -> Figures:
    """Wait for the server's first right answer."""
    return {"start s": wait_for_answer(server, model.samples[0])}


def header(rounds: int, seconds: int) -> str:
    """The text above the table: date, machine, versions, and an explanation of the table."""
    versions = ", ".join([*package_versions(), *tool_versions()])
    return f"""\
{datetime.now(UTC):%Y-%m-%d}, {machine()}. {versions}.

Medians of {rounds} round{"s"[: rounds > 1]} of {seconds} s; in brackets, how many times \
{UPSTREAM}'s. Every answer is checked; errors of all rounds are added up, and a case without \
that row had none. With 1 connection, client and server are kept on different cores. `bare` \
neither decodes a request nor has a model; `bare with model` has one, and checks nothing."""


def machine() -> str:
    """The processor, cores, memory and kernel."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    name = model[1] if model else platform.machine()
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"


def package_versions() -> Iterator[str]:
    """The versions of packages in the servers' environment."""
    yield subprocess.check_output(
        [programs_of("sklearn") / "python", "--version"], text=True
    ).strip()
    packages = str(next(programs_of("sklearn").parent.glob("lib/python*/site-packages")))
    for name in PACKAGES:
        for found in importlib.metadata.distributions(name=name, path=[packages]):
            yield f"{name} {found.version}"


def tool_versions() -> Iterator[str]:
    """The versions of the load generators."""
    for command in (["wrk", "-v"], ["h2load", "--version"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        words = (done.stdout or done.stderr).split()
        yield " ".join(words[:2])


if __name__ == "__main__":
    main()
