"""Lower bounds: the least work of any server on these libraries, on the ports of a Seldon server.

A protocol on httptools responds to POST predict with BARE_ANSWER and prints an access-log line;
grpcio's server responds to every call with BARE_GRPC_ANSWER (in hexadecimal). With `--model`, REST
parses JSON, calls the estimator with all rows that arrived in an iteration of the event loop, and
writes JSON; it validates nothing and handles no errors.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import grpc
import httptools
import numpy as np
import orjson
import uvloop

PREDICT = {b"/api/v1.0/predictions", b"/v2/models/model/infer"}
ANSWER = os.environ["BARE_ANSWER"].encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
GRPC_ANSWER = bytes.fromhex(os.environ["BARE_GRPC_ANSWER"])


class AccessLog:
    """Collects lines and writes them once per iteration of the event loop."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str, loop: asyncio.AbstractEventLoop) -> None:
        """Add a line, which is written before the loop waits again."""
        if not self.lines:
            loop.call_soon(self.flush)
        self.lines.append(line)

    def flush(self) -> None:
        """Write the collected lines."""
        sys.stdout.write("".join(self.lines))
        sys.stdout.flush()
        self.lines.clear()


class Protocol(asyncio.Protocol):
    """Responds to POST predict with the constant, and to other requests with `pong`."""

    log = AccessLog()

    def connection_made(self, transport: Any) -> None:
        """Create the parser that calls the methods below."""
        self.transport = transport
        self.client = transport.get_extra_info("peername")
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse the data."""
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Reset the request's state."""
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.received: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        """Collect the request target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect the headers, as every server does."""
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self.received.append(body)

    def on_message_complete(self) -> None:
        """Respond to the request."""
        if self.url in PREDICT:
            self.predict(b"".join(self.received))
        else:
            self.respond(b"", b"pong")

    def predict(self, body: bytes) -> None:
        """Respond with the constant."""
        self.respond(body, ANSWER)

    def respond(self, body: bytes, answer: bytes) -> None:
        """Write a response and an access-log line."""
        self.transport.write(HEAD % len(answer) + answer)
        line = f'{self.client} "POST {self.url.decode()}" 200 {len(body)} {len(answer)}\n'
        self.log.add(line, self.loop)
        if not self.parser.should_keep_alive():
            self.transport.close()


class Predicting(Protocol):
    """Responds with the estimator's probabilities."""

    estimator: Any
    waiting: list[tuple["Predicting", bytes, Any]]

    def predict(self, body: bytes) -> None:
        """Wait for the other rows of this iteration of the event loop."""
        if not self.waiting:
            self.loop.call_soon(self.answer_all)
        self.waiting.append((self, body, np.array(orjson.loads(body)["data"]["ndarray"])))

    def answer_all(self) -> None:
        """Call the estimator once with all rows, and respond to each request."""
        waiting, self.waiting[:] = list(self.waiting), []
        rows = [each for _, _, each in waiting]
        every = self.estimator.predict_proba(np.concatenate(rows))
        parts = np.split(every, np.cumsum([len(each) for each in rows[:-1]]))
        for (protocol, body, _), part in zip(waiting, parts, strict=True):
            names = [f"t:{column}" for column in range(part.shape[1])]
            message = {"data": {"names": names, "ndarray": part}, "meta": {}}
            protocol.respond(body, orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY))


def predicting() -> type[Protocol]:
    """The protocol with the model in PREDICTIVE_UNIT_PARAMETERS."""
    import joblib  # installed only in environments that load scikit-learn's files

    (parameter,) = json.loads(os.environ["PREDICTIVE_UNIT_PARAMETERS"])
    estimator = joblib.load(Path(parameter["value"]) / "model.joblib")
    return type("Predicting", (Predicting,), {"estimator": estimator, "waiting": []})


class Constant(grpc.GenericRpcHandler):
    """Responds to every call with the same bytes, without decoding it."""

    def service(self, handler_call_details: Any) -> Any:
        """Return a handler for any method."""
        return grpc.unary_unary_rpc_method_handler(self.answer)

    async def answer(self, request: bytes, context: Any) -> bytes:
        """Return the constant response."""
        return GRPC_ANSWER


async def main() -> None:
    """Serve until SIGTERM."""
    http_port, grpc_port = (
        int(os.environ[f"PREDICTIVE_UNIT_{kind}_SERVICE_PORT"]) for kind in ("HTTP", "GRPC")
    )
    grpc_server = grpc.aio.server()
    grpc_server.add_generic_rpc_handlers((Constant(),))
    grpc_server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await grpc_server.start()
    protocol = predicting() if "--model" in sys.argv else Protocol
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", http_port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
