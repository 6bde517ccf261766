"""Convert requests to WSGI, for reading forms with Werkzeug, and for Flask."""

import io
from typing import Any
from urllib.parse import unquote

from prepackaged.headers import headers_of
from prepackaged.server.transport.exchange import Exchange


def environ_of(request: Exchange) -> dict[str, Any]:
    """The WSGI environ of a request (PEP 3333).

    Headers with an underscore are omitted, as in gunicorn and nginx: their variables would have the
    same names as those of headers with a hyphen, which a proxy may have checked.
    """
    headers = headers_of(request)
    return {
        **{
            f"HTTP_{name.upper().replace('-', '_')}": value
            for name, value in headers.items()
            if "_" not in name
        },
        "REQUEST_METHOD": request.method,
        "PATH_INFO": unquote(request.path, "latin-1"),
        "QUERY_STRING": request.query.decode("latin-1"),
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.input_terminated": True,  # a chunked body has no Content-Length
    }
