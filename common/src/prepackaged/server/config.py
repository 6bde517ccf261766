"""From the command line and the environment to one frozen Config; nothing else reads either.

Flags, variables and defaults are those of seldon-core 1.17.1's microservice.py: a variable
gives a flag's default, except that SELDON_LOG_LEVEL wins over its flag.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prepackaged.errors import DeploymentError

SERVICE_TYPES = ("MODEL", "ROUTER", "TRANSFORMER", "COMBINER", "OUTLIER_DETECTOR")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# distutils' strtobool, which upstream applies to BOOL parameters.
BOOLEANS = dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True) | dict.fromkeys(
    ("n", "no", "f", "false", "off", "0"), False
)
ANNOTATIONS = Path("/etc/podinfo/annotations")
# Flags that upstream takes for its process model, which ours does not have: read and let go.
WITHOUT_EFFECT = ("--threads", "--max-requests", "--max-requests-jitter", "--single-threaded")


@dataclass(frozen=True)
class Config:
    """What a server needs to know.

    `interface` names the class to serve: `Module`, whose class has the same name, or
    `package.module.Class`. `parameters` are its constructor's arguments. `timeout` is in
    seconds from a request's arrival to its answer, `max_message` (gRPC) and `max_body` (REST)
    are in bytes, `max_waiting` in requests that wait for the model. With `opens_early` the port
    answers 503 while the model loads; without, it opens when the model is loaded.
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
    workers: int = 1
    opens_early: bool = False
    timeout: float | None = None
    max_message: int | None = None
    max_body: int = 256 * 1024 * 1024
    max_waiting: int = 1000


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
        workers=_integer(flags.workers, "--workers"),
        opens_early=_is_true(environment.get("PREPACKAGED_OPEN_EARLY", "")),
        timeout=_number(annotations, "seldon.io/rest-timeout", unit=0.001),
        max_message=_bytes(annotations, "seldon.io/grpc-max-message-size"),
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
            f" type is STRING, INT, FLOAT, DOUBLE or BOOL; came {text} ({error})"
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
        message = f"the annotation {key} must be a number; came {annotations[key]!r}"
        raise DeploymentError(message) from error


def _bytes(annotations: Mapping[str, str], key: str) -> int | None:
    number = _number(annotations, key, unit=1)
    return None if number is None else int(number)


def _is_true(text: str) -> bool:
    return BOOLEANS.get(text.lower(), False)


def _integer(text: str | int, flag: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise DeploymentError(f"{flag} must be a whole number; came {text!r}") from error


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
    parser.add_argument("--grpc-threads", help="without effect")
    parser.add_argument(
        "--access-log",
        nargs="?",
        type=_is_true,
        default=_is_true(get("GUNICORN_ACCESS_LOG", "")),
        const=True,
        help="log a line for every request",
    )
    for flag in WITHOUT_EFFECT:
        parser.add_argument(flag, help="without effect")
    return parser


def _add_port(parser: argparse.ArgumentParser, name: str, default: str) -> None:
    parser.add_argument(f"--{name}-port", default=default, help="default: %(default)s")
