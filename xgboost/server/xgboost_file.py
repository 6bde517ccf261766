"""Read a booster from a model file that save_model, pickle or MLflow wrote."""

import json
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from xgboost import Booster, XGBModel
from xgboost import __version__ as xgboost_version
from xgboost.core import XGBoostError

from prepackaged import Artifact, DeploymentError
from prepackaged.allowed_imports import AllowedImports
from prepackaged.arrays import Array
from prepackaged.estimators import pickled
from prepackaged.estimators.answers import METHODS, methods_of
from prepackaged.estimators.pickled import SKLEARN, load_pickle, logged_warnings
from prepackaged.estimators.skops_files import SKOPS, read_skops, version_in_skops
from prepackaged.estimators.steps import has_own_methods
from prepackaged.estimators.trial import parts_of
from prepackaged.load_errors import script_names
from prepackaged.pickles import PickleFacts, opened, read_facts
from prepackaged.versions import Versions, mlflow_versions

SERVER = Path(__file__).resolve().parent
XGBOOST = "xgboost"
HERE = {XGBOOST: str(xgboost_version), **pickled.HERE}
PICKLES = (".joblib", ".pkl", ".pickle", ".sav")
# XGBoost's own types in a .skops file, which skops does not trust by itself.
OWN_TYPES = (
    "xgboost.core.Booster",
    *("xgboost.sklearn.XGBClassifier", "xgboost.sklearn.XGBRegressor", "xgboost.sklearn.XGBRanker"),
    *("xgboost.sklearn.XGBRFClassifier", "xgboost.sklearn.XGBRFRegressor"),
)
# Parameters of a wrapper that may be functions and that only training uses.
OF_TRAINING = ("eval_metric", "objective", "callbacks")
# The version that XGBoost writes at the end of a file, in JSON and in UBJSON.
VERSION = re.compile(
    rb'version(?:"\s*:\s*\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]|\[#L\0{7}\x03i(.)i(.)i(.))\s*\}\s*',
    re.DOTALL,
)
OBJECTIVE = re.compile(rb"(?:binary|count|multi|rank|reg|survival):[a-z]{3}")
TOO_OLD_PICKLE = re.compile(
    r"serialization file|serialisation_header|header\[0\]|XGBoostLabelEncoder"
)


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in version.split(".")[:3]]


BEFORE_3_1 = _numbers(xgboost_version) < [3, 1]


@dataclass(frozen=True)
class Loaded:
    """A booster, with the class labels and the missing value from its file.

    `classes` are the labels in the order of the booster's class numbers, None if the file does
    not contain them. `missing` is the number that means a missing value, besides NaN.
    """

    booster: Booster
    classes: Array | None = None
    missing: float = math.nan


def read(
    artifact: Artifact,
    allowed: AllowedImports,
    missing: float | None = None,
    trusted_types: Collection[str] = (),
) -> tuple[Loaded | Any, Versions]:
    """Return the booster in the file, or the estimator that contains one, and the versions.

    A pickle may only import what `allowed` permits, and a .skops file only contain trusted types;
    `read_skops` says which. `missing` replaces the missing value that the file gives for a
    booster. Raises `DeploymentError` if the file cannot be loaded or contains neither.
    """
    is_pickle, is_skops = artifact.name.endswith(PICKLES), artifact.name.endswith(SKOPS)
    facts = read_facts(artifact.path) if is_pickle else PickleFacts()
    with artifact.reading():
        content = _content(artifact.path) if is_pickle else artifact.path.read_bytes()
    versions = _versions(artifact, content, facts)
    with artifact.reading(versions.advice()), logged_warnings(artifact.path):
        try:
            if is_skops:
                model: Any = _served(
                    read_skops(artifact, {*OWN_TYPES, *trusted_types}, SERVER), artifact
                )
            elif is_pickle:
                model = _unpickled(artifact, facts, versions, allowed)
            else:
                model = _native(content, artifact)
        except (XGBoostError, AttributeError) as error:
            raise _explained(error, artifact) from error
    if isinstance(model, Loaded):
        versions = versions.of(XGBOOST)
        model = model if missing is None else replace(model, missing=missing)
    _refuse_misread(artifact, versions)
    return model, versions


def _content(path: Path) -> bytes:
    with opened(path) as stream:
        return stream.read()


def _versions(artifact: Artifact, content: bytes, facts: PickleFacts) -> Versions:
    """The versions that saved the model, as far as its file and its `MLmodel` state them."""
    saved_with = _version(content) or str(artifact.flavor.get("xgb_version") or "")
    is_skops = artifact.name.endswith(SKOPS)
    sklearn = version_in_skops(artifact.path) if is_skops else facts.sklearn
    saved = {XGBOOST: saved_with, SKLEARN: sklearn}
    known = {package: version for package, version in saved.items() if version}
    return Versions(known, HERE, *mlflow_versions(artifact))


def _refuse_misread(artifact: Artifact, versions: Versions) -> None:
    saved_with = versions.saved.get(XGBOOST, "")
    if BEFORE_3_1 and saved_with and _numbers(saved_with) >= [3, 1]:
        # Older XGBoost misreads base_score in such files, so its predictions would be wrong.
        raise DeploymentError(
            f"model file {artifact.path}: XGBoost {xgboost_version} misreads what 3.1 and later"
            f" saved, and {versions.advice()}"
        )


