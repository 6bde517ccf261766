"""Read estimators from .skops files, which contain types and values instead of a pickle's code."""

import re
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from prepackaged.artifacts import Artifact
from prepackaged.errors import DeploymentError
from prepackaged.own_code import own_code_of

SKOPS = ".skops"
# The version of scikit-learn in a .skops file: an attribute of the estimator.
VERSION = re.compile(rb'"_sklearn_version":\s*\{[^}]*"content":\s*"\\"([\w.]+)\\""')


def read_skops(artifact: Artifact, trusted_types: Collection[str], server: Path) -> Any:
    """Return the object in the file; `server` is the directory of the image's own modules.

    The file may contain the types that skops trusts, those in `trusted_types`, and those that an
    MLflow model lists. Raises `DeploymentError` for any other type.
    """
    import skops.io  # slow to import, and few models need it

    trusted = {*trusted_types, *(artifact.flavor.get("skops_trusted_types") or ())}
    with own_code_of(artifact, server):
        untrusted = set(skops.io.get_untrusted_types(file=artifact.path)) - trusted
        if untrusted:
            raise DeploymentError(
                f"model file {artifact.path} holds types that are not trusted by default. If you"
                f" trust the file, set the parameter trusted_types to {','.join(sorted(untrusted))}"
            )
        return skops.io.load(artifact.path, trusted=sorted(trusted))


def version_in_skops(path: Path) -> str:
    """The version of scikit-learn that saved the file; empty if unknown."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = VERSION.search(archive.read("schema.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return ""
    return found[1].decode() if found else ""
