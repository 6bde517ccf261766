"""The signature of a fitted estimator: its own facts, overridden by those in MLmodel."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from prepackaged.arrays import list_by_row
from prepackaged.estimators.answers import label_text, methods_of
from prepackaged.estimators.columns import columns_of
from prepackaged.signature import Column, Kind, Signature, Source

logger = logging.getLogger(__name__)


def signature_of(
    estimator: Any, method: str, written: tuple[Column, ...] | None = None
) -> Signature:
    """The columns, classes and methods of an estimator that answers with `method`.

    `written` are the columns in its MLmodel file. Outputs are known only for `predict_proba`, whose
    columns are the classes.
    """
    source: Source = "pipeline" if isinstance(estimator, Pipeline) else "model"
    class_names = _class_names(estimator)
    scores = tuple(map(Column, class_names)) if class_names and method == "predict_proba" else None
    inputs = columns_of(estimator)
    signature = Signature(inputs, scores, class_names, method, methods_of(estimator))
    sources = signature.with_source(source).sources
    if written and (columns := _overlaid(inputs, written)):
        return replace(signature, inputs=columns, sources={**sources, "inputs": "MLmodel"})
    if written:
        shown = str(Signature(written)).splitlines()[0]
        logger.warning("MLmodel is ignored: its columns differ from the model's: %s", shown)
    return replace(signature, sources=sources)


def with_kind_of(answer: Any, signature: Signature) -> Signature:
    """Set the kind of the signature's outputs to that of an answer of floats, else change nothing.

    >>> outputs = Column("no"), Column("yes")
    >>> print(with_kind_of(np.array([[0.25, 0.75]]), Signature(outputs=outputs)))
    outputs: no (float64), yes (float64)
    """
    if not isinstance(answer, np.ndarray) or answer.dtype.kind != "f" or not signature.outputs:
        return signature
    kind: Kind = "float32" if answer.dtype == np.float32 else "float64"
    outputs = (replace(each, kind=kind) for each in signature.outputs if isinstance(each, Column))
    return replace(signature, outputs=tuple(outputs))


def with_example(request: Any, signature: Signature) -> Signature:
    """The signature with the row of this payload as its example; without an example for None."""
    row = request[0] if isinstance(request, list) and request else {}
    values = enumerate(row) if isinstance(row, list) else ()
    named = row.items() if isinstance(row, dict) else values
    example = {str(name): list_by_row([value]) for name, value in named}
    return replace(signature, example=example)


def _overlaid(
    known: tuple[Column, ...] | None, written: tuple[Column, ...]
) -> tuple[Column, ...] | None:
    """The columns of MLmodel with the estimator's facts about each; None if the columns differ."""
    if known is None:
        return written
    by_name = {fact.name: fact for fact in known}
    if None not in by_name and set(by_name) == {each.name for each in written}:
        written_by_name = {each.name: each for each in written}
        return tuple(_overlay(fact, written_by_name[fact.name]) for fact in known)
    if len(known) != len(written) or None not in by_name:
        return None
    return tuple(_overlay(fact, each) for fact, each in zip(known, written, strict=True))


def _overlay(fact: Column, written: Column) -> Column:
    kind = fact.kind if written.kind == "any" else written.kind
    is_finer = fact.kind == "category" or (fact.kind == "float32" and kind == "float64")
    is_finer = is_finer or fact.is_of_objects  # for these, MLflow stores the type of the values
    return replace(
        fact,
        name=written.name if fact.name is None else fact.name,
        kind=fact.kind if is_finer else kind,
        optional=written.optional and fact.nullable,
    )


def _class_names(estimator: Any) -> tuple[str, ...] | None:
    classes = getattr(estimator, "classes_", None)
    if classes is None or isinstance(classes, list):  # a list: there are several outputs
        return None
    return tuple(map(label_text, classes))
