"""What a server imports before it serves: each package takes time and memory of every start."""

from collections.abc import Callable
from typing import Any

import requests
from serving import Server

Start = Callable[..., Any]
LATER = {"click", "flask", "grpc", "jinja2", "jsonschema", "pandas", "referencing", "werkzeug"}


def modules_of(server: Server, **request: Any) -> set[str]:
    """The names of the top-level modules of a server, after a request with these arguments."""
    address = f"{server.url}/api/v1.0/predictions"
    answer = requests.post(address, timeout=60, **request)
    return set(answer.json()["jsonData"]["modules"])


def test_a_server_imports_no_flask_and_no_jsonschema(start_process: Start) -> None:
    """A server has loaded a model, described it and answered without Flask and jsonschema."""
    server = start_process("Imported", under=["env"]).server

    assert requests.get(f"{server.url}/metadata", timeout=60).json()["name"] == ""
    modules = modules_of(server, json={"data": {"ndarray": [[1.0]]}})
    assert {"numpy", "prepackaged", "seldon_core", "uvloop"} <= modules
    assert modules & LATER == set()


def test_the_first_form_imports_werkzeug_and_is_answered(start_process: Start) -> None:
    """A request in a form is read by Werkzeug, which is imported for it."""
    server = start_process("Imported", under=["env"]).server

    modules = modules_of(server, data={"json": '{"data": {"ndarray": [[1.0]]}}'})
    assert modules & LATER == {"werkzeug"}
