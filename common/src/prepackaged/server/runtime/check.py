"""`check [MODEL_URI]`: load a model as the server does, try it, and report the facts."""

import argparse
import json
import logging
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from typing import Any

from prepackaged.artifacts import Artifact, mounted_model
from prepackaged.errors import DeploymentError
from prepackaged.pickles import imports_of
from prepackaged.server.runtime.config import Config, read_config
from prepackaged.server.runtime.event_loop import LoopThread
from prepackaged.server.runtime.loading import (
    failures_as,
    find_class,
    load_model,
    read_metadata,
    with_model_dir,
)
from prepackaged.server.runtime.samples import Sample, samples_of
from prepackaged.server.runtime.self_test import Outcome, SelfTest, failure, loaded
from prepackaged.server.runtime.trying import Trial
from prepackaged.server.telemetry.logs import begin_logging
from prepackaged.signature import declared_signature

logger = logging.getLogger(__name__)

MEGABYTE = 2**20
SPARE = 1.5  # the recommended memory as a multiple of the measured one, for requests of many rows
SHOWN = 100  # the most names of a list in the report
FAILED = "failed: "  # the prefix for a failed sample that would keep the server from starting


def main() -> None:
    """Check the model that the command line or the environment names (the console script).

    Exits with status 1 and an error in the last line if the model cannot be loaded or cannot
    answer its example.
    """
    begin_logging()
    options = read_command_line()
    if options.page:
        print_page(options)
        return
    report = report_on(options)
    print(json.dumps(report, indent=1) if options.json else as_text(report))
    if why := report.get("error"):
        logger.critical("%s", why)
        sys.exit(1)


def report_on(options: argparse.Namespace) -> dict[str, Any]:
    """The report; `error` is one line that says why the model should not be deployed."""
    report: dict[str, Any] = {}
    with redirect_stdout(sys.stderr):  # a model's author may print
        try:
            with failures_as(f"{options.model} cannot be checked"):
                report.update(parts(config_of(options)))  # keeps the parts before a failure
            why = failure_in(report)
        except DeploymentError as error:
            why = str(error)
    return {**report, "error": " ".join(why.split())} if why else report


def failure_in(report: dict[str, Any]) -> str:
    """Why the model should not be deployed; empty if there is no reason."""
    for text in report.get("samples", {}).values():
        if text.startswith(FAILED):
            return str(text.removeprefix(FAILED))
    error = report.get("trial", {}).get("error")
    return f"the model cannot answer its example: {error}" if error else ""


def print_page(options: argparse.Namespace) -> None:
    """Print the page to try the model; exit with status 1 if the model cannot be loaded."""
    try:
        with redirect_stdout(sys.stderr), loaded(config_of(options)) as test:
            page = test.page()
    except DeploymentError as error:
        logger.critical("%s", error)
        sys.exit(1)
    sys.stdout.buffer.write(page)


def read_command_line() -> argparse.Namespace:
    """Parse the command line: the model and the format of the report."""
    parser = argparse.ArgumentParser(prog="check", description=__doc__)
    parser.add_argument("model_uri", nargs="?", help="a directory or a file; /mnt/models")
    parser.add_argument("--model", default="Model", help="the class that serves it (Model)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="for programs")
    how.add_argument("--page", action="store_true", help="print a page to try the model, as HTML")
    return parser.parse_args()


def config_of(options: argparse.Namespace) -> Config:
    """The server's settings with the command line's model. Raises `DeploymentError`."""
    config = read_config([options.model], os.environ)
    if options.model_uri:
        parameters = {**config.parameters, "model_uri": options.model_uri}
        return Config(config.interface, parameters, image=config.image)
    return config


def parts(config: Config) -> Iterator[tuple[str, Any]]:
    """Yield the parts of the report and their titles; the part about the file precedes loading.

    Raises `DeploymentError` if the model cannot be loaded.
    """
    artifact = artifact_of(config)
    if artifact:
        yield "file", file_facts(artifact)
    before, start = memory(), time.perf_counter()
    model = load_model(config.interface, config.parameters, config.model_dir)
    seconds = time.perf_counter() - start
    signature, metadata = declared_signature(model), read_metadata(model)
    yield "versions", (metadata or {}).get("custom", {})
    yield "takes", str(signature).splitlines() if signature else ["unknown"]
    yield "load", {"seconds": round(seconds, 3), "megabytes": round(memory() - before)}
    samples = samples_of(model)
    yield "trial", Trial(model, signature, samples).report()
    if samples:
        yield "samples", sample_facts(model, metadata, config, samples)
    yield "deployment", deployment(config, memory())


def artifact_of(config: Config) -> Artifact | None:
    """The file that the class will load; None if it loads none. Raises `DeploymentError`."""
    model_class = find_class(config.interface)
    parameters = with_model_dir(model_class, config.parameters, config.model_dir)
    files, uri = getattr(model_class, "files", None), parameters.get("model_uri") or mounted_model()
    if not (files and uri):
        return None
    looking = model_class.__new__(model_class)  # its constructor would load the model
    looking.model_uri, looking.model_file = str(uri), parameters.get("model_file")
    found: Artifact = looking.find_artifact(files)
    return found


def file_facts(artifact: Artifact) -> dict[str, Any]:
    """Facts about the chosen file, the other files in its directory, and a pickle's imports."""
    beside = set()
    with suppress(OSError):  # the file may be readable although its directory cannot be listed
        beside = {entry.name for entry in artifact.directory.iterdir()} - {artifact.name}
    imports = imports_of(artifact.path)
    return {
        "name": artifact.name,
        "directory": str(artifact.directory),
        "megabytes": round(artifact.path.stat().st_size / MEGABYTE, 3),
        "digest": artifact.digest,
        "beside it": sorted(beside),
        **({"imports": sorted(imports)} if imports is not None else {}),
    }


def sample_facts(
    model: Any, metadata: dict[str, Any] | None, config: Config, samples: Sequence[Sample]
) -> dict[str, str]:
    """The result of each sample, by the sample's name."""
    with LoopThread() as loop:
        outcomes = SelfTest(model, metadata, config, loop).outcomes(samples)
        return {each.sample.name: in_words(each) for each in outcomes}


def in_words(outcome: Outcome) -> str:
    """The outcome as text: answered as expected, or how the answer differs."""
    if not outcome.difference:
        return "answered as expected"
    return (FAILED if outcome.sample.is_required else "") + failure(outcome)


def deployment(config: Config, megabytes: float) -> dict[str, Any]:
    """The values to enter when the model is deployed."""
    least = -(-megabytes * SPARE // 256) * 256
    return {
        "image": config.image or "this image",
        "model_uri": "the directory of the file, such as phfs:///models/mine",
        "memory": f"an instance type with at least {least:g} MB",
    }


def memory() -> float:
    """The peak memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def as_text(report: dict[str, Any]) -> str:
    """The report for people: a title for each part, and a line for each fact."""
    return "\n\n".join(f"{title}\n{_lines(part)}" for title, part in report.items())


def _lines(part: Any) -> str:
    values = [part] if isinstance(part, str) else part
    pairs = values.items() if isinstance(values, dict) else (("", each) for each in values)
    return "\n".join(f"  {f'{name}: ' if name else ''}{_shown(value)}" for name, value in pairs)


def _shown(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        more = f" and {len(value) - SHOWN} more" if len(value) > SHOWN else ""
        return ", ".join(value[:SHOWN]) + more
    is_plain = isinstance(value, str | int | float)
    return str(value) if is_plain else json.dumps(value)
