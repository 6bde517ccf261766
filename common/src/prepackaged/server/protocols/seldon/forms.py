"""Forms of REST requests, read by Werkzeug: seldon-core's microservice reads them so.

Imported by the first request that is not JSON alone, because Werkzeug takes a tenth of a start.
"""

import io
from typing import IO, Any

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request as WsgiRequest

from prepackaged.server.protocols.seldon.wsgi import environ_of
from prepackaged.server.transport.exchange import Exchange, TransportError


class Form(WsgiRequest):
    """A form, of any size: the body's is limited where it is read."""

    max_form_memory_size = None

    def _get_file_stream(self, *sizes: Any, **about: Any) -> IO[bytes]:  # noqa: ARG002
        """Memory for a file's bytes: there may be no place for temporary files."""
        return io.BytesIO()


def read_form(exchange: Exchange) -> Form:
    """The request's form, empty where it is none. Raises `TransportError` for too many parts."""
    form = Form(environ_of(exchange))
    try:
        _ = form.form  # which reads it
    except RequestEntityTooLarge as error:
        why = f"expected a form of at most {form.max_form_parts} parts, got more"
        raise TransportError(413, why) from error
    return form
