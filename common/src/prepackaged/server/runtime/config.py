"""From the command line and the environment to one frozen Config; nothing else reads either.

Flags, variables and defaults are those of seldon-core 1.17.1's microservice.py: a variable
gives a flag's default, except that SELDON_LOG_LEVEL wins over its flag.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from prepackaged.server.runtime.annotations import read_limits_of_pod
from prepackaged.server.runtime.limits import (
    MAX_BATCH_BYTES,
    MAX_BATCH_ROWS,
    MAX_BODY,
    MAX_MESSAGE,
    read_limits,
)
from prepackaged.server.runtime.platforms import opens_early, read_platform
from prepackaged.server.runtime.settings import (
    choice,
    integer,
    number,
    read_parameters,
    switch,
)
from prepackaged.server.runtime.shutdown import GRACE_SECONDS, ShutdownTimes
from prepackaged.server.telemetry.access_log import LINES
from prepackaged.server.transport.sockets import ANY_HOST

SERVICE_TYPES = ("MODEL", "ROUTER", "TRANSFORMER", "COMBINER", "OUTLIER_DETECTOR")
LOG_LEVELS = {
    **{level: level for level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")},
    "WARN": "WARNING",
    "FATAL": "CRITICAL",
}
# The variables that give flags their defaults; the first that is set counts.
VARIABLES = {
    "parameters": ("PREDICTIVE_UNIT_PARAMETERS",),
    # Seldon's operator sets PREDICTIVE_UNIT_ID for its v1 protocol, and beside it MLServer's.
    "model-name": ("PREPACKAGED_MODEL_NAME", "MLSERVER_MODEL_NAME", "PREDICTIVE_UNIT_ID"),
    "host": ("PREPACKAGED_HOST",),
    # PrimeHub and older operators set PREDICTIVE_UNIT_SERVICE_PORT alone.
    # After Seldon's variables MLServer's, then those of Vertex AI and SageMaker. PORT is not
    # among them: Knative sets it to the port that a container declares, which may be gRPC's.
    "http-port": (
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT",
        "PREDICTIVE_UNIT_SERVICE_PORT",
        "MLSERVER_HTTP_PORT",
        "AIP_HTTP_PORT",
        "SAGEMAKER_BIND_TO_PORT",
    ),
    "grpc-port": ("PREDICTIVE_UNIT_GRPC_SERVICE_PORT", "MLSERVER_GRPC_PORT"),
    "metrics-port": ("PREDICTIVE_UNIT_METRICS_SERVICE_PORT", "MLSERVER_METRICS_PORT"),
    "metrics-endpoint": ("PREDICTIVE_UNIT_METRICS_ENDPOINT", "MLSERVER_METRICS_ENDPOINT"),
    "model-dir": ("MLSERVER_MODEL_URI", "AIP_STORAGE_URI"),
    "grpc-workers": ("GRPC_WORKERS",),
    "workers": ("GUNICORN_WORKERS",),
    "grace-seconds": ("PREPACKAGED_GRACE_SECONDS",),
    "keepalive": ("GUNICORN_KEEPALIVE",),
    "max-call-seconds": ("PREPACKAGED_MAX_CALL_SECONDS",),
    "max-connections": ("PREPACKAGED_MAX_CONNECTIONS",),
    "access-log": ("GUNICORN_ACCESS_LOG",),
    "tracing": ("TRACING",),
}
# OpenTelemetry's own variables that say where traces go.
TRACED_TO = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# Flags that upstream takes for its process model, which ours does not have: read and let go.
WITHOUT_EFFECT = (
    "--threads",
    "--max-requests",
    "--max-requests-jitter",
    "--single-threaded",
    "--pidfile",
    "--nthread",  # KServe's
)
MAX_CONNECTIONS = 10_000
MOST_PORT = 65_535
# Longer than proxies keep a connection, so that it is they who close it: Google's load balancer
# keeps one for 600 s.
KEEPALIVE_SECONDS = 620
CALL_SECONDS = 300  # the longest call that is not taken for one that hangs


@dataclass(frozen=True)
class Config:
    """What a server needs to know.

    `interface` names the class to serve: `Module`, whose class has the same name, or
    `package.module.Class`. `parameters` are its constructor's arguments. `model_name` and
    `model_version` are those under which protocols other than Seldon's serve the model. `model_dir`
    is where it is, unless the parameters say so. `predict_route` and `health_route` are paths of
    Vertex AI's choice, empty where it chose none. `host` is a name or an address to listen on.
    `timeout` (REST) and
    `grpc_timeout` are in seconds from a request's arrival to its answer, `keepalive` from an
    answer to the next request and `grace` from the signal to end to the last answer; a call of the
    model that takes longer than `longest_call` is taken for one that never ends.
    `max_message` (gRPC) and `max_body` (REST) are in bytes, `max_waiting` in requests that wait
    for the model, `max_wait` in seconds that one may expect to wait, where None leaves that to
    its deadline,
    `max_connections` are those of a worker's port. `request_memory` is in bytes of
    all requests that have no response yet; None is half of what is free when they begin.
    Without `batches` each request is a call of its own; `max_batch_rows` and `max_batch_bytes`
    bound those that share one. With `pages` people who open the server in a browser find a page to
    try the model. With `samples` the model has to answer those beside it before any port opens.
    With `provenance_tags` each answer says which model it is from. `cors` lets browsers of any
    origin call Seldon's routes.
    With `opens_early` the ports answer 503 while the model loads; without, they open when the
    model is loaded.
    `passes_payload` leaves predictions over REST undecoded, for models with `predict_raw`.
    `unit_id` is the server's name in an inference graph, and `image` that of its image.
    """

    interface: str
    parameters: Mapping[str, Any]
    model_name: str = "model"
    model_version: str = "1"
    model_dir: str | None = None
    predict_route: str = ""
    health_route: str = ""
    host: str = ANY_HOST
    http_port: int = 9000
    grpc_port: int = 5000
    metrics_port: int = 6000
    metrics_path: str = "/metrics"
    serves_grpc: bool = True
    log_level: str = "INFO"
    access_log: bool = False
    access_log_format: str = "text"
    tracing: bool = False
    passes_payload: bool = False
    runs_custom_service: bool = True
    workers: int = 1
    opens_early: bool = False
    timeout: float | None = None
    grpc_timeout: float | None = None
    grace: float = GRACE_SECONDS
    keepalive: float = KEEPALIVE_SECONDS
    longest_call: float = CALL_SECONDS
    max_message: int | None = MAX_MESSAGE
    max_body: int = MAX_BODY
    request_memory: int | None = None
    max_waiting: int = 1000
    max_wait: float | None = None
    batches: bool = True
    max_batch_rows: int = MAX_BATCH_ROWS
    max_batch_bytes: int = MAX_BATCH_BYTES
    cors: bool = True
    pages: bool = True
    samples: bool = True
    provenance_tags: bool = False
    max_connections: int = MAX_CONNECTIONS
    unit_id: str | None = None
    image: str = ""

    @property
    def shutdown(self) -> ShutdownTimes:
        """The times within which the process ends."""
        return ShutdownTimes(self.grace)


def read_config(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    annotations: Mapping[str, str] = MappingProxyType({}),
) -> Config:
    """The Config of a command line. Raises `DeploymentError` for what it cannot mean.

    A variable that is empty is one that is not set.
    """
    variables = {name: text for name, text in environment.items() if text.strip()}
    flags = _parser(variables).parse_args(list(map(_hyphenated, arguments)))
    level = variables.get("SELDON_LOG_LEVEL", flags.log_level).strip().upper()
    return Config(
        interface=flags.interface_name,
        parameters=read_parameters(flags.parameters),
        model_name=flags.model_name.strip(),
        model_version=variables.get("MLSERVER_MODEL_VERSION", "1").strip(),
        host=flags.host,
        http_port=_port(flags, "http-port"),
        grpc_port=_port(flags, "grpc-port"),
        metrics_port=_port(flags, "metrics-port"),
        metrics_path="/" + _first(variables, "metrics-endpoint", "metrics").lstrip("/"),
        serves_grpc=_integer(flags, "grpc-workers", 0) > 0,
        log_level=choice(level, "--log-level or SELDON_LOG_LEVEL", LOG_LEVELS),
        access_log=switch(flags.access_log, _name("access-log")),
        access_log_format=_access_log_format(variables),
        tracing=_traces(flags, variables),
        passes_payload=_switch(variables, "PAYLOAD_PASSTHROUGH"),
        workers=_integer(flags, "workers", 1),
        opens_early=_switch(variables, "PREPACKAGED_OPEN_EARLY", opens_early(variables)),
        grace=_seconds(flags, "grace-seconds"),
        keepalive=_seconds(flags, "keepalive"),
        longest_call=_seconds(flags, "max-call-seconds") or math.inf,
        max_connections=_integer(flags, "max-connections", 1),
        unit_id=variables.get("PREDICTIVE_UNIT_ID"),
        image=variables.get("PREDICTIVE_UNIT_IMAGE", ""),
        **(
            read_platform(variables, flags.model_dir or None)
            | read_limits(variables)
            | read_limits_of_pod(annotations)
        ),
    )


def _hyphenated(argument: str) -> str:
    """A flag such as `--model_name=iris`, as KServe spells it, with hyphens."""
    flag, equals, value = argument.partition("=")
    return f"{flag.replace('_', '-')}{equals}{value}" if flag.startswith("--") else argument


def _name(flag: str) -> str:
    """A flag and its variables, for messages."""
    return " or ".join((f"--{flag}", *VARIABLES[flag]))


def _first(variables: Mapping[str, str], setting: str, default: Any) -> Any:
    """What the first of a setting's variables says that is set."""
    return next((variables[name] for name in VARIABLES[setting] if name in variables), default)


