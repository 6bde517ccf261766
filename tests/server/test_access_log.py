"""The access log of a running server: a line per request, over REST and gRPC."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from rawhttp import PREDICT, WAYS, connected, get, post, text
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from waiting import SECONDS, wait_until

MODELS = Path(__file__).parent / "models"
ROWS = b'{"data": {"ndarray": [[1, 2], [3, 4], [5, 6]]}}'

Start = Callable[..., Any]


def lines(server: Any, count: int) -> list[str]:
    """Wait for `count` request lines and return them, without those of /health/ping."""

    def written() -> list[str]:
        found = [line for line in server.log().splitlines() if line[:1] in '"{']
        return [line for line in found if "/health/ping" not in line]

    wait_until(lambda: len(written()) >= count)
    return written()


def call(server: Any, service: str, method: str, message: Any) -> str:
    """Call a method over gRPC and return its status code's name."""
    with grpc.insecure_channel(server.grpc) as channel:
        stub = getattr(prediction_pb2_grpc, f"{service}Stub")(channel)
        try:
            getattr(stub, method)(message, timeout=SECONDS)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"


def test_each_request_has_its_line(start_process: Start) -> None:
    """Every request has a line, in either form and whether answered or refused."""
    server = start_process("Mirror").server
    rows = prediction_pb2.SeldonMessage(data={"tensor": {"shape": [2, 1], "values": [1, 2]}})
    with connected(server.url) as connection:
        sizes = [len(connection.ask(post(ROWS, path)).body) for path in WAYS]
        sizes += [len(connection.ask(post(body)).body) for body in (text("hi"), b"{")]
        sizes += [len(connection.ask(get("/nowhere?a=b")).body)]
        sizes += [len(connection.ask(b"noise\r\n\r\n").body)]
    assert call(server, "Model", "Predict", rows) == "OK"
    assert call(server, "Seldon", "Predict", prediction_pb2.SeldonMessage()) == "INVALID_ARGUMENT"
    assert call(server, "Router", "Route", rows) == "UNIMPLEMENTED"

    written = lines(server, 9)

    timeless = [re.sub(r" \d+\.\dms ", " ", line) for line in written]
    assert timeless[:6] == [
        f'"POST {PREDICT}" 200 {sizes[0]}B rows=3',
        f'"POST {PREDICT}" 200 {sizes[1]}B rows=3',
        f'"POST {PREDICT}" 200 {sizes[2]}B rows=-',
        f'"POST {PREDICT}" 400 {sizes[3]}B rows=-',
        f'"GET /nowhere" 404 {sizes[4]}B rows=-',
        f'"- -" 400 {sizes[5]}B rows=-',
    ]
    answer = prediction_pb2.SeldonMessage(data={"tensor": {"shape": [2, 1], "values": [1, 2]}})
    answer.meta.SetInParent()
    answer.data.names.append("t:0")
    assert timeless[6:] == [
        f'"gRPC /seldon.protos.Model/Predict" OK {answer.ByteSize()}B rows=2',
        '"gRPC /seldon.protos.Seldon/Predict" INVALID_ARGUMENT 0B rows=-',
        '"gRPC /seldon.protos.Router/Route" UNIMPLEMENTED 0B rows=2',
    ]


def test_a_failing_request_keeps_its_rows(start_process: Start) -> None:
    """A request that fails in the model is logged with its rows, unlike one refused before it."""
    server = start_process("Picky").server
    with connected(server.url) as connection:
        assert [connection.ask(post(ROWS, path)).status for path in WAYS] == [500, 500]

    assert [line.partition("ms ")[2] for line in lines(server, 2)] == ["rows=3", "rows=3"]


def test_the_environment_chooses_json(
    start_process: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PREPACKAGED_ACCESS_LOG_FORMAT=json writes one object per line with the same facts."""
    monkeypatch.setenv("PREPACKAGED_ACCESS_LOG_FORMAT", "json")
    server = start_process("Mirror").server
    with connected(server.url) as connection:
        connection.ask(post(ROWS))
        connection.ask(get('/"%0a\\'))
    call(server, "Model", "Predict", prediction_pb2.SeldonMessage(strData="x"))

    first, second, third = map(json.loads, lines(server, 3))

    assert (first["method"], first["path"], first["status"], first["rows"]) == (
        "POST",
        PREDICT,
        200,
        3,
    )
    assert second["path"] == '/"%0a\\'
    assert (third["method"], third["status"], third["rows"]) == ("gRPC", "OK", None)
    assert all(each["milliseconds"] > 0 for each in (first, second, third))
