"""From the command line and the environment to one frozen Config; nothing else reads either.

Flags, variables and defaults are those of seldon-core 1.17.1's microservice.py: a variable
gives a flag's default, except that SELDON_LOG_LEVEL wins over its flag.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prepackaged.errors import DeploymentError
from prepackaged.server.runtime.limits import (
    MAX_BATCH_BYTES,
    MAX_BATCH_ROWS,
    MAX_BODY,
    MAX_MESSAGE,
    read_limits,
)
from prepackaged.server.runtime.shutdown import GRACE_SECONDS, ShutdownTimes
from prepackaged.server.telemetry.access_log import LINES

SERVICE_TYPES = ("MODEL", "ROUTER", "TRANSFORMER", "COMBINER", "OUTLIER_DETECTOR")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# distutils' strtobool, which upstream applies to BOOL parameters.
BOOLEANS = dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True) | dict.fromkeys(
    ("n", "no", "f", "false", "off", "0"), False
)
ACCESS_LOG_FORMAT = "PREPACKAGED_ACCESS_LOG_FORMAT"
# OpenTelemetry's own variables that say where traces go.
TRACED_TO = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
ANNOTATIONS = Path("/etc/podinfo/annotations")
# Flags that upstream takes for its process model, which ours does not have: read and let go.
WITHOUT_EFFECT = (
    "--threads",
    "--max-requests",
    "--max-requests-jitter",
    "--single-threaded",
    "--pidfile",
)
MAX_CONNECTIONS = 10_000
KEEPALIVE_SECONDS = 120  # longer than proxies keep a connection, so that it is they who close it


@dataclass(frozen=True)
class Config:
    """What a server needs to know.

    `interface` names the class to serve: `Module`, whose class has the same name, or
    `package.module.Class`. `parameters` are its constructor's arguments. `timeout` (REST) and
    `grpc_timeout` are in seconds from a request's arrival to its answer, `keepalive` from an
    answer to the next request and `grace` from the signal to end to the last answer.
    `max_message` (gRPC) and `max_body` (REST) are in bytes, `max_waiting` in requests that wait
    for the model, `max_connections` are those of a worker's port. `request_memory` is in bytes of
    all requests that have no response yet; None is half of what is free when they begin.
    Without `batches` each request is a call of its own; `max_batch_rows` and `max_batch_bytes`
    bound those that share one. `cors` lets browsers of any origin call Seldon's routes.
    With `opens_early` the ports answer 503 while the model loads; without, they open when the
    model is loaded.
    `passes_payload` leaves predictions over REST undecoded, for models with `predict_raw`.
    `unit_id` is the server's name in an inference graph, and `image` that of its image.
    """

    interface: str
    parameters: Mapping[str, Any]
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
    max_message: int = MAX_MESSAGE
    max_body: int = MAX_BODY
    request_memory: int | None = None
    max_waiting: int = 1000
    batches: bool = True
    max_batch_rows: int = MAX_BATCH_ROWS
    max_batch_bytes: int = MAX_BATCH_BYTES
    cors: bool = True
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
    """The Config of a command line. Raises `DeploymentError` for what it cannot mean."""
    flags = _parser(environment).parse_args(arguments)
    log_level = environment.get("SELDON_LOG_LEVEL", flags.log_level).upper()
    if log_level not in LOG_LEVELS:
        raise DeploymentError(f"the log level is one of {', '.join(LOG_LEVELS)}; not {log_level!r}")
    return Config(
        interface=flags.interface_name,
        parameters=read_parameters(flags.parameters),
        http_port=_integer(flags.http_port, "--http-port"),
        grpc_port=_integer(flags.grpc_port, "--grpc-port"),
        metrics_port=_integer(flags.metrics_port, "--metrics-port"),
        metrics_path=environment.get("PREDICTIVE_UNIT_METRICS_ENDPOINT", "/metrics"),
        serves_grpc=_integer(flags.grpc_workers, "--grpc-workers") > 0,
        log_level=log_level,
        access_log=flags.access_log,
        access_log_format=_line(environment.get(ACCESS_LOG_FORMAT, "text")),
        tracing=_integer(flags.tracing, "--tracing") > 0 or any(map(environment.get, TRACED_TO)),
        passes_payload=_is_true(environment.get("PAYLOAD_PASSTHROUGH", "")),
        workers=_integer(flags.workers, "--workers"),
        opens_early=_is_true(environment.get("PREPACKAGED_OPEN_EARLY", "")),
        timeout=_number(annotations, "seldon.io/rest-timeout", unit=0.001),
        grpc_timeout=_number(annotations, "seldon.io/grpc-timeout", unit=0.001),
        grace=_seconds(flags.grace_seconds, "--grace-seconds"),
        keepalive=_seconds(flags.keepalive, "--keepalive"),
        max_connections=_integer(flags.max_connections, "--max-connections"),
        unit_id=environment.get("PREDICTIVE_UNIT_ID"),
        image=environment.get("PREDICTIVE_UNIT_IMAGE", ""),
        **(read_limits(environment) | _bytes(annotations, "seldon.io/grpc-max-message-size")),
    )


def read_annotations(file: Path = ANNOTATIONS) -> dict[str, str]:
    """The pod's annotations, lines of `key="value"` that Kubernetes writes into a file."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {key.strip(): value.strip().strip('"') for key, equals, value in pairs if equals}


