"""Settings of what clients may ask for, from the environment."""

from collections.abc import Callable, Mapping
from typing import Any

from prepackaged.server.runtime.settings import integer, number, switch

MEGABYTE = 2**20
MAX_BODY = 256 * MEGABYTE
MAX_MESSAGE = 64 * MEGABYTE
MAX_BATCH_ROWS = 8192
MAX_BATCH_BYTES = 64 * MEGABYTE


def read_limits(environment: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a Config that the environment sets. Raises `DeploymentError`."""
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
    "PREPACKAGED_PROVENANCE_TAGS": ("provenance_tags", _switch),
    "PREPACKAGED_SAMPLES": ("samples", _switch),
}
