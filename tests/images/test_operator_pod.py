"""The pod of Seldon's operator, with requests as its executor sends them."""

import json
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from containers import Container
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict, ParseDict
from pods import OPENSHIFTS_USER, OPERATORS_USER
from prometheus_client.parser import text_string_to_metric_families
from rawhttp import Answer, connected, post
from samples import Sample
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc

# Headers of Go's client, and those that an ingress, a mesh and the executor add.
FORWARDED = {
    "User-Agent": "Go-http-client/1.1",
    "Accept-Encoding": "gzip",
    "Seldon-Puid": "c8a4e2b1-5b1f-4f0e-9d43-1d2f3c4b5a69",
    "X-Forwarded-For": "203.0.113.7, 10.0.3.4",
    "X-Forwarded-Host": "models.example",
    "X-Forwarded-Proto": "https",
    "X-Request-Id": "0d1e2f3a",
    "Authorization": "Bearer of.good.news",
}
CONNECTIONS = 10  # gRPC connections of an executor to each container


@pytest.fixture(params=["operator", "operator, upstream"])
def pod(request: pytest.FixtureRequest, begun: dict[str, Future[Any]]) -> Container:
    """A pod with our server and the operator's user, or with upstream's and OpenShift's user."""
    return begun[request.param].result()


@pytest.fixture
def channels(pod: Container) -> Iterator[list[grpc.Channel]]:
    """The executor's gRPC channels."""
    options = [
        ("grpc.use_local_subchannel_pool", 1),  # one connection per channel
        ("grpc.max_send_message_length", 2**31 - 1),
        ("grpc.max_receive_message_length", 2**31 - 1),
    ]
    with ExitStack() as stack:
        yield [
            stack.enter_context(grpc.insecure_channel(pod.grpc, options))
            for _ in range(CONNECTIONS)
        ]


def ask(url: str, body: Any, times: int) -> tuple[list[Answer], int]:
    """Send requests, reusing connections as long as the server allows; count the connections."""
    lines = [f"{name}: {value}" for name, value in FORWARDED.items()]
    request = post(json.dumps(body).encode(), "/predict", *lines)
    answers: list[Answer] = []
    connections = 0
    while len(answers) < times:
        connections += 1
        with connected(url) as connection:
            is_last = False
            while len(answers) < times and not is_last:
                answers.append(connection.ask(request))
                is_last = answers[-1].headers.get("connection") == "close"
    return answers, connections


def assert_right(body: Any, sample: Sample) -> None:
    """Check that the answer equals the framework's, if that is known."""
    if isinstance(sample.answer, str):
        assert body["strData"] == sample.answer
    elif sample.answer:
        np.testing.assert_allclose(body["data"]["ndarray"], sample.answer, rtol=1e-4)


def test_predictions_are_answered(pod: Container, sample: Sample, tag: str) -> None:
    """Predictions are answered, with all forwarded headers."""
    answers, _ = ask(pod.url, sample.ndarray, times=3)

    for answer in answers:
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert_right(json.loads(answer.body), sample)
        assert json.loads(answer.body)["meta"] == {"requestPath": {"classifier": tag}}


def test_one_connection_is_enough(begun: dict[str, Future[Any]], sample: Sample) -> None:
    """Our server keeps one connection open for all requests, unlike upstream's."""
    _, connections = ask(begun["operator"].result().url, sample.ndarray, times=50)

    assert connections == 1


def test_a_form_is_passed_on_unchanged(pod: Container, sample: Sample) -> None:
    """A multipart form, which the executor passes on unchanged, is answered."""
    if not sample.picture:
        pytest.skip("this model takes no pictures")
    part = {"binData": ("test_image.png", sample.picture, "image/png")}

    body = requests.post(pod.url + "/predict", files=part, headers=FORWARDED, timeout=60).json()

    if "data" in body:
        assert body["data"]["tensor"]["shape"] == [*np.shape(sample.answer)]
        body["data"]["ndarray"] = [body["data"]["tensor"]["values"]]
    assert_right(body, sample)


