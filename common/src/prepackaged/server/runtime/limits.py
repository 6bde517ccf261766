"""Settings of what clients may ask for, from the environment."""

from collections.abc import Callable, Mapping
from typing import Any

from prepackaged.errors import DeploymentError

MEGABYTE = 2**20
MAX_BODY = 256 * MEGABYTE
MAX_MESSAGE = 64 * MEGABYTE
MAX_BATCH_ROWS = 8192
MAX_BATCH_BYTES = 64 * MEGABYTE
SWITCHES = {"true": True, "1": True, "false": False, "0": False}


def read_limits(environment: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a Config that the environment sets. Raises `DeploymentError`."""
    fields = {}
    for variable, (field, read) in VARIABLES.items():
        if text := environment.get(variable, ""):
            fields[field] = read(variable, text)
    return fields


def _count(variable: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise DeploymentError(f"expected {variable} as a whole number from 1, got {text[:80]!r}")
    return int(text)


def _switch(variable: str, text: str) -> bool:
    if text.lower() not in SWITCHES:
        raise DeploymentError(f"expected {variable} as true or false, got {text[:80]!r}")
    return SWITCHES[text.lower()]


VARIABLES: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "PREPACKAGED_MAX_BODY_BYTES": ("max_body", _count),
    "PREPACKAGED_MAX_MESSAGE_BYTES": ("max_message", _count),
    "PREPACKAGED_REQUEST_MEMORY_BYTES": ("request_memory", _count),
    "PREPACKAGED_MAX_WAITING": ("max_waiting", _count),
    "PREPACKAGED_BATCHING": ("batches", _switch),
    "PREPACKAGED_MAX_BATCH_ROWS": ("max_batch_rows", _count),
    "PREPACKAGED_MAX_BATCH_BYTES": ("max_batch_bytes", _count),
    "PREPACKAGED_CORS": ("cors", _switch),
}
