"""Serve a model with an image's Model.py, in the target's environment.

    make run-<target> [MODEL_URI=...] [PARAMETERS="name=value ..."] [HOST=...] [HTTP_PORT=...] ...
    python3 tools/run.py TARGET MODEL_URI PARAMETERS     the last two may be empty

make sets the server's variables for host and ports.
Without MODEL_URI, the image's example is trained, saved below build/examples and served.
PARAMETERS are the Model's; they override those in an exported PREDICTIVE_UNIT_PARAMETERS.
The environment variable MICROSERVICE chooses another server, as in the images.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import images
import uv
from environment import PYTHON

ROOT = images.ROOT
PREDICT = "/api/v1.0/predictions"
TYPES = {
    "BOOL": "(?i:true|false)",
    "INT": r"-?(0|[1-9]\d*)",
    "DOUBLE": r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?",
}


def main(target: str, model_uri: str, words: str) -> None:
    """Start the server, print how to call it once it answers, and wait until it exits."""
    exported = os.environ.get("PREDICTIVE_UNIT_PARAMETERS", "")
    parameters = given_parameters(model_uri, words, exported)
    is_example = "model_uri" not in parameters
    if is_example and (model := example_model(target)):
        parameters["model_uri"] = parameter("model_uri", model)
    address = f"http://localhost:{os.environ['PREDICTIVE_UNIT_HTTP_SERVICE_PORT']}"
    is_taken = answers(address)  # by another server; ours then exits with an error
    server = start(images.find(target), list(parameters.values()))
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    with suppress(KeyboardInterrupt):  # the server gets the same signal
        if not is_taken and is_answering(server, address):
            example = request_file(target).read_text().strip() if is_example else ""
            print(how_to_call(address, example or request_of(address)), flush=True)
        server.wait()
    sys.exit(server.wait())


def given_parameters(model_uri: str, words: str, exported: str) -> dict[str, Any]:
    """The Model's parameters by name: the exported ones, overridden by the command line's."""
    try:
        found = {each["name"]: each for each in json.loads(exported or "[]")}
    except (ValueError, TypeError, KeyError):
        sys.exit("PREDICTIVE_UNIT_PARAMETERS: expected a JSON list of objects with a name")
    first = [f"model_uri={model_uri}"] if model_uri else []
    for word in (*first, *shlex.split(words)):
        name, _, value = word.partition("=")
        if not (name and value):
            sys.exit(f"PARAMETERS: expected name=value, got {word!r}")
        if name == "model_uri" and "://" not in value:
            value = str(Path(value).absolute())  # not relative to the server's directory
        found[name] = parameter(name, value)
    return found


def parameter(name: str, value: str) -> dict[str, str]:
    """A parameter in Seldon's form; the form of the value determines its type."""
    kinds = (kind for kind, form in TYPES.items() if re.fullmatch(form, value))
    return {"name": name, "value": value, "type": next(kinds, "STRING")}


def start(target: images.Target, parameters: list[Any]) -> "subprocess.Popen[bytes]":
    """Start the server with the environment variables of its image and of a deployment."""
    microservice = os.environ.get("MICROSERVICE", "prepackaged-microservice")
    command = [str(bin_of(target.name) / microservice), "Model", "--service-type", "MODEL"]
    settings = {
        "PREDICTIVE_UNIT_PARAMETERS": json.dumps(parameters),
        "PREDICTIVE_UNIT_IMAGE": target.tags()[0],
        "PREPACKAGED_TAGS": target.known_tags(),
    }
    place = ROOT / target.sources
    return subprocess.Popen([*command, "--access-log"], cwd=place, env=os.environ | settings)


def bin_of(target: str) -> Path:
    """The directory of the programs in the target's environment."""
    return ROOT / ".envs" / target / "bin"


def example_model(target: str) -> str:
    """The directory of the target's example model, trained if necessary; empty if it has none."""
    train = ROOT / images.find(target).image.name / "example/train.py"
    directory = ROOT / "build/examples" / target
    if not train.exists():
        return ""
    if not directory.exists():
        print(f"-> training the example with {train.relative_to(ROOT)}", flush=True)
        partial = directory.with_name(f"{target}.partial")
        command = [*training(train, bin_of(target) / "python"), partial]
        subprocess.run(command, env=uv.environment(), check=True)
        partial.rename(directory)
    return str(directory)


def request_file(target: str) -> Path:
    """The file with the example's documented request."""
    return ROOT / images.find(target).image.name / "example/request.json"


def training(script: Path, python: str | Path) -> list[str | Path]:
    """The command that runs a script, in an environment with its requirements if it lists them."""
    if "# /// script\n" in script.read_text():  # PEP 723
        return [uv.find(), "run", *uv.quietly(), "--python", PYTHON, "--script", script]
    return [python, script]


def is_answering(server: "subprocess.Popen[bytes]", address: str) -> bool:
    """Wait for the server's first response; return False if the server exits before that."""
    while server.poll() is None:
        if answers(address):
            return True
        time.sleep(0.2)
    return False


def answers(address: str) -> bool:
    """Whether a server responds at this address now."""
    with suppress(OSError, HTTPException):
        urllib.request.urlopen(f"{address}/health/ping", timeout=5).close()
        return True
    return False


def request_of(address: str) -> str:
    """The example request in the server's OpenAPI document; empty if there is none."""
    try:
        with urllib.request.urlopen(f"{address}/openapi.json", timeout=60) as answer:
            described = json.load(answer)["paths"][PREDICT]["post"]["requestBody"]["content"]
        return json.dumps(described["application/json"]["example"])
    except (OSError, HTTPException, ValueError, KeyError):
        return ""


def how_to_call(address: str, request: str) -> str:
    """The server's address, and a curl command that works with its model."""
    json_type = "-H 'Content-Type: application/json'"
    call = f"{PREDICT} {json_type} -d {shlex.quote(request)}" if request else "/metadata"
    return f"\nServing on {address}. Try, in another terminal:\n\n    curl {address}{call}\n"


if __name__ == "__main__":
    main(*sys.argv[1:])
