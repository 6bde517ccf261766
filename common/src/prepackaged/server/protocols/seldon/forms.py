"""Read forms in REST requests with Werkzeug, as seldon-core's microservice does.

This module is imported by the first request that is not only JSON, because importing Werkzeug
takes a tenth of the startup time.
"""

import io
from typing import IO, Any

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request as WsgiRequest

from prepackaged.server.protocols.seldon.wsgi import environ_of
from prepackaged.server.transport.exchange import Exchange, TransportError


class Form(WsgiRequest):
    """A form of any size: the size of the whole body is limited when it is received."""

    max_form_memory_size = None

    def _get_file_stream(self, *sizes: Any, **about: Any) -> IO[bytes]:  # noqa: ARG002
        """Keep files in memory, because there may be no directory for temporary files."""
        return io.BytesIO()


def read_form(exchange: Exchange) -> Form:
    """The request's form, empty if it has none. Raises `TransportError` for too many parts."""
    form = Form(environ_of(exchange))
    try:
        _ = form.form  # this parses the form
    except RequestEntityTooLarge as error:
        why = f"expected a form of at most {form.max_form_parts} parts, got more"
        raise TransportError(413, why) from error
    return form
