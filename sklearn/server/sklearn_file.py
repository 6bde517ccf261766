"""Read an estimator from a model file, and the versions of the packages that saved it."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from prepackaged import Artifact, DeploymentError
from prepackaged.allowed_imports import AllowedImports
from prepackaged.estimators.answers import METHODS, methods_of
from prepackaged.estimators.pickled import HERE, SKLEARN, load_pickle, logged_warnings
from prepackaged.estimators.skops_files import SKOPS, read_skops, version_in_skops
from prepackaged.pickles import PickleFacts, read_facts
from prepackaged.versions import Versions, mlflow_versions

SERVER = Path(__file__).resolve().parent


def read(
    artifact: Artifact, trusted_types: Collection[str], allowed: AllowedImports
) -> tuple[Any, Versions]:
    """Return the estimator in the file, and the versions that saved it.

    A pickle may only import what `allowed` permits, and a .skops file only contain trusted types;
    `read_skops` says which. Raises `DeploymentError` if the file cannot be loaded or contains no
    estimator.
    """
    is_skops = artifact.name.endswith(SKOPS)
    facts = PickleFacts() if is_skops else read_facts(artifact.path)
    saved = artifact.flavor.get("sklearn_version")
    saved = saved or facts.sklearn or (version_in_skops(artifact.path) if is_skops else "")
    versions = Versions({SKLEARN: str(saved)} if saved else {}, HERE, *mlflow_versions(artifact))
    with artifact.reading(versions.advice()), logged_warnings(artifact.path):
        if is_skops:
            model = read_skops(artifact, trusted_types, SERVER)
        else:
            model = load_pickle(artifact, facts, versions.python, SERVER, allowed)
    _check_methods(model, artifact)
    return model, versions


def _check_methods(model: Any, artifact: Artifact) -> None:
    if not methods_of(model):
        kind = f"{type(model).__module__}.{type(model).__name__}"
        raise DeploymentError(
            f"model file {artifact.path} holds a {kind}, which has none of the methods"
            f" {', '.join(METHODS)}: not a scikit-learn estimator that can answer"
        )
