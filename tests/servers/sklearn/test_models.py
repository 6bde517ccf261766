"""The kinds of estimators that are served, each compared with a direct call of the estimator."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

ROWS = [[5.3, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
TEXTS = ["the cat sat", "a dog ran", "the cat ran", "a dog sat"]
IS_CAT = [True, False, True, False]


def answered(post: Callable[..., Any], data: Any) -> tuple[str, list[str], Any]:
    """The values under `data` in the answer to this request body."""
    status, body = post(data)
    assert status == 200, body
    (kind,) = body["data"].keys() - {"names"}
    return kind, body["data"]["names"], body["data"][kind]


def test_a_classifier_answers_probabilities_in_the_kind_of_the_request(
    post_to: Callable[..., Any], classifier: Any
) -> None:
    """A tensor is answered by a tensor and an ndarray by an ndarray, with the classes as names."""
    post = post_to(classifier)
    expected = classifier.predict_proba(ROWS)

    kind, names, values = answered(post, {"data": {"ndarray": ROWS}})
    assert (kind, names) == ("ndarray", ["0", "1", "2"])
    assert values == expected.tolist()

    tensor = {"shape": [2, 4], "values": np.ravel(ROWS).tolist()}
    kind, names, values = answered(post, {"data": {"tensor": tensor}})
    assert (kind, names) == ("tensor", ["0", "1", "2"])
    assert values == {"shape": [2, 3], "values": expected.ravel().tolist()}


def test_rows_as_json_data_are_answered_as_a_tensor(
    post_to: Callable[..., Any], classifier: Any
) -> None:
    """Rows as jsonData are answered as a tensor if the result is numeric."""
    kind, _, values = answered(post_to(classifier), {"jsonData": ROWS})

    assert kind == "tensor"
    assert values["values"] == classifier.predict_proba(ROWS).ravel().tolist()


def test_integers_and_booleans_are_numbers(post_to: Callable[..., Any], classifier: Any) -> None:
    """Integers and booleans are accepted as numbers."""
    _, _, values = answered(post_to(classifier), {"data": {"ndarray": [[5, 3, 1, 0]]}})

    assert values == classifier.predict_proba([[5, 3, 1, 0]]).tolist()


def test_a_regressor_predicts(post_to: Callable[..., Any]) -> None:
    """An estimator without probabilities answers with predict by default."""
    features, target = load_diabetes(return_X_y=True)
    regressor = LinearRegression().fit(features, target)

    kind, names, values = answered(post_to(regressor), {"data": {"ndarray": features[:3].tolist()}})

    assert (kind, names) == ("ndarray", [])
    assert values == regressor.predict(features[:3]).tolist()


def test_an_svc_without_probabilities_predicts(post_to: Callable[..., Any], iris: Any) -> None:
    """An SVC trained without probability=True answers with predict."""
    svc = SVC().fit(iris.data, iris.target)

    _, _, values = answered(post_to(svc), {"data": {"ndarray": ROWS}})

    assert values == svc.predict(ROWS).tolist() == [0, 2]


def test_labels_of_text_are_answered_as_text(post_to: Callable[..., Any], iris: Any) -> None:
    """A classifier trained on text labels answers text labels."""
    svc = SVC().fit(iris.data, iris.target_names[iris.target])

    kind, _, values = answered(post_to(svc), {"data": {"tensor": tensor_of(ROWS)}})

    assert (kind, values) == ("ndarray", ["setosa", "virginica"])


def tensor_of(rows: Any) -> dict[str, Any]:
    """A Seldon tensor of these rows."""
    array = np.array(rows)
    return {"shape": list(array.shape), "values": array.ravel().tolist()}


@pytest.fixture
def pipeline(people: Any) -> Any:
    """A pipeline that selects columns by name: numbers with missing values, words, and counts."""
    columns = ColumnTransformer(
        [
            ("age", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
            ("city", OneHotEncoder(), ["city"]),
            ("visits", StandardScaler(), ["visits"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression()).fit(people, [0, 1, 0, 1, 1, 1])


def test_a_pipeline_on_named_mixed_columns_takes_records(
    post_to: Callable[..., Any], pipeline: Any
) -> None:
    """Records may have their keys in any order, and null is a missing value."""
    records = [
        {"visits": 5, "city": "Tainan", "age": 33.0},
        {"visits": 1, "city": "Taipei", "age": None},
    ]

    _, _, values = answered(post_to(pipeline), {"jsonData": records})

    expected = pipeline.predict_proba(pd.DataFrame(records)[["age", "city", "visits"]])
    assert values["values"] == expected.ravel().tolist()


def test_a_pipeline_on_named_mixed_columns_takes_rows_in_training_order(
    post_to: Callable[..., Any], pipeline: Any, people: Any
) -> None:
    """In rows as jsonData, numbers stay numbers and words stay words."""
    rows = [[33.0, "Tainan", 5], [None, "Taipei", 1]]

    _, _, values = answered(post_to(pipeline), {"jsonData": rows})

    expected = pipeline.predict_proba(pd.DataFrame(rows, columns=people.columns))
    assert values["values"] == expected.ravel().tolist()


def test_an_ndarray_keeps_numbers_and_text_apart(
    post_to: Callable[..., Any], pipeline: Any, people: Any
) -> None:
    """Values in an ndarray keep their types, so a mixed table does not need jsonData."""
    rows = [[33.0, "Tainan", 5], [None, "Taipei", 1]]

    kind, _, values = answered(post_to(pipeline), {"data": {"ndarray": rows}})

    expected = pipeline.predict_proba(pd.DataFrame(rows, columns=people.columns))
    assert (kind, values) == ("ndarray", expected.tolist())


def test_names_of_an_ndarray_reorder_its_columns(post_to: Callable[..., Any], iris: Any) -> None:
    """An ndarray with names may have its columns in any order."""
    frame = pd.DataFrame(iris.data, columns=["sl", "sw", "pl", "pw"])
    model = LogisticRegression(max_iter=500).fit(frame, iris.target)
    shuffled = {"names": ["pw", "pl", "sw", "sl"], "ndarray": [[0.2, 1.4, 3.5, 5.3]]}

    _, _, values = answered(post_to(model), {"data": shuffled})

    expected = model.predict_proba(pd.DataFrame([[5.3, 3.5, 1.4, 0.2]], columns=frame.columns))
    assert values == expected.tolist()


def test_names_mean_nothing_to_a_model_that_knows_none(
    post_to: Callable[..., Any], classifier: Any
) -> None:
    """A model trained without column names ignores the names of a request."""
    data = {"names": ["a", "b", "c", "d"], "ndarray": ROWS}

    _, _, values = answered(post_to(classifier), {"data": data})

    assert values == classifier.predict_proba(ROWS).tolist()


def test_several_outputs_of_a_regressor_are_columns(post_to: Callable[..., Any], iris: Any) -> None:
    """A multi-output regressor answers an array [rows, outputs]."""
    model = MultiOutputRegressor(LinearRegression()).fit(iris.data[:, :2], iris.data[:, 2:])

    _, names, values = answered(post_to(model), {"data": {"ndarray": [[5.3, 3.5]]}})

    assert names == ["t:0", "t:1"]
    assert values == model.predict([[5.3, 3.5]]).tolist()


def test_several_outputs_of_a_classifier_are_one_array(
    post_to: Callable[..., Any], iris: Any
) -> None:
    """scikit-learn's list of [rows, classes] becomes an array [rows, outputs, classes]."""
    targets = np.column_stack([iris.target, iris.target[::-1]])
    model = RandomForestClassifier(5, random_state=0).fit(iris.data, targets)
    first, second = model.predict_proba(ROWS)

    _, _, values = answered(post_to(model), {"data": {"ndarray": ROWS}})

    assert np.shape(values) == (2, 2, 3)
    assert np.array(values)[:, 0].tolist() == first.tolist()
    assert np.array(values)[:, 1].tolist() == second.tolist()


