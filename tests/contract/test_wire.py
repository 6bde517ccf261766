"""Seldon's v1 protocol over REST and gRPC, which every server speaks with any model.

These tests run against a server started here and, with --url, against a container.
"""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import requests
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import ParseDict
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from serving import Server

PREDICTIONS = "/api/v1.0/predictions"


def get(server: Server, path: str) -> requests.Response:
    """Send a GET."""
    return requests.get(server.url + path, timeout=60)


def answer(response: requests.Response) -> Any:
    """Check that a response is a JSON answer with status 200, and return its body."""
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    return response.json()


def test_ping_is_answered(server: Server) -> None:
    """GET /health/ping returns pong."""
    response = get(server, "/health/ping")

    assert (response.status_code, response.text) == (200, "pong")


@pytest.mark.parametrize("path", ["/health/status", "/api/v1.0/health/status"])
def test_the_health_of_the_model_is_reported(server: Server, path: str) -> None:
    """A loaded model is healthy."""
    assert answer(get(server, path)) == {"meta": {}, "strData": "healthy"}


@pytest.mark.parametrize("path", ["/metadata", "/api/v1.0/metadata"])
def test_the_metadata_is_reported(server: Server, path: str) -> None:
    """The metadata has all fields of Seldon's schema, and a platform."""
    metadata = answer(get(server, path))

    fields = {"name", "versions", "platform", "inputs", "outputs", "custom"}
    assert metadata.keys() == fields
    assert metadata["platform"]


@pytest.mark.parametrize("path", ["/predict", PREDICTIONS, "/api/v0.1/predictions"])
def test_every_prediction_route_answers(server: Server, message: Any, path: str) -> None:
    """All prediction routes, the engine's and the clients', give the same answer."""
    body = answer(server.post(message, path))

    assert body.keys() - {"meta"} <= {"data", "strData", "binData", "jsonData"}
    assert body == answer(server.post(message))


def test_a_request_may_be_a_query_or_a_form_field(server: Server, message: Any) -> None:
    """`json` in a query or a form is equivalent to a JSON body."""
    expected = answer(server.post(message))
    field = {"json": json.dumps(message)}

    assert answer(requests.get(server.url + "/predict", params=field, timeout=60)) == expected
    assert answer(requests.post(server.url + PREDICTIONS, data=field, timeout=60)) == expected


def test_a_request_may_be_multipart(server: Server, message: Any) -> None:
    """In multipart, each part is a field of the message: text for strData, JSON for the others."""
    parts = {
        name: (None, value if name == "strData" else json.dumps(value))
        for name, value in message.items()
    }

    response = requests.post(server.url + PREDICTIONS, files=parts, timeout=60)

    assert answer(response) == answer(server.post(message))


def test_meta_of_the_request_comes_back(server: Server, message: Any) -> None:
    """Puid and tags of the request are returned in the answer."""
    meta = {"puid": "a-1", "tags": {"caller": "test"}}

    assert answer(server.post({**message, "meta": meta}))["meta"] == meta


@pytest.mark.parametrize("text", ["", "{", "null"])
def test_a_body_that_is_not_json_is_400(server: Server, text: str) -> None:
    """A body that is not JSON gets 400 with Seldon's error format and text."""
    response = server.post_text(text)

    assert response.status_code == 400
    status = response.json()["status"]
    assert status.pop("info").startswith("Can't find JSON in data")
    assert status == {"code": -1, "reason": "MICROSERVICE_BAD_DATA", "status": 1}


def test_a_message_without_data_is_answered_400(server: Server) -> None:
    """A message without a payload gets 400, and the error says so."""
    response = server.post({"rows": [[1]]})

    assert response.status_code == 400
    assert response.json()["status"]["info"].startswith("Invalid request data type: ")


def test_metrics_are_served_on_their_own_port(server: Server) -> None:
    """The metrics port serves Prometheus's text format."""
    response = requests.get(server.metrics + "/metrics", timeout=60)

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain")


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    """A gRPC channel to the server that is ready."""
    with grpc.insecure_channel(server.grpc) as open_channel:
        grpc.channel_ready_future(open_channel).result(timeout=60)
        yield open_channel


def test_grpc_answers_as_rest_does(server: Server, channel: grpc.Channel, message: Any) -> None:
    """The same message gets the same answer over gRPC, where all numbers are doubles."""
    request = ParseDict(message, prediction_pb2.SeldonMessage())

    response = prediction_pb2_grpc.ModelStub(channel).Predict(request, timeout=60)

    assert response == ParseDict(answer(server.post(message)), prediction_pb2.SeldonMessage())


def test_grpc_tells_the_metadata(server: Server, channel: grpc.Channel) -> None:
    """ModelMetadata has the same name as over REST."""
    metadata = prediction_pb2_grpc.ModelStub(channel).Metadata(Empty(), timeout=60)

    assert metadata.name == answer(get(server, "/metadata"))["name"]


def test_grpc_tells_its_services(channel: grpc.Channel) -> None:
    """Reflection lists the services, for generic clients."""
    services = ProtoReflectionDescriptorDatabase(channel).get_services()

    assert {"seldon.protos.Model", "seldon.protos.Seldon"} <= set(services)
