"""The headers of the current request, for any transport and under either microservice."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Protocol


class HasHeaders(Protocol):
    """A request, as the transport keeps it."""

    @property
    def headers(self) -> Iterable[tuple[bytes, bytes]]:
        """Names and values in the order of the request; a name may occur more than once."""


#: The current request; None outside of requests, and while a batch of several is answered.
ANSWERED: ContextVar[HasHeaders | None] = ContextVar("answered", default=None)


class Headers(Mapping[str, str]):
    """Headers by name, in any case; repeated ones are joined with commas."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in fields:
            key, before = name.lower(), self._values.get(name.lower())
            self._values[key] = value if before is None else f"{before}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"


def headers_of(request: HasHeaders) -> Headers:
    """The headers of a request."""
    return Headers(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request.headers
        if not name.startswith(b":")  # HTTP/2's pseudo-headers
    )


def request_headers() -> Headers:
    """The headers of the current request; over gRPC, the metadata of the call.

    Names are case-insensitive. Call this function in `predict` or in any other hook that the server
    calls for a request, on the thread of that hook. A batch of several requests has no headers: if
    `predict` of a `batchable` model calls this function, the server calls `predict` once for each
    request instead. Raises `RuntimeError` outside of a request, such as in `load`.

    >>> class Model:
    ...     def predict(self, X, feature_names=None, meta=None):
    ...         return f"Hello, {request_headers().get('X-User', 'stranger')}"
    >>> import requests
    >>> from prepackaged.testing import serve
    >>> with serve(Model()) as server:
    ...     url, headers = f"{server.url}/api/v1.0/predictions", {"x-user": "Ada"}
    ...     requests.post(url, json={"strData": ""}, headers=headers).json()["strData"]
    'Hello, Ada'
    """
    request = ANSWERED.get()
    if request is not None:
        return headers_of(request)
    if "flask" in sys.modules:
        import flask

        if flask.has_request_context():  # seldon-core-microservice answers it
            return Headers(flask.request.headers.items())
    raise RuntimeError("no headers: outside of a request, or in a batch of several")
