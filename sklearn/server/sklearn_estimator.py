"""From a model file to a fitted estimator."""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import joblib
from sklearn import __version__ as sklearn_version
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

from prepackaged import Artifact, DeploymentError, describe
from prepackaged.estimators.answers import METHODS, methods_of

logger = logging.getLogger(__name__)


def read(artifact: Artifact, trusted_types: Sequence[str]) -> tuple[Any, str]:
    """The fitted estimator in the file, and the version of scikit-learn that saved it."""
    with artifact.reading(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if artifact.name.endswith(".skops"):
            model = _read_skops(artifact, trusted_types)
        else:
            model = joblib.load(artifact.path)
    _check_usable(model, artifact)
    return model, _version_told_by(caught, artifact)


def _read_skops(artifact: Artifact, trusted_types: Sequence[str]) -> Any:
    import skops.io  # slow to import, and few models need it

    untrusted = set(skops.io.get_untrusted_types(file=artifact.path)) - set(trusted_types)
    if untrusted:
        raise DeploymentError(
            f"model file {artifact.path} holds types that are not trusted by default. If you trust"
            f" the file, set the parameter trusted_types to {','.join(sorted(untrusted))}"
        )
    return skops.io.load(artifact.path, trusted=list(trusted_types))


def _check_usable(model: Any, artifact: Artifact) -> None:
    if not methods_of(model):
        kind = f"{type(model).__module__}.{type(model).__name__}"
        raise DeploymentError(
            f"model file {artifact.path} holds a {kind}, which has none of the methods"
            f" {', '.join(METHODS)}: not a scikit-learn estimator that can answer"
        )
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise DeploymentError(f"model file {artifact.path}: {describe(error)}") from error
    except TypeError:
        pass  # not scikit-learn's own class: it need not keep scikit-learn's conventions


def _version_told_by(caught: Sequence[warnings.WarningMessage], artifact: Artifact) -> str:
    version = str(sklearn_version)
    for warning in caught:
        if isinstance(warning.message, InconsistentVersionWarning):
            version = str(warning.message.original_sklearn_version)
        else:
            logger.warning("Loading %s: %s", artifact.path, warning.message)
    if version != sklearn_version:
        logger.warning(
            "%s was saved by scikit-learn %s and is served by %s: answers may differ;"
            " an image of the same version is safer",
            artifact.path, version, sklearn_version,
        )  # fmt: skip
    return version
