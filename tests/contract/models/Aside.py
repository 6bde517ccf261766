"""A Model with a custom service, which reports its process and whether the model is loaded."""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any


class Aside:
    """Appends the port of its service to the file `told`."""

    def __init__(self, told: str) -> None:
        self.told = Path(told)
        self.is_loaded = False

    def load(self) -> None:
        self.is_loaded = True

    def predict(self, X: Any, names: Any) -> Any:
        return [[os.getpid()]]

    def custom_service(self) -> None:
        knows = {"pid": os.getpid(), "is_loaded": self.is_loaded}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(knows).encode())

            def log_message(self, *arguments: Any) -> None:
                pass

        server = HTTPServer(("localhost", 0), Handler)
        with self.told.open("a") as told:
            told.write(f"{server.server_port}\n")
        server.serve_forever()
