"""The Kubernetes objects of deploy/."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from serving import ROOT

import images

DEPLOY = ROOT / "deploy"
TARGETS = [target for target in images.targets().values() if not target.older]
#: The restricted pod security standard, and a read-only root file system.
RESTRICTED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@cache
def documents(path: Path) -> list[dict[str, Any]]:
    """The objects in a file."""
    return list(yaml.safe_load_all(path.read_text()))


def plain(target: images.Target) -> dict[str, dict[str, Any]]:
    """The objects of a target's plain file, by kind."""
    return {each["kind"]: each for each in documents(DEPLOY / f"plain/{target.name}.yaml")}


def seldon(target: images.Target) -> dict[str, Any]:
    """The predictor of a target's SeldonDeployment."""
    (deployment,) = documents(DEPLOY / f"seldon/{target.name}.yaml")
    assert deployment["apiVersion"] == "machinelearning.seldon.io/v1"
    assert deployment["kind"] == "SeldonDeployment"
    assert deployment["metadata"] == {"name": target.name}
    (predictor,) = deployment["spec"]["predictors"]
    return predictor


def runtime(target: images.Target) -> dict[str, Any]:
    """A target's ClusterServingRuntime; older versions use their image's, with another tag."""
    found = {each["metadata"]["name"]: each for each in documents(DEPLOY / "kserve/runtimes.yaml")}
    return found[f"prepackaged-{target.image.name if target.older else target.name}"]


def inference_service(target: images.Target) -> dict[str, Any]:
    """A target's InferenceService."""
    (service,) = documents(DEPLOY / f"kserve/{target.name}.yaml")
    return service


def environment_of_kserve(target: images.Target, name: str, model: str) -> dict[str, str]:
    """The environment of the runtime's container for an InferenceService of this name."""
    (container,) = runtime(target)["spec"]["containers"]
    values = {each["name"]: each["value"] for each in container["env"]}
    return {key: value.replace("{{.Name}}", name) for key, value in values.items()} | {
        "MLSERVER_MODEL_URI": model
    }


def pods(target: images.Target) -> list[dict[str, Any]]:
    """A target's pods, of the plain file and of Seldon's operator: labels and pod template."""
    (component,) = seldon(target)["componentSpecs"]
    return [plain(target)["Deployment"]["spec"]["template"], component]


def containers(target: images.Target) -> list[dict[str, Any]]:
    """The containers of a target's pods, one in each."""
    return [container for pod in pods(target) for container in pod["spec"]["containers"]]


def environment(target: images.Target) -> dict[str, str]:
    """The environment of the plain file's container."""
    return {each["name"]: each["value"] for each in containers(target)[0]["env"]}
