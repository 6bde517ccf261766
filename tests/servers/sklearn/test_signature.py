"""The Model's signature has exactly the facts that the estimator knows."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import MultinomialNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

from prepackaged import Signature
from prepackaged.server.protocols.v2.metadata import model_metadata
from prepackaged.server.protocols.v2.served import Name
from prepackaged.signature import Column

SignatureOf = Callable[..., Signature]


@pytest.fixture
def signature_of(tmp_path: Path, model_of: Callable[..., Any]) -> SignatureOf:
    """A function that takes a fitted estimator and parameters and returns the Model's signature."""

    def load(estimator: Any, **parameters: str) -> Signature:
        joblib.dump(estimator, tmp_path / "model.joblib")
        signature: Signature = model_of(tmp_path, **parameters).signature
        return signature

    return load


def names(facts: Any) -> list[Any]:
    """The names of columns."""
    return [column.name for column in facts]


def test_a_classifier_of_a_frame_tells_columns_and_classes(
    iris: Any, signature_of: SignatureOf
) -> None:
    """Inputs have the names of training, and the outputs of predict_proba are the classes."""
    frame = pd.DataFrame(iris.data, columns=["sl", "sw", "pl", "pw"])
    estimator = LogisticRegression(max_iter=500).fit(frame, iris.target_names[iris.target])

    signature = signature_of(estimator)

    assert names(signature.inputs) == estimator.feature_names_in_.tolist()
    assert names(signature.outputs) == estimator.classes_.tolist()
    assert signature.class_names == tuple(estimator.classes_)
    assert set(signature.sources.values()) == {"model"}


def test_without_names_the_number_of_columns_is_reported(
    classifier: Any, signature_of: SignatureOf
) -> None:
    """An estimator trained on an array has inputs without names."""
    assert names(signature_of(classifier).inputs) == [None] * classifier.n_features_in_


def test_the_sources_of_a_pipeline_are_the_pipelines(iris: Any, signature_of: SignatureOf) -> None:
    """A pipeline's inputs and classes have the source `pipeline`."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(iris.data, iris.target)

    signature = signature_of(pipeline)

    assert len(signature.inputs or ()) == pipeline.n_features_in_
    assert set(signature.sources) == {"inputs", "outputs", "class_names", "methods"}
    assert set(signature.sources.values()) == {"pipeline"}


def of_text() -> dict[str, Any]:
    """Text estimators of different structures."""
    plain = make_pipeline(CountVectorizer(), MultinomialNB())
    union = FeatureUnion(
        [("words", CountVectorizer()), ("letters", CountVectorizer(analyzer="char"))]
    )
    return {
        "pipeline": plain,
        "search": GridSearchCV(plain, {"multinomialnb__alpha": [1.0]}, cv=2),
        "union": make_pipeline(union, MultinomialNB()),
        "passed through": make_pipeline("passthrough", HashingVectorizer(), LogisticRegression()),
    }


@pytest.mark.parametrize("name", of_text())
def test_a_pipeline_of_text_takes_one_column_of_text(signature_of: SignatureOf, name: str) -> None:
    """A text pipeline has one text column as its input, BYTES in the V2 protocol."""
    estimator = of_text()[name].fit(["good", "bad", "very good", "very bad"], [1, 0, 1, 0])

    signature = signature_of(estimator)

    assert signature.inputs == (Column(kind="text", nullable=False),)
    assert signature.sources["inputs"] == signature.sources["class_names"]
    assert signature.class_names == ("0", "1")
    described = model_metadata(SimpleNamespace(signature=signature), Name("m"))
    assert described["inputs"] == [{"name": "input-0", "datatype": "BYTES", "shape": [-1, 1]}]


@pytest.mark.parametrize(
    "step", [DictVectorizer(), CountVectorizer(analyzer=list), FeatureHasher(input_type="string")]
)
def test_a_model_of_neither_tables_nor_texts_has_no_columns(
    signature_of: SignatureOf, step: Any
) -> None:
    """An estimator for other inputs has unknown inputs but known classes."""
    rows = [["a"], ["b"]] if not isinstance(step, DictVectorizer) else [{"a": 1}, {"a": 2}]

    signature = signature_of(make_pipeline(step, LogisticRegression()).fit(rows, [1, 0]))

    assert signature.inputs is None
    assert "inputs" not in signature.sources
    assert signature.class_names == ("0", "1")


@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(max_iter=500), RidgeClassifier(), KMeans(2), StandardScaler()],
    ids=repr,
)
def test_the_methods_are_those_that_the_estimator_has(
    iris: Any, signature_of: SignatureOf, estimator: Any
) -> None:
    """The signature lists the estimator's methods, and any of them can be selected."""
    known = ["predict_proba", "decision_function", "predict", "transform", "score_samples"]
    estimator.fit(iris.data, iris.target)

    methods = signature_of(
        estimator, method=next(m for m in known if hasattr(estimator, m))
    ).methods

    assert list(methods) == [method for method in known if hasattr(estimator, method)]
    for method in methods:
        assert signature_of(estimator, method=method).method == method


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_probabilities_have_the_kind_that_the_estimator_answers_with(
    iris: Any, signature_of: SignatureOf, dtype: str
) -> None:
    """A network answers in the precision of its training, and the signature says which."""
    rows = iris.data.astype(dtype)
    estimator = MLPClassifier((4,), max_iter=2000, tol=1e-2).fit(rows, iris.target)

    signature = signature_of(estimator)

    assert {each.kind for each in signature.outputs} == {estimator.predict_proba(rows).dtype.name}


def test_outputs_are_unknown_of_what_is_not_probabilities(
    classifier: Any, signature_of: SignatureOf
) -> None:
    """For other methods than predict_proba, outputs are unknown but classes are known."""
    signature = signature_of(classifier, method="predict")

    assert signature.outputs is None
    assert signature.class_names == ("0", "1", "2")


def test_several_outputs_have_no_class_names(iris: Any, signature_of: SignatureOf) -> None:
    """A classifier with several outputs has no class names, since each has its own classes."""
    targets = np.column_stack([iris.target, iris.target % 2])
    forest = RandomForestClassifier(5, random_state=0).fit(iris.data, targets)
    assert isinstance(forest.classes_, list)

    signature = signature_of(forest)

    assert (signature.class_names, signature.outputs) == (None, None)