def _text(flags: argparse.Namespace, flag: str) -> Any:
    return getattr(flags, flag.replace("-", "_"))


def _port(flags: argparse.Namespace, flag: str) -> int:
    return integer(_text(flags, flag), _name(flag), 0, MOST_PORT)


def _integer(flags: argparse.Namespace, flag: str, least: int) -> int:
    return integer(_text(flags, flag), _name(flag), least)


def _seconds(flags: argparse.Namespace, flag: str) -> float:
    return number(_text(flags, flag), _name(flag), "seconds")


def _switch(variables: Mapping[str, str], name: str, default: str = "false") -> bool:
    return switch(variables.get(name, default), name)


def _traces(flags: argparse.Namespace, variables: Mapping[str, str]) -> bool:
    asked = switch(flags.tracing, _name("tracing"))
    return asked or any(name in variables for name in TRACED_TO)


def _access_log_format(variables: Mapping[str, str]) -> str:
    name = "PREPACKAGED_ACCESS_LOG_FORMAT"
    form = variables.get(name, "text")
    choice(form, name, LINES)
    return form


def _parser(variables: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="prepackaged-microservice")
    parser.add_argument("interface_name", help="the class to serve, such as Model")
    parser.add_argument("--service-type", choices=SERVICE_TYPES, default="MODEL")
    parser.add_argument("--persistence", nargs="?", default=0, const=1, help="without effect")
    parser.add_argument("--log-level", default="INFO", help=", ".join(LOG_LEVELS))

    def add(flag: str, default: object, what: str, **more: Any) -> None:
        parser.add_argument(
            f"--{flag}", default=_first(variables, flag, default), help=what, **more
        )

    add("parameters", "[]", "the class's, as a JSON list")
    add("model-dir", "", "where the model is, unless the parameter model_uri says so")
    add("model-name", "model", "of the model, in the paths of protocols that name it")
    add("host", ANY_HOST, "the address to listen on")
    for port, default in (("http", 9000), ("grpc", 5000), ("metrics", 6000)):
        add(f"{port}-port", default, f"default: {default}")
    add("grpc-workers", 1, "0: no gRPC")
    add("workers", 1, "processes")
    add("grace-seconds", GRACE_SECONDS, "for answers at the end")
    add("keepalive", KEEPALIVE_SECONDS, "seconds for another request")
    add("max-call-seconds", CALL_SECONDS, "for a call of the model; 0: no bound")
    add("max-connections", MAX_CONNECTIONS, "of REST, a worker")
    add("access-log", "false", "log a line for every request", nargs="?", const="true")
    add("tracing", "0", "1: make spans", nargs="?", const="1")
    for flag in ("--grpc-threads", *WITHOUT_EFFECT):
        parser.add_argument(flag, help="without effect")
    return parser
