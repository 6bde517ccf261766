"""The overlays of deploy/kustomize are valid, and their objects match each other."""

import json
import re
import shutil
import subprocess
from functools import cache
from typing import Any

import kubernetes_validate
import promql_parser
import pytest
import yaml
from custom_resources import validate
from manifests import DEPLOY, TARGETS, documents

import images
from prepackaged.server.runtime.config import Config

OLDEST, NEWEST = "1.25", kubernetes_validate.latest_version()
DIRECTORY = DEPLOY / "kustomize"
OVERLAYS = sorted(path.name for path in (DIRECTORY / "overlays").iterdir())
QUEUE = "prepackaged_queue_depth_requests"  # checked in tests/server/test_metrics_page.py

Objects = dict[str, dict[str, Any]]

with_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl has kustomize in it"
)


@cache
def built(overlay: str) -> Objects:
    """The objects of an overlay by kind, as kustomize builds them."""
    command = ["kubectl", "kustomize", str(DIRECTORY / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}


def pod(objects: Objects) -> dict[str, Any]:
    """The pod of the Deployment."""
    return objects["Deployment"]["spec"]["template"]["spec"]


def test_what_an_overlay_names_is_there() -> None:
    """Every file, directory and image name in a kustomization exists."""
    known = {images.repository(target.image) for target in TARGETS}
    for path in DIRECTORY.rglob("kustomization.yaml"):
        (said,) = documents(path)
        for key in ("resources", "components", "configurations"):
            assert all((path.parent / name).exists() for name in said.get(key, [])), path
        for image in said.get("images", []):
            assert {image["name"], image["newName"]} <= known, path


@with_kubectl
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_field_is_known(overlay: str, version: str) -> None:
    """Fields are known to the oldest supported Kubernetes and the newest, or to a controller."""
    for each in built(overlay).values():
        validate(each, version)


@with_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_objects_find_each_other(overlay: str) -> None:
    """Names, labels and selectors of an overlay agree, with the overlay's own prefix."""
    objects = built(overlay)
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]

    assert labels["app.kubernetes.io/name"] == overlay
    assert labels["app.kubernetes.io/part-of"] == "prepackaged-servers"
    for selector in (
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector == {"app.kubernetes.io/name": overlay}
    scalers = [each for each in objects if each in {"HorizontalPodAutoscaler", "ScaledObject"}]
    assert len(scalers) == 1
    scaled = objects[scalers[0]]["spec"]["scaleTargetRef"]
    assert scaled["name"] == objects["Deployment"]["metadata"]["name"] == f"{overlay}-server"


@with_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_image_has_the_tag_of_this_release(
    overlay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The overlay's image has the tag of this release."""
    monkeypatch.setattr(images, "REGISTRY", "infuseai")
    (container,) = pod(built(overlay))["containers"]

    assert container["image"] in {target.tags()[0] for target in TARGETS}


@with_kubectl
def test_a_claim_is_mounted_where_the_server_looks() -> None:
    """The overlay's own claim is mounted at the server's model path."""
    spec = pod(built("iris"))

    assert spec["volumes"] == [
        {"name": "model", "persistentVolumeClaim": {"claimName": "iris-model", "readOnly": True}}
    ]
    assert spec["containers"][0]["volumeMounts"][0]["mountPath"] == "/mnt/models"


@with_kubectl
def test_a_model_that_is_fetched_is_put_where_the_server_looks() -> None:
    """A model is fetched from the overlay's address; a new address replaces the pods."""
    objects = built("digits")
    (fetch,), (server,) = pod(objects)["initContainers"], pod(objects)["containers"]
    volumes = {each["name"]: each for each in pod(objects)["volumes"]}
    source = fetch["env"][0]["valueFrom"]["configMapKeyRef"]

    assert source["name"] == objects["ConfigMap"]["metadata"]["name"]
    assert re.fullmatch(r"digits-model-\w{10}", source["name"])
    assert objects["ConfigMap"]["data"] == {source["key"]: "s3://models/digits"}
    assert fetch["args"] == [f"$({fetch['env'][0]['name']})", "/mnt/models"]
    assert volumes["model"] == {"name": "model", "emptyDir": {}}
    for container, is_read_only in ((fetch, None), (server, True)):
        (mount,) = (each for each in container["volumeMounts"] if each["name"] == "model")
        assert (mount["mountPath"], mount.get("readOnly")) == ("/mnt/models", is_read_only)
    assert fetch["securityContext"] == server["securityContext"]


@with_kubectl
def test_the_queue_scales() -> None:
    """The autoscaler's metric is the one that the adapter derives from the server's queue."""
    (metric,) = built("iris")["HorizontalPodAutoscaler"]["spec"]["metrics"]
    ((rule,),) = (each["rules"]["custom"] for each in documents(DEPLOY / "monitoring/adapter.yaml"))
    (series, labels) = re.fullmatch(r"(\w+)\{(.*)\}", rule["seriesQuery"]).groups()

    assert metric["pods"]["metric"]["name"] == series == QUEUE
    assert labels == 'namespace!="",pod!=""'
    assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}


@with_kubectl
def test_keda_asks_for_the_queue_of_these_pods() -> None:
    """KEDA's query selects the queue of these pods by the PodMonitor's labels."""
    objects = built("digits")
    (trigger,) = objects["ScaledObject"]["spec"]["triggers"]
    query = promql_parser.parse(trigger["metadata"]["query"])
    matchers = {each.name: each.value for each in query.expr.matchers.matchers}

    assert query.expr.name == QUEUE
    assert matchers == {
        "namespace": objects["Deployment"]["metadata"]["namespace"],
        "job": objects["Deployment"]["metadata"]["labels"]["app.kubernetes.io/name"],
    }


@with_kubectl
def test_the_ingress_leads_to_the_service_and_asks_for_a_password() -> None:
    """The Ingress leads to the Service, requires a password, and has TLS for its own host."""
    objects = built("digits")
    ingress, password = objects["Ingress"], objects["Middleware"]["metadata"]
    (rule,), (tls,) = ingress["spec"]["rules"], ingress["spec"]["tls"]
    (path,) = rule["http"]["paths"]
    middlewares = "traefik.ingress.kubernetes.io/router.middlewares"

    assert ingress["metadata"]["annotations"][middlewares] == (
        f"{password['namespace']}-{password['name']}@kubernetescrd"
    )
    assert tls["hosts"] == [rule["host"]]
    assert path["backend"]["service"]["name"] == objects["Service"]["metadata"]["name"]
    ports = {each["name"] for each in objects["Service"]["spec"]["ports"]}
    assert path["backend"]["service"]["port"]["name"] in ports


def test_pods_are_annotated_for_a_scraper_without_the_operator() -> None:
    """The pods' annotations have the port and path of the metrics."""
    template = documents(DIRECTORY / "base/server.yaml")[0]["spec"]["template"]
    variables = {each["name"]: each["value"] for each in template["spec"]["containers"][0]["env"]}

    assert template["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(Config("Model", {}).metrics_port),
        "prometheus.io/path": variables["PREDICTIVE_UNIT_METRICS_ENDPOINT"],
    }
    assert json.loads(variables["PREDICTIVE_UNIT_PARAMETERS"])[0]["value"] == "/mnt/models"