def test_outputs_with_unequal_numbers_of_classes_stay_apart(
    post_to: Callable[..., Any], iris: Any
) -> None:
    """Outputs with unequal numbers of classes are answered as separate lists, without padding."""
    targets = np.column_stack([iris.target, iris.target > 0])
    model = RandomForestClassifier(5, random_state=0).fit(iris.data, targets)

    status, body = post_to(model)({"data": {"ndarray": ROWS}})

    assert status == 200
    assert body["jsonData"] == {"outputs": [each.tolist() for each in model.predict_proba(ROWS)]}


def text_models() -> list[Any]:
    """Fitted text pipelines of different structures."""
    vectorizers = FeatureUnion([("counts", CountVectorizer()), ("tfidf", TfidfVectorizer())])
    plain = make_pipeline(TfidfVectorizer(), LogisticRegression())
    search = GridSearchCV(plain, {"logisticregression__C": [1.0]}, cv=2)
    union = make_pipeline(vectorizers, LogisticRegression())
    return [
        pytest.param(model.fit(TEXTS, IS_CAT), id=name)
        for name, model in {"pipeline": plain, "search": search, "union": union}.items()
    ]


@pytest.mark.parametrize("model", text_models())
@pytest.mark.parametrize(
    "body",
    [
        {"strData": "the cat"},
        {"data": {"ndarray": ["the cat"]}},
        {"data": {"ndarray": [["the cat"]]}},
        {"jsonData": ["the cat"]},
        {"jsonData": "the cat"},
    ],
    ids=["strData", "ndarray", "one column", "jsonData list", "jsonData text"],
)
def test_a_text_pipeline_takes_strings(post_to: Callable[..., Any], model: Any, body: Any) -> None:
    """A document may be sent as strData, in a list of strings or in a single column."""
    _, _, values = answered(post_to(model), body)

    got = values["values"] if isinstance(values, dict) else values[0]
    assert got == model.predict_proba(["the cat"])[0].tolist()


def test_a_clusterer_answers_the_cluster(post_to: Callable[..., Any], iris: Any) -> None:
    """KMeans answers with predict by default, although it also has transform."""
    model = KMeans(3, random_state=0, n_init=1).fit(iris.data)

    _, _, values = answered(post_to(model), {"data": {"ndarray": ROWS}})

    assert values == model.predict(ROWS).tolist()


def test_an_outlier_detector_answers_one_or_minus_one(
    post_to: Callable[..., Any], iris: Any
) -> None:
    """An outlier detector answers 1 for inliers and -1 for outliers."""
    model = IsolationForest(random_state=0).fit(iris.data)

    _, _, values = answered(post_to(model), {"data": {"ndarray": [ROWS[0], [99.0] * 4]}})

    assert values == [1, -1]
