"""Serve a model with an image's Model.py, in the environment made from the target's lock.

    python3 tools/run.py TARGET [--model-uri URI] [--parameters WORDS] [--host HOST]
        [--http-port N] [--grpc-port N] [--metrics-port N]

Without a model, the image's example is trained, saved below build/examples and served.
WORDS are parameters of the Model, such as `method=predict`; they win over those that an exported
PREDICTIVE_UNIT_PARAMETERS has. MICROSERVICE names another microservice, as it does in the images.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import images
import uv
from environment import PYTHON

ROOT = images.ROOT
PREDICT = "/api/v1.0/predictions"
FOR_EXAMPLE = "this model takes, for example, "  # prepackaged's words in an error
TYPES = {
    "BOOL": "(?i:true|false)",
    "INT": r"-?(0|[1-9]\d*)",
    "DOUBLE": r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?",
}


def main() -> None:
    """Start the server, say how to call it once it answers, and wait for its end."""
    options = read_command_line()
    parameters = given_parameters(options, os.environ.get("PREDICTIVE_UNIT_PARAMETERS", ""))
    is_example = "model_uri" not in parameters
    if is_example and (model := example_model(options.target)):
        parameters["model_uri"] = parameter("model_uri", model)
    microservice = os.environ.get("MICROSERVICE", "prepackaged-microservice")
    command = [str(bin_of(options.target) / microservice), "Model", "--service-type", "MODEL"]
    server = subprocess.Popen(
        [*command, "--access-log"],
        cwd=ROOT / images.find(options.target).sources,
        env=server_environment(options, list(parameters.values())),
    )
    try:
        if is_answering(server, options.http_port):
            print(how_to_call(options, is_example=is_example), flush=True)
        sys.exit(server.wait())
    except KeyboardInterrupt:
        sys.exit(server.wait())


def read_command_line() -> argparse.Namespace:
    """The target, the model, its parameters and where it listens."""
    parser = argparse.ArgumentParser(description="Serve a model.")
    parser.add_argument("target")
    parser.add_argument("--model-uri", default="", help="a directory; without it, the example")
    parser.add_argument("--parameters", default="", help='more of them: "name=value name=value"')
    parser.add_argument("--host", default="localhost", help=":: for every address")
    parser.add_argument("--http-port", type=int, default=9000)
    parser.add_argument("--grpc-port", type=int, default=5000)
    parser.add_argument("--metrics-port", type=int, default=6000)
    return parser.parse_args()


def given_parameters(options: argparse.Namespace, exported: str) -> dict[str, Any]:
    """The Model's parameters by name: those exported as JSON, overlaid by the command line's."""
    try:
        found = {each["name"]: each for each in json.loads(exported or "[]")}
    except (ValueError, TypeError, KeyError):
        sys.exit("PREDICTIVE_UNIT_PARAMETERS: expected a JSON list of objects with a name")
    if options.model_uri:
        found["model_uri"] = parameter("model_uri", local(options.model_uri))
    for word in shlex.split(options.parameters):
        name, _, value = word.partition("=")
        if not (name and value):
            sys.exit(f"PARAMETERS: expected name=value, got {word!r}")
        found[name] = parameter(name, local(value) if name == "model_uri" else value)
    return found


def parameter(name: str, value: str) -> dict[str, str]:
    """A parameter in Seldon's form, with the type that its value looks like."""
    kinds = (kind for kind, form in TYPES.items() if re.fullmatch(form, value))
    return {"name": name, "value": value, "type": next(kinds, "STRING")}


def local(model_uri: str) -> str:
    """A relative path from where make was called, not from the server's directory."""
    return model_uri if "://" in model_uri else str(Path(model_uri).absolute())


def bin_of(target: str) -> Path:
    """Where the programs of the target's environment are."""
    return ROOT / ".envs" / target / "bin"


def example_model(target: str) -> str:
    """The directory of the target's example model, trained now if it is not there yet.

    Empty for an image whose example needs no model.
    """
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
    """The request that is documented for the example."""
    return ROOT / images.find(target).image.name / "example/request.json"


def training(script: Path, python: str | Path) -> list[str | Path]:
    """The start of the command that runs a script with this Python.

    Where the script says itself what it needs (PEP 723), it runs in an environment made of that.
    """
    if "# /// script\n" in script.read_text():
        return [uv.find(), "run", *uv.quietly(), "--python", PYTHON, "--script", script]
    return [python, script]


def server_environment(options: argparse.Namespace, parameters: list[Any]) -> dict[str, str]:
    """The environment variables that a Seldon deployment would set."""
    return os.environ | {
        "PREDICTIVE_UNIT_PARAMETERS": json.dumps(parameters),
        "PREDICTIVE_UNIT_IMAGE": images.find(options.target).tags()[0],
        "PREPACKAGED_TAGS": images.find(options.target).known_tags(),
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(options.http_port),
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(options.grpc_port),
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(options.metrics_port),
        "PREPACKAGED_HOST": options.host,
    }


def is_answering(server: "subprocess.Popen[bytes]", port: int) -> bool:
    """Wait for the server's first answer; False when it ends before that."""
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/health/ping", timeout=5):
                return True
        except (OSError, urllib.error.URLError):
            time.sleep(0.2)
    return False


def how_to_call(options: argparse.Namespace, *, is_example: bool) -> str:
    """The server's address and a curl line that works with the model it serves."""
    server = f"http://localhost:{options.http_port}"
    if is_example:
        request = request_file(options.target).read_text().strip()
    else:
        request = request_from(server)
    call = f"{server}/metadata"
    if request:
        json_type = "-H 'Content-Type: application/json'"
        call = f"{server}{PREDICT} {json_type} -d {shlex.quote(request)}"
    return f"\nServing on {server}. Try, in another terminal:\n\n    curl {call}\n"


def request_from(server: str) -> str:
    """A request that the model takes, as the server answers one that says nothing; else empty."""
    headers = {"Content-Type": "application/json"}
    try:
        asked = urllib.request.Request(server + PREDICT, b"{}", headers)
        urllib.request.urlopen(asked, timeout=60).close()
    except urllib.error.HTTPError as error:
        with error:
            found = re.search(f"{FOR_EXAMPLE}(.*)", json_text(error.read()))
            return found[1] if found else ""
    except OSError:  # it has ended
        return ""
    return ""


def json_text(body: bytes) -> str:
    """What an error of Seldon's says; empty where it is another's."""
    try:
        return str(json.loads(body)["status"]["info"])
    except (ValueError, TypeError, KeyError):
        return ""


if __name__ == "__main__":
    try:
        main()
    except images.ImagesError as error:
        sys.exit(str(error))
