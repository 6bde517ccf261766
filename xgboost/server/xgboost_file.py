"""From a model's file to its booster, whatever saved it: save_model, a pickle or MLflow."""

import io
import json
import logging
import math
import re
import warnings
from dataclasses import dataclass

import joblib
import numpy as np
from sklearn.exceptions import NotFittedError
from xgboost import Booster
from xgboost import __version__ as xgboost_version
from xgboost.core import XGBoostError

from prepackaged import Artifact, DeploymentError
from prepackaged.arrays import Array

logger = logging.getLogger(__name__)

PICKLES = (".joblib", ".pkl", ".pickle")
# What XGBoost writes last, in JSON and in UBJSON.
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
    """A booster, and what its file says beside it.

    `classes` are the labels in the order of the booster's class numbers, None where the file
    does not know them; `missing` is the number that means a missing value, besides NaN.
    """

    booster: Booster
    classes: Array | None = None
    missing: float = math.nan


def read(artifact: Artifact) -> tuple[Loaded, str]:
    """The booster in the file, and the version of XGBoost that saved it, empty if not shown.

    Raises `DeploymentError` where there is no booster to be had.
    """
    with artifact.reading(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        content = artifact.path.read_bytes()
        saved_with = _version(content)
        try:
            is_pickle = artifact.name.endswith(PICKLES)
            loaded = (_unpickled if is_pickle else _native)(content, artifact)
        except (XGBoostError, AttributeError) as error:
            raise _explained(error, artifact, saved_with) from error
    if BEFORE_3_1 and saved_with and _numbers(saved_with) >= [3, 1]:
        # It takes another base_score than is written there, and would answer with wrong numbers.
        raise DeploymentError(
            f"model file {artifact.path} was saved by XGBoost {saved_with}, and {xgboost_version}"
            " misreads it: take an image with that version"
        )
    for warning in caught:
        logger.warning("Loading %s: %s", artifact.path, " ".join(str(warning.message).split()))
    if _is_newer(saved_with):
        logger.warning(
            "%s was saved by XGBoost %s and is served by %s: answers may differ;"
            " an image of the same version is safer",
            artifact.path, saved_with, xgboost_version,
        )  # fmt: skip
    return loaded, saved_with


def reason(error: BaseException) -> str:
    """An error's first line, without the place in XGBoost's own source."""
    line = str(error).strip().partition("\n")[0]
    return re.sub(r"^\[[\d:]+\] \S+:\d+: (Check failed: )?", "", line).rstrip(" :")


def _native(content: bytes, artifact: Artifact) -> Loaded:
    if mistake := _mistake(content):
        raise DeploymentError(f"model file {artifact.path} {mistake}")
    booster = Booster()
    # From memory, because for a path XGBoost goes by the suffix, which a link's target may lack.
    booster.load_model(bytearray(re.sub(rb'\A\{\s*"', b'{"', content)))
    classes = json.loads(booster.attr("scikit_learn") or "{}").get("classes_")
    return Loaded(booster, None if classes is None else np.array(classes))


def _mistake(content: bytes) -> str:
    """What a file is that XGBoost cannot read, empty where it may be a model."""
    if not (BEFORE_3_1 or content.startswith(b"{")) and OBJECTIVE.search(content[:512]):
        return (
            "is in XGBoost's old binary format, which XGBoost 3.1 and later do not read."
            " Convert it with XGBoost 3.0:"
            " xgboost.Booster(model_file='model.bst').save_model('model.ubj'),"
            " or take the image with XGBoost 2.1, which reads it"
        )
    if content.startswith((b"booster[", b"[")):
        return "is a dump of the trees, to be read by people: save the model with save_model"
    # XGBoost reads beyond the end of UBJSON that was cut off, and can crash there.
    if content.startswith(b"{L") and not VERSION.fullmatch(content, content.rfind(b"version")):
        return "is incomplete: it does not end as XGBoost's UBJSON ends"
    return ""


def _unpickled(content: bytes, artifact: Artifact) -> Loaded:
    model = joblib.load(io.BytesIO(content))
    if isinstance(model, Booster):
        return Loaded(model)
    if not callable(getattr(model, "get_booster", None)):
        raise DeploymentError(
            f"model file {artifact.path} holds a {type(model).__module__}.{type(model).__name__}:"
            " expected an XGBoost Booster or a wrapper such as XGBClassifier"
            " (pipelines are for the sklearn image, forked with xgboost-cpu added)"
        )
    try:
        booster = model.get_booster()
    except NotFittedError as error:
        raise DeploymentError(f"model file {artifact.path}: the model is not fitted yet") from error
    missing = math.nan if model.missing is None else float(model.missing)
    return Loaded(booster, getattr(model, "classes_", None), missing)


def _explained(error: Exception, artifact: Artifact, saved_with: str) -> Exception:
    """The same error, as helpful as can be."""
    if TOO_OLD_PICKLE.search(str(error)):
        return DeploymentError(
            f"model file {artifact.path} was pickled by XGBoost before 1.6, which this one cannot"
            " read: load it in the version that pickled it (1.7 reads pickles of 1.0 to 1.5),"
            " save it there with save_model('model.json') and serve that file"
        )
    if _is_newer(saved_with):
        return DeploymentError(
            f"model file {artifact.path} was saved by XGBoost {saved_with}, and {xgboost_version}"
            f" cannot read it ({reason(error)}): take an image with that version"
        )
    return type(error)(reason(error))


def _version(content: bytes) -> str:
    found = VERSION.match(content, max(0, content.rfind(b"version")))
    if found is None:
        return ""
    text, binary = found.groups()[:3], found.groups()[3:]
    numbers = [int(digits) for digits in text] if text[0] else [byte[0] for byte in binary]
    return ".".join(map(str, numbers))


def _is_newer(version: str) -> bool:
    """Whether the version of a file is beyond what this XGBoost promises to read."""
    return bool(version) and _numbers(version) > _numbers(xgboost_version)