def reason(error: BaseException) -> str:
    """An error's first line, without the location in XGBoost's source."""
    line = str(error).strip().partition("\n")[0]
    return re.sub(r"^\[[\d:]+\] \S+:\d+: (Check failed: )?", "", line).rstrip(" :")


def _native(content: bytes, artifact: Artifact) -> Loaded:
    if mistake := _mistake(content):
        raise DeploymentError(f"model file {artifact.path} {mistake}")
    booster = Booster()
    # From memory, because for a path XGBoost relies on the suffix, which a link's target may lack.
    booster.load_model(bytearray(re.sub(rb'\A\{\s*"', b'{"', content)))
    said = json.loads(booster.attr("scikit_learn") or "{}")  # the wrapper's; has more before 1.6
    classes = said.get("classes_")
    missing = math.nan if said.get("missing") is None else float(said["missing"])
    return Loaded(booster, None if classes is None else np.array(classes), missing)


def _mistake(content: bytes) -> str:
    """Describe a file that XGBoost cannot read; empty if it may be a model."""
    if not (BEFORE_3_1 or content.startswith(b"{")) and OBJECTIVE.search(content[:512]):
        return (
            "is in XGBoost's old binary format, which XGBoost 3.1 and later do not read."
            " Convert it with XGBoost 3.0:"
            " xgboost.Booster(model_file='model.bst').save_model('model.ubj'),"
            " or use the image with XGBoost 2.1, which reads it"
        )
    if content.startswith((b"booster[", b"[")):
        return "is a dump of the trees for people to read: save the model with save_model"
    # XGBoost would read beyond the end of truncated UBJSON, and might crash.
    if content.startswith(b"{L") and not VERSION.fullmatch(content, content.rfind(b"version")):
        return "is incomplete: it does not end as XGBoost's UBJSON ends"
    return ""


def _unpickled(
    artifact: Artifact, facts: PickleFacts, versions: Versions, allowed: AllowedImports
) -> Loaded | Any:
    model = load_pickle(artifact, facts, versions.python, SERVER, allowed, Unavailable)
    return _served(model, artifact)


def _served(model: Any, artifact: Artifact) -> Loaded | Any:
    """The booster of a booster or wrapper, or an estimator that contains one."""
    if isinstance(model, Booster):
        return Loaded(model)
    is_wrapper = callable(getattr(model, "get_booster", None))
    if not is_wrapper or has_own_methods(model, METHODS):
        return _checked(model, artifact)
    try:
        booster = model.get_booster()
    except NotFittedError as error:
        raise DeploymentError(f"model file {artifact.path}: the model is not fitted yet") from error
    missing = math.nan if model.missing is None else float(model.missing)
    return Loaded(booster, getattr(model, "classes_", None), missing)


def _checked(model: Any, artifact: Artifact) -> Any:
    """Return the model if it is an estimator that contains a booster and can predict.

    Raises `DeploymentError` for other objects, and if a function that prediction may need is
    missing.
    """
    boosters = [part for part in parts_of(model) if isinstance(part, XGBModel)]
    if not (boosters and methods_of(model)):
        raise DeploymentError(
            f"model file {artifact.path} holds a {type(model).__module__}.{type(model).__name__}:"
            " expected an XGBoost Booster, a wrapper such as XGBClassifier, or an estimator of"
            " scikit-learn's with one inside, such as a pipeline (others are for the image"
            " sklearn-prepackaged)"
        )
    for part in parts_of(model):
        of_training = OF_TRAINING if isinstance(part, XGBModel) else ()
        for name, value in vars(part).items():
            if isinstance(value, Unavailable) and name not in of_training:
                raise DeploymentError(f"model file {artifact.path} {script_names([value.name])}")
    return model


def prepared(model: Any, device: str, jobs: int, missing: float | None) -> Any:
    """Set device, number of threads and missing value of the boosters in an estimator.

    If `missing` is None, each booster keeps the value that it was saved with. Returns the
    estimator.
    """
    for part in parts_of(model):
        if isinstance(part, XGBModel) and part.__sklearn_is_fitted__():
            part.get_booster().set_param({"device": device, "nthread": jobs})
            part.missing = part.missing if missing is None else missing
    return model


class Unavailable:
    """A placeholder for a function of the script that saved a model, such as a training metric."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Raise `NotImplementedError`, because the function is not available."""
        raise NotImplementedError(f"{self.name} of the script that saved the model is not here")


def _explained(error: Exception, artifact: Artifact) -> Exception:
    """The error with a clearer message; a `DeploymentError` for pickles that are too old."""
    if TOO_OLD_PICKLE.search(str(error)):
        return DeploymentError(
            f"model file {artifact.path} was pickled by XGBoost before 1.6, which this one cannot"
            " read: load it in the version that pickled it (1.7 reads pickles of 1.0 to 1.5),"
            " save it there with save_model('model.json') and serve that file"
        )
    return type(error)(reason(error))


def _version(content: bytes) -> str:
    found = VERSION.match(content, max(0, content.rfind(b"version")))
    if found is None:
        return ""
    text, binary = found.groups()[:3], found.groups()[3:]
    numbers = [int(digits) for digits in text] if text[0] else [byte[0] for byte in binary]
    return ".".join(map(str, numbers))
