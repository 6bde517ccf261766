"""`record [MODEL_URI]`: ask a model, and keep requests and answers as samples beside it."""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote
from urllib.request import Request, urlopen

from prepackaged.errors import DeploymentError
from prepackaged.server.runtime.check import artifact_of, config_of
from prepackaged.server.runtime.samples import (
    DIRECTORY,
    LONGEST,
    MODEL,
    MOST_BYTES,
    SELDON,
    V2,
    path_for,
    read_json,
)
from prepackaged.server.runtime.self_test import loaded
from prepackaged.server.telemetry.logs import begin_logging

logger = logging.getLogger(__name__)

# Members of a response that depend on the server and the request: Seldon's and V2's.
NOT_OF_THE_MODEL = ("meta", "model_name", "model_version", "id")
SECONDS = 300  # the timeout for a response of the running server

#: Sends a request with a method, a path and a body; returns the response's status and body.
Ask = Callable[[str, str, Any], tuple[int, bytes]]


@dataclass(frozen=True)
class Recording:
    """A request to record: its name in error messages, its path and its body."""

    name: str
    path: str
    body: Any


def main() -> None:
    """Record samples of the model that the command line names (the console script).

    Exits with status 1 and an error in the last line if there is nothing to record, or if a
    response is an error.
    """
    begin_logging()
    try:
        for file in record(read_command_line()):
            print(file)
    except DeploymentError as error:
        logger.critical("%s", error)
        sys.exit(1)


def read_command_line() -> argparse.Namespace:
    """Parse the command line: the model, the requests, and the directory of the samples."""
    parser = argparse.ArgumentParser(prog="record", description=__doc__)
    parser.add_argument("model_uri", nargs="?", help="a directory or a file; /mnt/models")
    parser.add_argument("--model", default="Model", help="the class that serves it (Model)")
    parser.add_argument("--url", help="of a running server, which is asked in the model's place")
    parser.add_argument("--requests", type=Path, help="a file of JSON or of lines of it")
    parser.add_argument("--into", type=Path, help="a directory (samples, beside the model)")
    return parser.parse_args()


def record(options: argparse.Namespace) -> list[Path]:
    """Write the samples, and return their files. Raises `DeploymentError` before writing any."""
    if options.url:
        into = options.into or Path(DIRECTORY)
        return write(into, samples(server_at(options.url), options.requests))
    config = config_of(options)
    artifact = artifact_of(config)
    into = options.into or (artifact.directory if artifact else Path()) / DIRECTORY
    with loaded(config) as test:

        def ask(method: str, path: str, body: Any) -> tuple[int, bytes]:
            answer = test.ask(method, path, body)
            return answer.status, answer.body

        return write(into, samples(ask, options.requests))


def server_at(url: str) -> Ask:
    """A function that sends requests to a running server.

    It raises `DeploymentError` if no server answers.
    """
    base = url.rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise DeploymentError(f"--url: expected http://... or https://..., got {url[:100]!r}")

    def ask(method: str, path: str, body: Any) -> tuple[int, bytes]:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(base + path, content, headers, method=method)  # noqa: S310  checked above
        try:
            with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310  the same
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()
        except OSError as error:
            raise DeploymentError(f"the server at {base} does not answer: {error}") from error

    return ask


def samples(ask: Ask, file: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a file name and a sample for each request. Raises `DeploymentError` if one fails."""
    model = served_name(ask)
    for number, each in enumerate(requests_in(file) if file else examples(ask), 1):
        status, text = ask("POST", each.path.replace(MODEL, model), each.body)
        if status != 200:
            shown = text.decode(errors="replace")[:LONGEST]
            raise DeploymentError(f"{each.name}: expected status 200, got {status}: {shown}")
        answer = json.loads(text)
        if isinstance(answer, dict):
            answer = {name: answer[name] for name in answer if name not in NOT_OF_THE_MODEL}
        path = each.path.replace(f"/v2/models/{model}/", f"/v2/models/{MODEL}/")
        sample = {"request": {"path": path, "body": each.body}, "response": {"body": answer}}
        yield f"{file.stem if file else 'example'}-{number}.json", sample


def served_name(ask: Ask) -> str:
    """The escaped name under which a server serves its model over V2, from its OpenAPI document.

    Returns the placeholder MODEL if the document has no such path.
    """
    paths = document_of(ask).get("paths", {})
    before, after = V2.split(MODEL)
    known = (path for path in paths if path.startswith(before) and path.endswith(after))
    return next(known, V2).removeprefix(before).removesuffix(after)


def document_of(ask: Ask) -> Any:
    """The OpenAPI document of the server; empty if it has none."""
    status, text = ask("GET", "/openapi.json", None)
    return json.loads(text) if status == 200 else {}


def examples(ask: Ask) -> Iterator[Recording]:
    """The server's OpenAPI examples for Seldon's protocol and V2.

    Raises `DeploymentError` if there are none.
    """
    found = []
    for path, item in document_of(ask).get("paths", {}).items():
        body = item.get("post", {}).get("requestBody", {}).get("content", {})
        example = body.get("application/json", {}).get("example")
        if example is not None and path_for(example) in (SELDON, V2):
            found.append(Recording(f"the example for {unquote(path)}", path, example))
    if not found:
        raise DeploymentError(
            "expected an example in the server's OpenAPI document, got none: put requests into a"
            " file and name it in --requests"
        )
    yield from found


def requests_in(file: Path) -> Iterator[Recording]:
    """The requests in a JSON file: one, a list, or one per line; each is a body or a sample.

    Raises `DeploymentError` for anything else.
    """
    for number, each in enumerate(_values_in(file), 1):
        name = f"{file}, request {number}"
        if not isinstance(each, dict):
            raise DeploymentError(f"{name}: expected a JSON object, got {str(each)[:100]}")
        asked = each.get("request")
        given = asked if isinstance(asked, dict) and "body" in asked else {"body": each}
        yield Recording(name, str(given.get("path", path_for(given["body"]))), given["body"])


def _values_in(file: Path) -> list[Any]:
    try:
        lines = file.read_text().splitlines() if file.stat().st_size <= MOST_BYTES else []
        values = [json.loads(line) for line in lines if line.strip()]
    except OSError as error:
        raise DeploymentError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError):
        values = []
    whole = values if len(values) > 1 else read_json(file)
    return whole if isinstance(whole, list) else [whole]


def write(directory: Path, found: Iterator[tuple[str, dict[str, Any]]]) -> list[Path]:
    """Write a file for each sample. Raises `DeploymentError` if a file exists or writing fails."""
    files = {directory / name: sample for name, sample in found}
    if there := [str(file) for file in files if file.exists()]:
        raise DeploymentError(f"{there[0]} exists: remove it, or name another directory in --into")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file, sample in files.items():
            file.write_text(as_text(sample))
    except OSError as error:
        raise DeploymentError(f"{directory} cannot be written: {error.strerror}") from error
    return list(files)


def as_text(sample: dict[str, Any]) -> str:
    """A sample as JSON, with its request and its response on a line each."""
    lines = [f" {json.dumps(name)}: {json.dumps(part)}" for name, part in sample.items()]
    return "\n".join(("{", ",\n".join(lines), "}", ""))
