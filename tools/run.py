"""Serve a model with an image's Model.py, in the environment made from the target's lock.

    python3 tools/run.py TARGET [--model-uri URI] [--http-port N] [--grpc-port N] [--metrics-port N]

Without a model, the image's example is trained, saved below build/examples and served.
The environment variable MICROSERVICE names another microservice, as it does in the images.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import images
import uv
from environment import PYTHON

ROOT = images.ROOT


def main() -> None:
    """Start the server, say how to call it once it answers, and wait for its end."""
    options = read_command_line()
    model_uri = options.model_uri or example_model(options.target)
    environment = server_environment(options, model_uri)
    microservice = os.environ.get("MICROSERVICE", "prepackaged-microservice")
    command = [str(bin_of(options.target) / microservice), "Model", "--service-type", "MODEL"]
    server = subprocess.Popen(
        [*command, "--access-log"], cwd=ROOT / images.find(options.target).sources, env=environment
    )
    try:
        if is_answering(server, options.http_port):
            print(how_to_call(options, is_example=not options.model_uri), flush=True)
        sys.exit(server.wait())
    except KeyboardInterrupt:
        sys.exit(server.wait())


def read_command_line() -> argparse.Namespace:
    """The target, the model and the ports."""
    parser = argparse.ArgumentParser(description="Serve a model.")
    parser.add_argument("target")
    parser.add_argument("--model-uri", default="", help="a directory; without it, the example")
    parser.add_argument("--http-port", type=int, default=9000)
    parser.add_argument("--grpc-port", type=int, default=5000)
    parser.add_argument("--metrics-port", type=int, default=6000)
    return parser.parse_args()


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
        return [uv.find(), "run", "--quiet", "--python", PYTHON, "--script", script]
    return [python, script]


def server_environment(options: argparse.Namespace, model_uri: str) -> dict[str, str]:
    """The environment variables that a Seldon deployment would set."""
    # A relative path is meant from where make was called, not from the server's directory.
    is_local = bool(model_uri) and "://" not in model_uri
    uri = str(Path(model_uri).absolute()) if is_local else model_uri
    parameter = {"name": "model_uri", "value": uri, "type": "STRING"}
    return os.environ | {
        "PREDICTIVE_UNIT_PARAMETERS": json.dumps([parameter] if uri else []),
        "PREDICTIVE_UNIT_IMAGE": images.find(options.target).tags()[0],
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(options.http_port),
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(options.grpc_port),
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(options.metrics_port),
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
        call = f"{server}/api/v1.0/predictions -H 'Content-Type: application/json' -d '{request}'"
    else:
        call = f"{server}/metadata"
    return f"\nServing on {server}. Try, in another terminal:\n\n    curl {call}\n"


if __name__ == "__main__":
    try:
        main()
    except images.ImagesError as error:
        sys.exit(str(error))
