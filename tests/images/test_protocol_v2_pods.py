"""Pods of platforms that use the Open Inference Protocol: KServe and Seldon."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pods
import pytest
import requests
from containers import Container
from lives import begun
from manifests import runtime
from samples import Sample
from waiting import wait_until

import images
from prepackaged.server.protocols.v2.descriptors import CLASSES, SERVICE

NAMES = {"KServe": "flowers", "Seldon": "classifier"}


@pytest.fixture(scope="module", params=NAMES)
def platform(request: pytest.FixtureRequest) -> str:
    """The platform whose pod is tested."""
    return str(request.param)


@pytest.fixture(scope="module")
def described(
    platform: str, image: str, tag: str, sample: Sample, new_directory: Callable[[], Path]
) -> pods.Pod:
    """The pod as the platform configures it."""
    if platform == "KServe":
        return pods.kserve(images.find(image), sample.model)
    return pods.operators_v2(tag, sample.model, new_directory())


@pytest.fixture(scope="module")
def pod(tag: str, image: str, described: pods.Pod) -> Iterator[Container]:
    """The pod, once its readiness probe succeeds; its port opens before that."""
    with begun(tag, described) as container:
        wait_until_ready(container, image)
        yield container


def wait_until_ready(pod: Container, image: str) -> None:
    """Wait as long as a startup probe would; fail with the log of a pod that ends or hangs."""

    def answers() -> bool:
        is_ready = status(pod, image, "readinessProbe") == 200
        assert is_ready or not pod.ended(), pod.story()
        return is_ready

    wait_until(answers, pod.story, seconds=300)


def status(pod: Container, image: str, probe: str) -> int:
    """The status of a probe of the runtime, which the operator uses too; 0 without an answer."""
    (container,) = runtime(images.find(image))["spec"]["containers"]
    try:
        path = container[probe]["httpGet"]["path"]
        return requests.get(pod.url + path, timeout=60).status_code
    except requests.ConnectionError:
        return 0


def rows_of(sample: Sample) -> Any:
    """The sample's rows; skips the test for a server without a numeric answer."""
    if sample.model is None or sample.rows is None:
        pytest.skip("this server answers no numbers, or it is a fork's")
    return np.array(sample.rows)


def test_the_pod_is_alive_and_ready_under_its_name(
    pod: Container, platform: str, image: str
) -> None:
    """The pod is live, and serves the name of the InferenceService or of the graph's node."""
    assert status(pod, image, "livenessProbe") == 200
    assert requests.get(pod.url + "/v2/models", timeout=60).json() == {"models": [NAMES[platform]]}


def test_rows_are_answered_over_rest(pod: Container, platform: str, sample: Sample) -> None:
    """Rows over REST get the framework's own answer."""
    rows = rows_of(sample)
    tensor = {"name": "x", "datatype": "FP64", "shape": rows.shape, "data": rows.tolist()}
    path = f"/v2/models/{NAMES[platform]}/infer"

    (output,) = pod.post({"inputs": [tensor]}, path).json()["outputs"]

    answer = np.array(output["data"]).reshape(output["shape"])
    np.testing.assert_allclose(answer, sample.answer, rtol=1e-4)


def test_rows_are_answered_over_grpc_on_rests_port(
    pod: Container, platform: str, sample: Sample
) -> None:
    """Rows over gRPC work on REST's port, the only one that Knative exposes."""
    rows = rows_of(sample).astype("<f4")
    tensor = {"name": "x", "datatype": "FP32", "shape": rows.shape}
    request = CLASSES["ModelInferRequest"](
        model_name=NAMES[platform], inputs=[tensor], raw_input_contents=[rows.tobytes()]
    )

    with grpc.insecure_channel(pod.url.removeprefix("http://")) as channel:
        response = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            request_serializer=CLASSES["ModelInferRequest"].SerializeToString,
            response_deserializer=CLASSES["ModelInferResponse"].FromString,
        )(request, timeout=60)

    kind = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8"}[response.outputs[0].datatype]
    answer = np.frombuffer(response.raw_output_contents[0], kind)
    np.testing.assert_allclose(answer, np.ravel(sample.answer), rtol=1e-4)


def test_it_runs_as_the_platforms_user(pod: Container, platform: str) -> None:
    """The server runs as the platform's user: no passwd entry, no capabilities, read-only root."""
    users = {"KServe": pods.MODELCARS_USER, "Seldon": pods.OPERATORS_USER}

    assert pod.run("id", "-u") == users[platform]
    assert "ERROR" not in pod.log()


def test_it_ends_before_it_is_killed(pod: Container, described: pods.Pod) -> None:
    """The pod ends with status 0 within the time after the preStop hook; must be the last test."""
    pod.stop(described.seconds)

    assert pod.wait() == 0