def test_calls_over_grpc_are_answered(
    pod: Container, channels: list[grpc.Channel], sample: Sample
) -> None:
    """Calls are answered on each of the executor's connections, with forwarded metadata."""
    message = ParseDict(sample.ndarray, prediction_pb2.SeldonMessage())
    metadata = [(name.lower(), value) for name, value in FORWARDED.items()]

    calls = [
        prediction_pb2_grpc.ModelStub(channel).Predict.future(
            message, timeout=60, metadata=metadata, wait_for_ready=True
        )
        for channel in channels
    ]

    for call in calls:
        assert_right(MessageToDict(call.result()), sample)


def feedback_count(pod: Container, tag: str) -> float:
    """The feedback counter on the metrics page, with Seldon's labels for this deployment."""
    image, _, version = tag.rpartition(":")
    labels = {
        "deployment_name": "flowers",
        "predictor_name": "main",
        "predictor_version": "v7",
        "model_name": "classifier",
        "model_image": image,
        "model_version": version,
        "method": "feedback",
    }
    page = requests.get(pod.metrics + "/prometheus", timeout=60).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "seldon_api_model_feedback_total"
        and labels.items() <= sample.labels.items()
    )


def test_feedback_is_counted_for_the_deployment(
    pod: Container, channels: list[grpc.Channel], sample: Sample, tag: str
) -> None:
    """Feedback over REST and gRPC is counted, on the operator's metrics port and path."""
    before = feedback_count(pod, tag)
    feedback = {"request": sample.ndarray, "response": {"meta": {}}, "reward": 1.0}

    sent = requests.post(pod.url + "/send-feedback", json=feedback, headers=FORWARDED, timeout=60)
    message = ParseDict(feedback, prediction_pb2.Feedback())
    prediction_pb2_grpc.ModelStub(channels[0]).SendFeedback(
        message, timeout=60, wait_for_ready=True
    )

    assert sent.status_code == 200
    assert feedback_count(pod, tag) == before + 2
    assert requests.get(pod.metrics + "/metrics", timeout=60).status_code == 404


def test_the_health_of_the_model_is_reported(pod: Container) -> None:
    """The executor's full health check gets `healthy`."""
    response = requests.get(pod.url + "/health/status", headers=FORWARDED, timeout=60)

    assert (response.status_code, response.json()["strData"]) == (200, "healthy")


def test_the_metadata_has_the_image(pod: Container, channels: list[grpc.Channel], tag: str) -> None:
    """The metadata has the image and tag that the operator has set, over REST and gRPC."""
    told = requests.get(pod.url + "/metadata", headers=FORWARDED, timeout=60).json()
    called = prediction_pb2_grpc.ModelStub(channels[0]).Metadata(
        Empty(), timeout=60, wait_for_ready=True
    )

    assert [told["name"], *told["versions"]] == tag.rsplit(":", 1)
    assert [called.name, *called.versions] == tag.rsplit(":", 1)


def test_the_pods_annotations_are_heeded(pod: Container, channels: list[grpc.Channel]) -> None:
    """A message beyond the limit in the pod's annotation is refused."""
    message = prediction_pb2.SeldonMessage(strData="x" * 1_500_000)

    call = prediction_pb2_grpc.ModelStub(channels[0]).Predict.future(
        message, timeout=60, wait_for_ready=True
    )

    assert call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("name", "user"), [("operator", OPERATORS_USER), ("operator, upstream", OPENSHIFTS_USER)]
)
def test_any_user_will_do(begun: dict[str, Future[Any]], name: str, user: str) -> None:
    """Both servers run as a user without a passwd entry, with a read-only root, no capabilities."""
    pod = begun[name].result()

    assert pod.run("id", "-u") == user.partition(":")[0]
    assert "ERROR:" not in pod.log()
    assert "[ERROR]" not in pod.log()
