"""Helpers for tests of the pages: a model, a browser page and a proxy."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import numpy as np
import pytest
import requests
from playwright.sync_api import Browser, Page

from prepackaged import Column, Component, Signature
from prepackaged.tables import Columns

HOSTILE = "<img src=x onerror=alert(1)>"
COLUMNS = (
    Column("age", "float64", nullable=False),
    Column("city", "text", ("Taipei", "Tainan")),
    Column(HOSTILE, "text"),
    Column("unused", "float64", used=False),
)


class Passengers(Component):
    """Answers with two probabilities, the first of them age / 100."""

    signature = Signature(COLUMNS, class_names=("no", HOSTILE))

    def class_names(self) -> list[str]:
        return ["no", HOSTILE]

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        age = Columns.of(COLUMNS).table(X, feature_names).arrays[0]
        return np.column_stack([age / 100, 1 - age / 100])


def opened(browser: Browser, url: str, **how: Any) -> Page:
    """Open the page; script errors and dialogs fail the test."""
    page = browser.new_context(**how).new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.on("dialog", lambda dialog: pytest.fail(f"a name has run: {dialog.message}"))
    page.goto(url)
    return page


@contextmanager
def behind_prefix(url: str) -> Iterator[str]:
    """A proxy that serves the server under the prefix /deployment/model."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(None)

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

        def answer(self, body: bytes | None) -> None:
            path = self.path.removeprefix("/deployment/model") or "/"
            names = ("Accept", "Content-Type")
            headers = {name: self.headers[name] for name in names if self.headers[name]}
            headers["Accept-Encoding"] = "identity"
            response = requests.request(self.command, url + path, data=body, headers=headers)
            self.send_response(response.status_code)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.content)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("localhost", 0), Proxy)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/deployment/model"
    server.shutdown()
    server.server_close()


def loaded(model: Component) -> Component:
    """The model, loaded without a file."""
    model.load()
    return model
