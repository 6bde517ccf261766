"""Requests to a server, each a function from the server to a short form of its answer."""

import gzip
import json
import re
from collections.abc import Callable
from typing import Any

import grpc
import requests
from google.protobuf.json_format import MessageToDict, ParseDict
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rawhttp import connected
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from serving import Server

PREDICTIONS = "/api/v1.0/predictions"

Ask = Callable[[Server], Any]


def outcome(response: requests.Response) -> tuple[int, Any]:
    """The status, and the answer without its meta, or an error's reason if it has one."""
    if response.headers["Content-Type"] != "application/json":
        return response.status_code, None
    body = response.json()
    if response.ok:
        return response.status_code, {key: body[key] for key in body if key != "meta"}
    return response.status_code, body["status"]["reason"]


def ask(method: str, path: str, **arguments: Any) -> Ask:
    """A request of any method, path and arguments of `requests`."""
    return lambda server: outcome(
        requests.request(method, server.url + path, timeout=60, **arguments)
    )


def post(message: Any, path: str = PREDICTIONS) -> Ask:
    """A POST of JSON; a message that is a text is sent unchanged."""

    def send(server: Server) -> tuple[int, Any]:
        is_text = isinstance(message, str)
        return outcome(server.post_text(message, path) if is_text else server.post(message, path))

    return send


def compressed(message: Any) -> Ask:
    """A POST of JSON, compressed with gzip."""
    body = gzip.compress(json.dumps(message).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return lambda server: outcome(
        requests.post(server.url + PREDICTIONS, data=body, headers=headers, timeout=60)
    )


def call(message: Any, service: str = "Model", method: str = "Predict") -> Ask:
    """A call over gRPC: the answer without its meta, or the error's code."""
    request = message
    if isinstance(message, dict):
        request = ParseDict(message, prediction_pb2.SeldonMessage())

    def send(server: Server) -> Any:
        options = [("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(server.grpc, options) as channel:
            stub = getattr(prediction_pb2_grpc, service + "Stub")(channel)
            try:
                body = MessageToDict(getattr(stub, method)(request, timeout=60))
            except grpc.RpcError as error:
                return error.code().name
            return {key: body[key] for key in body if key != "meta"}

    return send


def returned(what: str, how: Callable[[Any], Ask] = post) -> Ask:
    """A request that makes the model `Returns` return the case `what`."""
    return how({"data": {"ndarray": [[1]]}, "meta": {"tags": {"return": what}}})


def raw(text: str, pattern: str) -> Ask:
    """The first group of the pattern in the raw answer, or an empty text."""

    def find(server: Server) -> str:
        found = re.search(pattern, server.post_text(text).content.decode())
        return found[1] if found else ""

    return find


def info(text: str) -> Ask:
    """The message of the error for this body."""
    return lambda server: server.post_text(text).json()["status"]["info"]


def header(name: str, **headers: str) -> Ask:
    """A header of the answer to /health/ping."""
    return lambda server: requests.get(
        server.url + "/health/ping", headers=headers, timeout=60
    ).headers.get(name)


def health(server: Server) -> str:
    """The server's health over gRPC."""
    with grpc.insecure_channel(server.grpc) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=60
            )
        except grpc.RpcError as error:
            return str(error.code().name)
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def metrics(pattern: str) -> Ask:
    """How often the metrics page matches, after one request over REST and one over gRPC."""

    def find(server: Server) -> str:
        post({"strData": "x"})(server)
        call({"strData": "x"})(server)
        page = requests.get(server.metrics + "/metrics", timeout=60).text
        times = len(re.findall(pattern, page, re.MULTILINE))
        return "more than once" if times > 1 else ["never", "once"][times]

    return find


def calls_of_a_type_error(server: Server) -> tuple[int, int]:
    """The status when predict raises TypeError, and how often predict was called."""
    count = {"data": {"ndarray": [[1]]}}
    (before,) = server.post(count).json()["data"]["ndarray"]
    status, _ = returned("type error")(server)
    (after,) = server.post(count).json()["data"]["ndarray"]
    return status, after - before - 1


def metrics_page(path: str) -> Ask:
    """The status and content type of a page on the metrics port."""

    def get(server: Server) -> tuple[int, str]:
        response = requests.get(server.metrics + path, timeout=60)
        return response.status_code, response.headers["Content-Type"]

    return get


def sent(request: bytes, *, is_cut: bool = False) -> Ask:
    """Send bytes and return the status and reason; `is_cut` closes the sending side then."""

    def send(server: Server) -> tuple[int, str | None]:
        with connected(server.url) as connection:
            connection.send(request)
            if is_cut:
                connection.socket.shutdown(1)
            answer = connection.answer()
        is_json = answer.headers.get("content-type") == "application/json" and answer.body
        return answer.status, json.loads(answer.body)["status"]["reason"] if is_json else None

    return send


def size_of_raw(code: int) -> Ask:
    """The status of a raw answer with this code, and whether it has a body."""

    def send(server: Server) -> tuple[int, bool]:
        response = server.post({"status": {"code": code}})
        return response.status_code, response.content != b""

    return send


def status_of_raw(code: int) -> Ask:
    """The outcome of a raw answer with this code; None if it is not valid HTTP."""

    def send(server: Server) -> Any:
        try:
            return outcome(server.post({"status": {"code": code}}))
        except requests.ConnectionError:
            return None

    return send
