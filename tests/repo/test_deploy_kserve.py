"""The files of deploy/kserve are valid and current."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import requests
from custom_resources import validate
from manifests import (
    DEPLOY,
    RESTRICTED,
    TARGETS,
    documents,
    environment_of_kserve,
    inference_service,
    runtime,
)
from serving import ROOT, Server, serve
from waiting import wait_until

import images
from prepackaged.server.runtime.config import Config, read_config
from prepackaged.server.runtime.shutdown import ShutdownTimes

OLDEST, NEWEST = "1.25", kubernetes_validate.latest_version()
# https://github.com/knative/serving/blob/v0.47.0/pkg/apis/serving/fieldmask.go
REFUSED_BY_KNATIVE = {"lifecycle", "tty", "stdin", "volumeDevices"}
# The names that KServe gives to frameworks, and the major versions of our targets for CPUs.
KSERVES_FORMATS = {
    "skeleton": [("skeleton", "1")],
    "sklearn": [("sklearn", "1")],
    "xgboost": [("xgboost", "2"), ("xgboost", "3")],
    "pytorch": [("pytorch", "2")],
    "tensorflow2": [("tensorflow", "2")],
    "onnx": [("onnx", "1")],
}
MODEL = "class Model:\n    def predict(self, X, names): return X\n"


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the registry of the published images."""
    monkeypatch.setattr(images, "REGISTRY", "infuseai")


def container(target: images.Target) -> dict[str, Any]:
    """The only container of a target's runtime."""
    (found,) = runtime(target)["spec"]["containers"]
    return found


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_kserve_knows_every_field(target: images.Target, version: str) -> None:
    """All fields are known to KServe, or to the oldest supported Kubernetes and the newest."""
    validate(runtime(target), version)
    validate(inference_service(target), version)


def test_a_field_that_is_misspelt_would_be_found() -> None:
    """The validator finds an unknown field of KServe's and one of the pod's."""
    made, service = deepcopy(runtime(TARGETS[0])), deepcopy(inference_service(TARGETS[0]))
    made["spec"]["containers"][0]["readinesProbe"] = {}
    service["spec"]["predictor"]["model"]["storageURI"] = "gs://bucket"

    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        validate(made, NEWEST)
    with pytest.raises(jsonschema.ValidationError, match="storageURI"):
        validate(service, NEWEST)


def test_there_is_a_runtime_for_each_target_and_no_other() -> None:
    """Each target has a runtime with the tag that never changes; older ones are its versions."""
    found = [
        (each["metadata"]["name"], each["spec"]["containers"][0]["image"])
        for each in documents(DEPLOY / "kserve/runtimes.yaml")
    ]

    assert found == [(f"prepackaged-{target.name}", target.tags()[0]) for target in TARGETS]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_an_inference_service_asks_for_a_runtime_that_serves_it(target: images.Target) -> None:
    """The runtime lists the InferenceService's format and protocol; KServe refuses any other."""
    model = inference_service(target)["spec"]["predictor"]["model"]
    spec = runtime(target)["spec"]

    assert model["runtime"] == runtime(target)["metadata"]["name"]
    assert model["modelFormat"]["name"] in {each["name"] for each in spec["supportedModelFormats"]}
    assert model["protocolVersion"] in spec["protocolVersions"]