def read_parameters(text: str) -> dict[str, Any]:
    """The constructor's arguments in a JSON list of `{"name", "value", "type"}`."""
    try:
        return {each["name"]: _typed(each["value"], each["type"]) for each in json.loads(text)}
    except (ValueError, TypeError, KeyError) as error:
        raise DeploymentError(
            "the parameters must be a JSON list of objects with name, value and type, where"
            f" type is STRING, INT, FLOAT, DOUBLE or BOOL, got {text} ({error})"
        ) from error


def _typed(value: Any, kind: str) -> Any:
    if kind == "BOOL":
        return BOOLEANS[str(value).lower()]
    return {"STRING": str, "INT": int, "FLOAT": float, "DOUBLE": float}[kind](value)


def _number(annotations: Mapping[str, str], key: str, unit: float) -> float | None:
    if key not in annotations:
        return None
    try:
        return float(annotations[key]) * unit
    except ValueError as error:
        message = f"the annotation {key} must be a number, got {annotations[key]!r}"
        raise DeploymentError(message) from error


def _bytes(annotations: Mapping[str, str], key: str) -> dict[str, int]:
    number = _number(annotations, key, unit=1)
    return {} if number is None else {"max_message": int(number)}


def _line(form: str) -> str:
    if form not in LINES:
        message = f"{ACCESS_LOG_FORMAT} is {' or '.join(LINES)}; not {form!r}"
        raise DeploymentError(message)
    return form


def _is_true(text: str) -> bool:
    return BOOLEANS.get(text.lower(), False)


def _integer(text: str | int, flag: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise DeploymentError(f"{flag} must be a whole number, got {text!r}") from error


def _seconds(text: str | float, flag: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise DeploymentError(f"{flag} must be a number of seconds, got {text!r}")
    return seconds


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    get = environment.get
    parser = argparse.ArgumentParser(prog="prepackaged-microservice")
    parser.add_argument("interface_name", help="the class to serve, such as Model")
    parser.add_argument("--service-type", choices=SERVICE_TYPES, default="MODEL")
    parser.add_argument("--persistence", nargs="?", default=0, const=1, help="without effect")
    parser.add_argument("--parameters", default=get("PREDICTIVE_UNIT_PARAMETERS", "[]"))
    parser.add_argument("--log-level", default="INFO", help=", ".join(LOG_LEVELS))
    # PrimeHub and older operators set PREDICTIVE_UNIT_SERVICE_PORT alone.
    http_port = get("PREDICTIVE_UNIT_SERVICE_PORT", "9000")
    _add_port(parser, "http", get("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", http_port))
    _add_port(parser, "grpc", get("PREDICTIVE_UNIT_GRPC_SERVICE_PORT", "5000"))
    _add_port(parser, "metrics", get("PREDICTIVE_UNIT_METRICS_SERVICE_PORT", "6000"))
    parser.add_argument("--grpc-workers", default=get("GRPC_WORKERS", "1"), help="0: no gRPC")
    parser.add_argument("--workers", default=get("GUNICORN_WORKERS", "1"), help="processes")
    _add_bounds(parser, environment)
    parser.add_argument("--grpc-threads", help="without effect")
    parser.add_argument(
        "--access-log",
        nargs="?",
        type=_is_true,
        default=_is_true(get("GUNICORN_ACCESS_LOG", "")),
        const=True,
        help="log a line for every request",
    )
    tracing = get("TRACING", "0")
    parser.add_argument("--tracing", nargs="?", default=tracing, const="1", help="1: make spans")
    for flag in WITHOUT_EFFECT:
        parser.add_argument(flag, help="without effect")
    return parser


def _add_bounds(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    for flag, variable, default, what in (
        ("grace-seconds", "PREPACKAGED_GRACE_SECONDS", GRACE_SECONDS, "for answers at the end"),
        ("keepalive", "GUNICORN_KEEPALIVE", KEEPALIVE_SECONDS, "seconds for another request"),
        ("max-connections", "PREPACKAGED_MAX_CONNECTIONS", MAX_CONNECTIONS, "of REST, a worker"),
    ):
        parser.add_argument(
            f"--{flag}", default=environment.get(variable, default), help=f"{what}: %(default)s"
        )


def _add_port(parser: argparse.ArgumentParser, name: str, default: str) -> None:
    parser.add_argument(f"--{name}-port", default=default, help="default: %(default)s")
