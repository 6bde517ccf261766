"""The method of the model that a request chooses."""

from collections.abc import Mapping
from typing import Any

from prepackaged.errors import ClientError
from prepackaged.signature import Signature

SHOWN = 60  # the most characters of an unknown method in an error


def asked_method(meta: Mapping[str, Any] | None, signature: Signature) -> str:
    """The method that a request's `meta` chooses, else the default.

    The method is in `meta.method`, which the server sets, or in Seldon's `meta.tags.method`. Raises
    `ClientError` for a method that the signature does not list.
    """
    meta = meta or {}
    tags = meta.get("tags")
    usual = tags.get("method", signature.method) if isinstance(tags, Mapping) else signature.method
    asked = meta.get("method", usual)
    if asked not in signature.methods:
        shown = repr(asked)[:SHOWN]
        raise ClientError(f"expected method as one of {', '.join(signature.methods)}, got {shown}")
    return str(asked)
