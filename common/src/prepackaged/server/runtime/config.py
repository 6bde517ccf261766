"""Read the command line and the environment into a frozen Config; no other module reads them.

Flags, variables and defaults are those of seldon-core 1.17.1's microservice.py: a variable sets the
default of a flag, except that SELDON_LOG_LEVEL overrides its flag.
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
from prepackaged.server.runtime.options import (
    CALL_SECONDS,
    KEEPALIVE_SECONDS,
    MAX_CONNECTIONS,
    METRICS_PATH,
    SETTINGS,
    TRACED_TO,
    WITHOUT_EFFECT,
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
# The variables that set the defaults of flags; the first one that is set counts.
VARIABLES = {setting.flag: setting.variables for setting in SETTINGS if setting.flag}
MOST_PORT = 65_535


@dataclass(frozen=True)
class Config:
    """The settings of a server; `options` explains each.

    `interface` names the class to serve: `Module` for the class of the same name, or
    `package.module.Class`. `parameters` are the arguments of its constructor. Protocols other than
    Seldon's use `model_name` and `model_version`. `model_dir` is the model's directory unless the
    parameters name one. `predict_route` and `health_route` are Vertex AI's paths, or empty. `host`
    is a name or an address.

    In seconds: `timeout` (REST) and `grpc_timeout` from a request to its response, None for no
    limit; `keepalive` from a response to the next request; `grace` from the signal to the last
    response; `longest_call`, after which a call to the model is considered to hang; `max_wait`, the
    longest expected wait for the model with which a request is accepted, None to use the request's
    deadline instead.

    In bytes: `max_message` (gRPC), `max_body` (REST), `max_batch_bytes`, and `request_memory` for
    all unanswered requests, None for half of the free memory. Counts: `max_waiting` requests that
    wait for the model, `max_batch_rows`, and `max_connections` per port of a worker.

    `batches` allows batching, `pages` the page to try the model, and `cors` calls from browser
    pages of any origin. With `samples`, the model must answer the samples beside it before a port
    opens. With `repository_api`, clients may load and unload the model. `poll` is the interval in
    seconds between checks whether its files have changed, 0 for no checks; with `unload_first`, a
    reload unloads the old model first if memory is short. With `drift`, metrics count values that
    did not occur in training. With `provenance_tags`, each response names its model. With
    `opens_early`, the ports open at once and answer 503 until the model is loaded. `passes_payload`
    leaves predictions over REST undecoded, for models with `predict_raw`. `unit_id` is the server's
    name in an inference graph, `image` the name of its image.
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
    drift: bool = True
    provenance_tags: bool = False
    repository_api: bool = False
    poll: float = 0
    unload_first: bool = False
    max_connections: int = MAX_CONNECTIONS
    unit_id: str | None = None
    image: str = ""

    @property
    def shutdown(self) -> ShutdownTimes:
        """The deadlines of a shutdown."""
        return ShutdownTimes(self.grace)


def read_config(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    annotations: Mapping[str, str] = MappingProxyType({}),
) -> Config:
    """Read the settings into a Config. Raises `DeploymentError` for a wrong value.

    An empty variable counts as unset.
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
        metrics_path="/" + _first(variables, METRICS_PATH, "metrics").lstrip("/"),
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
    """Replace underscores in the name of a flag by hyphens: KServe writes `--model_name=iris`."""
    flag, equals, value = argument.partition("=")
    return f"{flag.replace('_', '-')}{equals}{value}" if flag.startswith("--") else argument


def _name(flag: str) -> str:
    """A flag and its variables, for error messages."""
    return " or ".join((f"--{flag}", *VARIABLES[flag]))


def _first(variables: Mapping[str, str], names: Sequence[str], default: Any) -> Any:
    """The value of the first variable that is set, else the default."""
    return next((variables[name] for name in names if name in variables), default)


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
    parser.add_argument("--service-type", choices=SERVICE_TYPES, help="without effect")
    parser.add_argument("--persistence", nargs="?", help="without effect")
    for setting in filter(lambda each: each.flag, SETTINGS):
        parser.add_argument(
            f"--{setting.flag}",
            default=_first(variables, setting.variables, setting.default),
            help=f"{setting.meaning}; default: {setting.otherwise or setting.default}",
            nargs="?" if setting.bare else None,
            const=setting.bare,
        )
    for flag in WITHOUT_EFFECT:
        parser.add_argument(f"--{flag}", help="without effect")
    return parser
