"""The objects of deploy/, as tests look at them."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from serving import ROOT

import images

DEPLOY = ROOT / "deploy"
ROWS = [row for row in images.rows().values() if not row.older]


@cache
def documents(path: Path) -> list[dict[str, Any]]:
    """The objects in a file."""
    return list(yaml.safe_load_all(path.read_text()))


def plain(row: images.Row) -> dict[str, dict[str, Any]]:
    """The objects of a row's plain file, by kind."""
    return {each["kind"]: each for each in documents(DEPLOY / f"plain/{row.name}.yaml")}


def seldon(row: images.Row) -> dict[str, Any]:
    """The predictor of a row's SeldonDeployment."""
    (deployment,) = documents(DEPLOY / f"seldon/{row.name}.yaml")
    assert deployment["apiVersion"] == "machinelearning.seldon.io/v1"
    assert deployment["kind"] == "SeldonDeployment"
    assert deployment["metadata"] == {"name": row.name}
    (predictor,) = deployment["spec"]["predictors"]
    return predictor


def pods(row: images.Row) -> list[dict[str, Any]]:
    """A row's pods, without the operator and with it: labels and what a pod is made of."""
    (component,) = seldon(row)["componentSpecs"]
    return [plain(row)["Deployment"]["spec"]["template"], component]


def containers(row: images.Row) -> list[dict[str, Any]]:
    """The one container of each of a row's pods."""
    return [container for pod in pods(row) for container in pod["spec"]["containers"]]


def environment(row: images.Row) -> dict[str, str]:
    """The variables of a plain file's container."""
    return {each["name"]: each["value"] for each in containers(row)[0]["env"]}
