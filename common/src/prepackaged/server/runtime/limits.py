"""Settings from the environment: limits for clients, batching, pages and reloads."""

from collections.abc import Callable, Mapping
from typing import Any

from prepackaged.server.runtime.annotations import MAX_MESSAGE as MAX_MESSAGE_ANNOTATION
from prepackaged.server.runtime.settings import Setting, integer, number, switch

MEGABYTE = 2**20
MAX_BODY = 256 * MEGABYTE
MAX_MESSAGE = 64 * MEGABYTE
MAX_BATCH_ROWS = 8192
MAX_BATCH_BYTES = 64 * MEGABYTE


def read_limits(environment: Mapping[str, str]) -> dict[str, Any]:
    """The Config fields that the environment sets. Raises `DeploymentError` for a wrong value."""
    fields = {}
    for variable, (field, read) in VARIABLES.items():
        if variable in environment:
            fields[field] = read(variable, environment[variable])
    return fields


def _count(variable: str, text: str) -> int:
    return integer(text, variable, 1)


def _seconds(variable: str, text: str) -> float:
    return number(text, variable, "seconds")


def _switch(variable: str, text: str) -> bool:
    return switch(text, variable)


VARIABLES: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "PREPACKAGED_MAX_BODY_BYTES": ("max_body", _count),
    "PREPACKAGED_MAX_MESSAGE_BYTES": ("max_message", _count),
    "PREPACKAGED_REQUEST_MEMORY_BYTES": ("request_memory", _count),
    "PREPACKAGED_MAX_WAITING": ("max_waiting", _count),
    "PREPACKAGED_MAX_WAIT_SECONDS": ("max_wait", _seconds),
    "PREPACKAGED_BATCHING": ("batches", _switch),
    "PREPACKAGED_MAX_BATCH_ROWS": ("max_batch_rows", _count),
    "PREPACKAGED_MAX_BATCH_BYTES": ("max_batch_bytes", _count),
    "PREPACKAGED_CORS": ("cors", _switch),
    "PREPACKAGED_PAGES": ("pages", _switch),
    "PREPACKAGED_POLL_SECONDS": ("poll", _seconds),
    "PREPACKAGED_PROVENANCE_TAGS": ("provenance_tags", _switch),
    "PREPACKAGED_REPOSITORY_API": ("repository_api", _switch),
    "PREPACKAGED_SAMPLES": ("samples", _switch),
    "PREPACKAGED_DRIFT": ("drift", _switch),
    "PREPACKAGED_UNLOAD_FIRST": ("unload_first", _switch),
}
LIMITS = (
    Setting(
        "maximum size of a REST request body, in bytes",
        variables=("PREPACKAGED_MAX_BODY_BYTES",),
        default=MAX_BODY,
        example="1048576",
    ),
    Setting(
        "maximum size of a gRPC message, in bytes; the annotation overrides the variables",
        variables=("PREPACKAGED_MAX_MESSAGE_BYTES", "MLSERVER_GRPC_MAX_MESSAGE_LENGTH"),
        annotation=MAX_MESSAGE_ANNOTATION,
        default=MAX_MESSAGE,
        example="1048576",
    ),
    Setting(
        "maximum memory of all unanswered requests together, in bytes, for each process",
        variables=("PREPACKAGED_REQUEST_MEMORY_BYTES",),
        otherwise="half of the memory that is free when the model is loaded",
        example="536870912",
    ),
    Setting(
        "maximum number of requests that wait for the model",
        variables=("PREPACKAGED_MAX_WAITING",),
        default=1000,
        example="100",
    ),
    Setting(
        "refuse a request if its expected wait for the model is longer, in seconds",
        variables=("PREPACKAGED_MAX_WAIT_SECONDS",),
        otherwise="until the client's deadline; 30 if it has none, 1 in a lasting overload",
        example="1",
    ),
)
RELOADING = (
    Setting(
        "seconds between checks for changed model files, which cause a reload; 0: never",
        variables=("PREPACKAGED_POLL_SECONDS",),
        default="0",
        example="10",
    ),
    Setting(
        "true: clients may reload and unload the model with V2's repository API",
        variables=("PREPACKAGED_REPOSITORY_API",),
        default="false",
        example="true",
    ),
    Setting(
        "true: unload the old model before a reload if there is no memory for both",
        variables=("PREPACKAGED_UNLOAD_FIRST",),
        default="false",
        example="true",
    ),
)
BATCHING = (
    Setting(
        "false: requests never share a call to the model",
        variables=("PREPACKAGED_BATCHING",),
        default="true",
        example="false",
    ),
    Setting(
        "maximum number of rows of requests that share a call to the model",
        variables=("PREPACKAGED_MAX_BATCH_ROWS",),
        default=MAX_BATCH_ROWS,
        example="256",
    ),
    Setting(
        "maximum size of requests that share a call to the model, in bytes",
        variables=("PREPACKAGED_MAX_BATCH_BYTES",),
        default=MAX_BATCH_BYTES,
        example="16777216",
    ),
)
BROWSERS = (
    Setting(
        "false: do not allow web pages of other origins to call the model",
        variables=("PREPACKAGED_CORS",),
        default="true",
        example="false",
    ),
    Setting(
        "false: no page to try the model at / and /ui, no /docs and no /openapi.json",
        variables=("PREPACKAGED_PAGES",),
        default="true",
        example="false",
    ),
)
