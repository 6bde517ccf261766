"""Errors about the address of a model."""

import re
from urllib.parse import unquote

from prepackaged.server.protocols.errors import error_failure
from prepackaged.server.transport.exchange import Exchange, Response, TransportError
from prepackaged.server.transport.routing import LONGEST, Failure

MODELS = "/v1/models"
ADDRESS = re.compile(
    f"{MODELS}/(?P<model>.+?)"
    "(/(?P<place>versions|labels)/(?P<value>[^/:]+))?(/metadata)?(:(?P<verb>[^/:]*))?",
    re.DOTALL,
)


def failure_naming(name: str, version: str) -> Failure:
    """Create errors `{"error": text}`; for a wrong address, the text names the model."""

    def failure(exchange: Exchange, error: BaseException) -> Response:
        if isinstance(error, TransportError) and error.status == 404:
            why = _wrong_address(unquote(exchange.path[:LONGEST]), name, version)
            error = TransportError(404, why or str(error))
        return error_failure(exchange, error)

    return failure


def _wrong_address(path: str, name: str, version: str) -> str | None:
    """The message for a wrong address of a model; None for other paths."""
    address = ADDRESS.fullmatch(path)
    if address is None:
        return None
    if address["model"] != name:
        return f"expected the model {name!r}, got {address['model']!r}"
    if address["place"] == "labels":
        return "labels of versions are not supported"
    if address["value"] not in (None, version):
        return f"expected version {version!r} of {name!r}, got {address['value']!r}"
    return f"{address['verb']} is not supported, only predict" if address["verb"] else None
