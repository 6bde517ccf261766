"""The floors: what any server on these libraries costs at least, on the ports of a Seldon server.

A protocol on httptools answers POST predict with BARE_ANSWER and prints an access-log line;
grpcio's server answers every call with BARE_GRPC_ANSWER, in hexadecimal. With `--model`, REST
reads JSON, calls the estimator on all rows that an iteration of the event loop has brought, and
writes JSON; it checks nothing and knows no errors.
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
    """Lines, written together once a turn of the event loop."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str, loop: asyncio.AbstractEventLoop) -> None:
        """Write the line before the loop waits again."""
        if not self.lines:
            loop.call_soon(self.flush)
        self.lines.append(line)

    def flush(self) -> None:
        """Write what has gathered."""
        sys.stdout.write("".join(self.lines))
        sys.stdout.flush()
        self.lines.clear()


class Protocol(asyncio.Protocol):
    """Answers POST predict, and everything else as a ping."""

    log = AccessLog()

    def connection_made(self, transport: Any) -> None:
        """Make a parser, which calls the methods below."""
        self.transport = transport
        self.client = transport.get_extra_info("peername")
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Begin with nothing."""
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.received: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        """Gather the target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Gather the headers, as every server does."""
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        """Gather the body."""
        self.received.append(body)

    def on_message_complete(self) -> None:
        """Answer."""
        if self.url in PREDICT:
            self.predict(b"".join(self.received))
        else:
            self.respond(b"", b"pong")

    def predict(self, body: bytes) -> None:
        """Answer what there is to answer."""
        self.respond(body, ANSWER)

    def respond(self, body: bytes, answer: bytes) -> None:
        """Write an answer and a line of the log."""
        self.transport.write(HEAD % len(answer) + answer)
        line = f'{self.client} "POST {self.url.decode()}" 200 {len(body)} {len(answer)}\n'
        self.log.add(line, self.loop)
        if not self.parser.should_keep_alive():
            self.transport.close()


class Predicting(Protocol):
    """Answers with what the estimator says of the rows."""

    estimator: Any
    waiting: list[tuple["Predicting", bytes, Any]]

    def predict(self, body: bytes) -> None:
        """Wait for what else this turn of the loop brings."""
        if not self.waiting:
            self.loop.call_soon(self.answer_all)
        self.waiting.append((self, body, np.array(orjson.loads(body)["data"]["ndarray"])))

    def answer_all(self) -> None:
        """Call the estimator once, and give each its part."""
        waiting, self.waiting[:] = list(self.waiting), []
        rows = [each for _, _, each in waiting]
        every = self.estimator.predict_proba(np.concatenate(rows))
        parts = np.split(every, np.cumsum([len(each) for each in rows[:-1]]))
        for (protocol, body, _), part in zip(waiting, parts, strict=True):
            names = [f"t:{column}" for column in range(part.shape[1])]
            message = {"data": {"names": names, "ndarray": part}, "meta": {}}
            protocol.respond(body, orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY))


def predicting() -> type[Protocol]:
    """The protocol of the model that a deployment names."""
    import joblib  # in the images of scikit-learn's files alone

    (parameter,) = json.loads(os.environ["PREDICTIVE_UNIT_PARAMETERS"])
    estimator = joblib.load(Path(parameter["value"]) / "model.joblib")
    return type("Predicting", (Predicting,), {"estimator": estimator, "waiting": []})


class Constant(grpc.GenericRpcHandler):
    """Answers every call with the same bytes, and decodes nothing."""

    def service(self, handler_call_details: Any) -> Any:
        """The handler of any method."""
        return grpc.unary_unary_rpc_method_handler(self.answer)

    async def answer(self, request: bytes, context: Any) -> bytes:
        """The constant answer."""
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
