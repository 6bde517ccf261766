"""Compare the versions that saved a model with those here, and recommend an image tag."""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from prepackaged.artifacts import Artifact
from prepackaged.errors import DeploymentError

logger = logging.getLogger(__name__)

#: The variable with the release's tags and their package versions, in this form:
#: `0.2.0-sklearn1.6:scikit-learn@1.6.1,...`; made by tools/images.py.
TAGS = "PREPACKAGED_TAGS"
# Packages that promise to read files that their earlier versions saved.
READ_OLDER = {"xgboost"}

Policy = Literal["warn", "refuse", "off"]


@dataclass(frozen=True)
class Versions:
    """For each package, the version that saved a model and the version here.

    `saved` are the versions named by the file or its `MLmodel`. `python` and `mlflow` are the
    versions in `MLmodel`, empty without one.
    """

    saved: Mapping[str, str] = field(default_factory=dict)
    here: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    mlflow: str = ""

    def of(self, package: str) -> "Versions":
        """These versions, limited to one package."""
        saved = {name: version for name, version in self.saved.items() if name == package}
        return replace(self, saved=saved)

    def differing(self) -> list[str]:
        """The packages whose minor version here differs from the one that the model needs."""
        return [
            package
            for package, version in self.saved.items()
            if package in self.here and not fits(package, version, self.here[package])
        ]

    def advice(self) -> str:
        """A text with the saved and installed versions and the tag to use; empty if they fit."""
        packages = self.differing()
        if not packages:
            return ""
        saved = " and ".join(f"{package} {self.saved[package]}" for package in packages)
        here = " and ".join(f"{package} {self.here[package]}" for package in packages)
        return f"it was saved by {saved}{self._more()}, and this image has {here}: {self._cure()}"

    def checked(self, policy: Policy, path: Path) -> str:
        """Log a warning, and return the advice to add to errors of the model in this file.

        Raises `DeploymentError` if versions do not fit and `policy` is `refuse`; with `off`,
        nothing is logged.
        """
        advice = "" if policy == "off" else self.advice()
        if advice and policy == "refuse":
            raise DeploymentError(f"model file {path}: version_mismatch is refuse, and {advice}")
        if advice:
            logger.warning("Model file %s: answers may differ, because %s", path, advice)
        return advice

    def _more(self) -> str:
        more = {"Python": self.python, "MLflow": self.mlflow}
        shown = ", ".join(f"{name} {version}" for name, version in more.items() if version)
        return f" ({shown})" if shown else ""

    def _cure(self) -> str:
        tags = known_tags()
        needed = {package: self.saved[package] for package in self.saved if package in self.here}
        for tag, has in tags.items():
            if all(fits(name, version, has.get(name, "")) for name, version in needed.items()):
                return f"use the tag {tag}"
        anew = "save the model again with a version that one of the tags has, or fork this image"
        if not tags:
            return "use an image with that version, if there is one"
        package = self.differing()[0]
        there = ", ".join(has[package] for has in tags.values() if package in has)
        return f"no tag of this image has that version, only {there}; {anew}"


def fits(package: str, saved: str, here: str) -> bool:
    """Whether this version of the package can serve what another version saved."""
    if package in READ_OLDER:
        return minor(here) >= minor(saved)
    return minor(here) == minor(saved)


def minor(version: str) -> tuple[int, ...]:
    """Major and minor version as numbers, such as (1, 9) for `1.9.1`; empty if there are none."""
    numbers = re.match(r"(\d+)(?:\.(\d+))?", version)
    return tuple(int(number or 0) for number in numbers.groups()) if numbers else ()


def known_tags() -> dict[str, dict[str, str]]:
    """The tags of the image's release, each with the package versions that it contains."""
    tags = {}
    for each in filter(None, os.environ.get(TAGS, "").split(",")):
        tag, *packages = each.split(":")
        tags[tag] = dict(package.split("@", 1) for package in packages if "@" in package)
    return tags


def mlflow_versions(artifact: Artifact) -> tuple[str, str]:
    """The versions of Python and of MLflow that the model's `MLmodel` names, empty without one."""
    flavors = artifact.mlmodel.get("flavors") or {}
    function = flavors.get("python_function")
    python = function.get("python_version") if isinstance(function, dict) else None
    return str(python or ""), str(artifact.mlmodel.get("mlflow_version") or "")


def check_policy(word: str | None) -> Policy:
    """The parameter `version_mismatch`. Raises `DeploymentError` for an unknown value."""
    policies: tuple[Policy, ...] = get_args(Policy)
    for policy in policies:
        if (word or "warn").strip().lower() == policy:
            return policy
    raise DeploymentError(
        f"expected the parameter version_mismatch to be {', '.join(get_args(Policy))}, got {word!r}"
    )
