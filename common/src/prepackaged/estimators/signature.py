"""What a fitted estimator's attributes say of what it takes and gives."""

from typing import Any

from sklearn.pipeline import Pipeline

from prepackaged.estimators.methods import methods_of
from prepackaged.signature import Column, Signature


def signature_of(estimator: Any, method: str) -> Signature:
    """The columns, classes and methods of an estimator that answers with `method`.

    Outputs are known of `predict_proba` alone, whose columns are the classes.
    """
    class_names = _class_names(estimator)
    scores = tuple(map(Column, class_names)) if class_names and method == "predict_proba" else None
    signature = Signature(_inputs(estimator), scores, class_names, method, methods_of(estimator))
    return signature.with_source("pipeline" if isinstance(estimator, Pipeline) else "model")


def _inputs(estimator: Any) -> tuple[Column, ...] | None:
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        return tuple(Column(name) for name in names)
    count = getattr(estimator, "n_features_in_", None)
    return None if count is None else (Column(),) * count


def _class_names(estimator: Any) -> tuple[str, ...] | None:
    classes = getattr(estimator, "classes_", None)
    if classes is None or isinstance(classes, list):  # a list has the classes of several outputs
        return None
    return tuple(str(name) for name in classes)