def test_the_formats_are_kserves() -> None:
    """The formats have KServe's names and the frameworks' major versions; forks add others."""
    formats = {
        target.name: [
            (each["name"], each["version"])
            for each in runtime(target)["spec"]["supportedModelFormats"]
        ]
        for target in TARGETS
        if target.name in KSERVES_FORMATS
    }

    assert formats == KSERVES_FORMATS


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_runtime_serves_nothing_that_did_not_ask_for_it(target: images.Target) -> None:
    """No runtime is selected automatically, so KServe's own runtimes keep their models."""
    formats = runtime(target)["spec"]["supportedModelFormats"]

    assert [each for each in formats if each["autoSelect"]] == []


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_knative_takes_the_container(target: images.Target) -> None:
    """The container has one port named after a protocol, and no field that Knative refuses."""
    found = container(target)
    (port,) = found["ports"]

    assert port == {"name": "h2c", "containerPort": Config("Model", {}).http_port} | {
        "protocol": "TCP"
    }
    assert REFUSED_BY_KNATIVE.isdisjoint(found)
    assert found["name"] == "kserve-container"
    for probe in (found["readinessProbe"], found["livenessProbe"]):
        assert probe["httpGet"]["port"] == port["containerPort"]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_kserve_finds_no_template_but_the_name(target: images.Target) -> None:
    """The container's only template is {{.Name}}, since KServe runs the text as a Go template."""
    assert str(container(target)).count("{{") == str(container(target)).count("{{.Name}}") == 1


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_arguments_of_an_inference_service_are_flags_of_the_server(target: images.Target) -> None:
    """Arguments of an InferenceService are appended to the command and parsed as flags."""
    program, *arguments = container(target)["command"]
    config = read_config([*arguments, "--model_name=iris", "--nthread=4"], {})

    assert program == "prepackaged-microservice"
    assert (config.interface, config.model_name, config.access_log) == ("Model", "iris", True)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_container_has_what_it_needs_and_no_right_beyond(target: images.Target) -> None:
    """Only GPU targets request a GPU, and containers meet the restricted pod security standard."""
    limits = container(target)["resources"]["limits"]

    assert limits.get("nvidia.com/gpu") == ("1" if target.is_gpu else None)
    assert container(target)["securityContext"] == RESTRICTED


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_pod_is_not_killed_before_its_server_has_ended(target: images.Target) -> None:
    """The preStop sleep and the shutdown fit into the InferenceService's grace period."""
    predictor = inference_service(target)["spec"]["predictor"]
    command = predictor["model"]["lifecycle"]["preStop"]["exec"]["command"]
    sleeps = int(command[-1].removeprefix("/bin/sleep "))

    assert sleeps + ShutdownTimes().workers <= predictor["terminationGracePeriodSeconds"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the environment of a runtime, and its model in a directory."""
    directory = tmp_path_factory.mktemp("model")
    (directory / "Model.py").write_text(MODEL)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment_of_kserve(TARGETS[0], "iris", str(directory)).items():
            patch.setenv(name, value)
        with serve(directory) as served:
            wait_until(lambda: is_ready(served))
            yield served


def is_ready(server: Server) -> bool:
    """Return whether the readiness probe succeeds; ports open before that."""
    path = container(TARGETS[0])["readinessProbe"]["httpGet"]["path"]
    return requests.get(server.url + path, timeout=60).status_code == 200


def test_a_server_answers_where_the_probes_ask(server: Server) -> None:
    """The paths of the probes, which have the InferenceService's name, answer."""
    answers = [
        requests.get(server.url + container(TARGETS[0])[probe]["httpGet"]["path"], timeout=60)
        for probe in ("readinessProbe", "livenessProbe")
    ]

    assert [answer.json() for answer in answers] == [{"ready": True}, {"live": True}]
    assert requests.get(server.url + "/v2/models", timeout=60).json() == {"models": ["iris"]}


def test_the_annotations_lead_to_the_metrics(server: Server) -> None:
    """The annotations have the path and port of the metrics."""
    annotations = runtime(TARGETS[0])["spec"]["annotations"]
    page = requests.get(server.metrics + annotations["prometheus.kserve.io/path"], timeout=60)

    assert "prepackaged_build_info" in page.text
    assert annotations["prometheus.kserve.io/port"] == str(Config("Model", {}).metrics_port)


def test_the_versions_of_a_runtime_that_are_shown_exist() -> None:
    """Every `runtimeVersion` in docs/kserve.md is a tag of an image."""
    page = (ROOT / "docs/kserve.md").read_text()
    shown = [line.split()[-1] for line in page.splitlines() if "runtimeVersion:" in line]
    tags = {tag for target in images.targets().values() for tag in target.short_tags()}

    assert shown
    assert set(shown) <= tags
