"""The headers of the request that a model answers, whichever transport and server brought it."""

from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Protocol

import flask


class HasHeaders(Protocol):
    """A request as its transport has it."""

    @property
    def headers(self) -> Iterable[tuple[bytes, bytes]]:
        """Names and values in the order of the request; a name may occur more than once."""


#: The one request that is being answered; None outside of requests, and while several are
#: answered together.
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
        if not name.startswith(b":")  # HTTP/2's own
    )


def request_headers() -> Headers:
    """The headers of the request that is being answered; over gRPC, the call's metadata.

    For `predict` and every other hook that a request calls, on the thread that it is called
    on. Requests that are answered together have no headers of one: a `batchable` model that
    asks for them in `predict` is called once for each request. Raises `RuntimeError` where
    there is no request, as in `load`.
    """
    request = ANSWERED.get()
    if request is not None:
        return headers_of(request)
    if flask.has_request_context():  # seldon-core-microservice answers it
        return Headers(flask.request.headers.items())
    raise RuntimeError("no headers: this is no request, or it is answered together with others")
