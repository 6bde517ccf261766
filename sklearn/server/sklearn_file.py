"""Read an estimator from a model file, and the versions of the packages that saved it."""

import re
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from prepackaged import Artifact, DeploymentError
from prepackaged.allowed_imports import AllowedImports
from prepackaged.estimators.answers import METHODS, methods_of
from prepackaged.estimators.pickled import HERE, SKLEARN, load_pickle, logged_warnings
from prepackaged.own_code import own_code_of
from prepackaged.pickles import PickleFacts, read_facts
from prepackaged.versions import Versions, mlflow_versions

SERVER = Path(__file__).resolve().parent
SKOPS = ".skops"
# The version of scikit-learn in a .skops file: an attribute of the estimator.
VERSION_IN_SKOPS = re.compile(rb'"_sklearn_version":\s*\{[^}]*"content":\s*"\\"([\w.]+)\\""')


def read(
    artifact: Artifact, trusted_types: Collection[str], allowed: AllowedImports
) -> tuple[Any, Versions]:
    """Return the estimator in the file, and the versions that saved it.

    A pickle may only import what `allowed` permits. In a .skops file, the types in
    `trusted_types` and those that an MLflow model lists are trusted. Raises `DeploymentError` if
    the file cannot be loaded or contains no estimator.
    """
    is_skops = artifact.name.endswith(SKOPS)
    facts = PickleFacts() if is_skops else read_facts(artifact.path)
    saved = artifact.flavor.get("sklearn_version")
    saved = saved or facts.sklearn or (_version_in_skops(artifact.path) if is_skops else "")
    versions = Versions({SKLEARN: str(saved)} if saved else {}, HERE, *mlflow_versions(artifact))
    with artifact.reading(versions.advice()), logged_warnings(artifact.path):
        if is_skops:
            trusted = {*trusted_types, *(artifact.flavor.get("skops_trusted_types") or ())}
            model = _read_skops(artifact, trusted)
        else:
            model = load_pickle(artifact, facts, versions.python, SERVER, allowed)
    _check_methods(model, artifact)
    return model, versions


def _read_skops(artifact: Artifact, trusted_types: set[str]) -> Any:
    import skops.io  # slow to import, and few models need it

    with own_code_of(artifact, SERVER):
        untrusted = set(skops.io.get_untrusted_types(file=artifact.path)) - trusted_types
        if untrusted:
            raise DeploymentError(
                f"model file {artifact.path} holds types that are not trusted by default. If you"
                f" trust the file, set the parameter trusted_types to {','.join(sorted(untrusted))}"
            )
        return skops.io.load(artifact.path, trusted=sorted(trusted_types))


def _version_in_skops(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            found = VERSION_IN_SKOPS.search(archive.read("schema.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return ""
    return found[1].decode() if found else ""


def _check_methods(model: Any, artifact: Artifact) -> None:
    if not methods_of(model):
        kind = f"{type(model).__module__}.{type(model).__name__}"
        raise DeploymentError(
            f"model file {artifact.path} holds a {kind}, which has none of the methods"
            f" {', '.join(METHODS)}: not a scikit-learn estimator that can answer"
        )
