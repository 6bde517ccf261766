"""The files of deploy/ for Kubernetes and Seldon's operator are valid and current."""

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import reduce
from typing import Any

import kubernetes_validate
import pytest
import requests
from manifests import (
    DEPLOY,
    RESTRICTED,
    TARGETS,
    containers,
    documents,
    environment,
    plain,
    pods,
    seldon,
)
from serving import Server, serve

import deploy
import images
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.shutdown import ShutdownTimes

OLDEST, NEWEST = "1.25", kubernetes_validate.latest_version()
(POD_MONITOR,) = documents(DEPLOY / "monitoring/podmonitor.yaml")


def predictor_servers() -> dict[str, Any]:
    """The operator's servers in the Helm values."""
    (values,) = documents(DEPLOY / "seldon/predictor-servers.yaml")
    assert set(values) == {"predictor_servers"}
    return values["predictor_servers"]


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the registry of the published images."""
    monkeypatch.setattr(images, "REGISTRY", "infuseai")


def test_the_generated_files_are_what_make_deploy_writes() -> None:
    """The generated files are current and complete, and none belongs to a removed target."""
    written = deploy.rendered()

    stale = [path for path, text in written.items() if (DEPLOY / path).read_text() != text]

    assert stale == []
    found = {
        file.relative_to(DEPLOY) for kind in deploy.KINDS for file in (DEPLOY / kind).iterdir()
    }
    assert found <= set(written)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_kubernetes_knows_every_field_of_the_plain_files(
    target: images.Target, version: str
) -> None:
    """Plain files have only known fields, in the oldest supported Kubernetes and the newest."""
    found = plain(target)

    assert set(found) == {
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
    }
    for each in found.values():
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_kubernetes_knows_every_field_of_what_the_operator_makes(
    target: images.Target, version: str
) -> None:
    """A componentSpec has only known fields of a pod, an autoscaler and a disruption budget."""
    (component,) = seldon(target)["componentSpecs"]
    scaler, autoscaler = dict(component["hpaSpec"]), {"apiVersion": "apps/v1", "kind": "Deployment"}
    scaler |= {"metrics": scaler.pop("metricsv2"), "scaleTargetRef": autoscaler | {"name": "x"}}

    for kind, version_of_kind, spec in (
        ("Pod", "v1", component["spec"]),
        ("HorizontalPodAutoscaler", "autoscaling/v2", scaler),
        ("PodDisruptionBudget", "policy/v1", component["pdbSpec"]),
    ):
        metadata = component["metadata"] if kind == "Pod" else {}
        made = {"apiVersion": version_of_kind, "kind": kind, "metadata": metadata, "spec": spec}
        kubernetes_validate.validate(made, version, strict=True)


def test_a_field_that_is_misspelt_would_be_found() -> None:
    """The validator finds an unknown field."""
    deployment = deepcopy(plain(TARGETS[0])["Deployment"])
    deployment["spec"]["progressDeadlineSecond"] = 1

    with pytest.raises(kubernetes_validate.ValidationError, match="progressDeadlineSecond"):
        kubernetes_validate.validate(deployment, NEWEST, strict=True)


def test_the_operators_servers_are_the_tags_of_every_build() -> None:
    """The operator has a server for each target, with the tag that never changes."""
    tags = []
    for name, server in predictor_servers().items():
        assert name.startswith("PREPACKAGED_")
        assert list(server) == ["protocols"]
        assert list(server["protocols"]) == ["seldon", "v2"]
        image = server["protocols"]["seldon"]
        assert server["protocols"]["v2"] == image  # the image speaks both protocols at once
        assert set(image) == {"image", "defaultImageVersion"}
        tags.append(f"{image['image']}:{image['defaultImageVersion']}")

    assert tags == [target.tags()[0] for target in images.targets().values()]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_seldon_deployment_asks_for_a_server_that_the_operator_knows(
    target: images.Target,
) -> None:
    """The graph names a server of the operator, and its container leaves the image to it."""
    predictor = seldon(target)
    server = predictor_servers()[predictor["graph"]["implementation"]]["protocols"]["seldon"]
    (component,) = predictor["componentSpecs"]
    (container,) = component["spec"]["containers"]

    assert f"{server['image']}:{server['defaultImageVersion']}" == target.tags()[0]
    assert set(predictor) == {"name", "graph", "componentSpecs"}
    assert set(predictor["graph"]) == {"name", "implementation", "modelUri", "parameters"}
    assert set(component) == {"metadata", "spec", "hpaSpec", "pdbSpec"}
    assert predictor["graph"]["name"] == container["name"]
    assert container.keys().isdisjoint({"image", "command", "args", "ports", "env"})


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_plain_deployment_runs_the_builds_image_on_its_claim(target: images.Target) -> None:
    """The model is mounted read-only at the path in the parameters."""
    spec = plain(target)["Deployment"]["spec"]["template"]["spec"]
    (container,), (volume,) = spec["containers"], spec["volumes"]
    (mount,) = container["volumeMounts"]
    parameters = json.loads(environment(target)["PREDICTIVE_UNIT_PARAMETERS"])

    assert container["image"] == target.tags()[0]
    assert mount["name"] == volume["name"]
    assert parameters == [{"name": "model_uri", "type": "STRING", "value": mount["mountPath"]}]
    assert mount["readOnly"]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_objects_of_a_plain_file_find_each_other(target: images.Target) -> None:
    """The Service and the budget select the Deployment's pods; the autoscaler its Deployment."""
    found = plain(target)
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"].items()

    for selector in (
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert all(port["targetPort"] in ports for port in found["Service"]["spec"]["ports"])
    scaled = found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert scaled == {"apiVersion": "apps/v1", "kind": "Deployment", "name": target.name}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_variant_for_gpus_asks_for_one(target: images.Target) -> None:
    """Only GPU targets request a GPU."""
    for container in containers(target):
        assert container["resources"]["limits"].get("nvidia.com/gpu") == (
            "1" if target.is_gpu else None
        )


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_model_has_the_time_to_load_that_primehub_gives(target: images.Target) -> None:
    """Startup probe and rollout allow 15 minutes to load, as PrimeHub does."""
    for container in containers(target):
        probe = container["startupProbe"]
        loads = probe["periodSeconds"] * probe["failureThreshold"]
        assert loads >= 15 * 60
    assert plain(target)["Deployment"]["spec"]["progressDeadlineSeconds"] > loads


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_pod_is_not_killed_before_its_server_has_ended(target: images.Target) -> None:
    """The preStop sleep and the whole shutdown fit into the pod's grace period."""
    for pod in pods(target):
        (container,) = pod["spec"]["containers"]
        command = container["lifecycle"]["preStop"]["exec"]["command"]
        sleeps = int(command[-1].removeprefix("/bin/sleep "))
        ends = sleeps + ShutdownTimes().workers
        assert command[:-1] == ["/bin/sh", "-c"]
        assert ends <= pod["spec"]["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_containers_have_no_right_that_they_do_not_need(target: images.Target) -> None:
    """Containers meet the restricted pod security standard and have a read-only root."""
    for container in containers(target):
        assert container["securityContext"] == RESTRICTED


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_pod_monitor_finds_the_metrics_of_every_pod(target: images.Target) -> None:
    """The PodMonitor selects every pod by its labels, and its port and path by name."""
    spec = POD_MONITOR["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    ports = {port["name"]: port["containerPort"] for port in containers(target)[0]["ports"]}

    for pod in pods(target):
        labels = pod["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
        assert {spec["jobLabel"], *spec["podTargetLabels"]} <= set(labels)
    assert endpoint == {"port": "metrics", "path": "/prometheus"}  # as set by the operator
    assert ports[endpoint["port"]] == Config("Model", {}).metrics_port
    assert environment(target)["PREDICTIVE_UNIT_METRICS_ENDPOINT"] == endpoint["path"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the environment of a plain file, without the model."""
    directory = tmp_path_factory.mktemp("model")
    (directory / "Model.py").write_text("class Model:\n    def predict(self, X, names): return X\n")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(TARGETS[0]).items():
            patch.setenv(name, value)
        with serve(directory) as served:
            yield served


def test_a_server_answers_where_kubernetes_asks(server: Server) -> None:
    """The paths of liveness probe and PodMonitor answer, and the ports are the defaults."""
    for container in containers(TARGETS[0]):
        path = container["livenessProbe"]["httpGet"]["path"]
        assert requests.get(server.url + path, timeout=60).text == "pong"
    (endpoint,) = POD_MONITOR["spec"]["podMetricsEndpoints"]
    page = requests.get(server.metrics + endpoint["path"], timeout=60)
    assert "prepackaged_build_info" in page.text
    unset = Config("Model", {})
    named = [(port["name"], port["containerPort"]) for port in containers(TARGETS[0])[0]["ports"]]
    assert named == [
        ("http", unset.http_port),
        ("grpc", unset.grpc_port),
        ("metrics", unset.metrics_port),
    ]


def test_probes_ask_the_port_that_the_operator_names_http() -> None:
    """Probes use the port name `http`, since the operator adds the ports to the container."""
    for container in containers(TARGETS[0]):
        for probe, way in (
            ("startupProbe", ["tcpSocket", "port"]),
            ("readinessProbe", ["tcpSocket", "port"]),
            ("livenessProbe", ["httpGet", "port"]),
        ):
            assert reduce(dict.__getitem__, way, container[probe]) == "http"
