"""The answer of each method, compared with XGBoost directly, for models of every kind."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from scipy.special import expit, softmax
from xgboost import Booster, DMatrix, XGBClassifier

from prepackaged import ClientError, DeploymentError

Array = np.ndarray[Any, np.dtype[Any]]

TREES = {"max_depth": 3, "learning_rate": 0.5}
LINEAR = {"booster": "gblinear"}
THREE = {"num_class": 3}
SETTINGS: dict[str, dict[str, Any]] = {
    "regression": {**TREES, "objective": "reg:squarederror"},
    "counts": {**TREES, "objective": "count:poisson"},
    "quantiles": {**TREES, "objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]},
    "survival": {**TREES, "objective": "survival:cox"},
    "binary": {**TREES, "objective": "binary:logistic"},
    "binary margins": {**TREES, "objective": "binary:logitraw"},
    "binary hinge": {**TREES, "objective": "binary:hinge"},
    "multi-class": {**TREES, **THREE, "objective": "multi:softprob"},
    "multi-class numbers": {**TREES, **THREE, "objective": "multi:softmax"},
    "ranking": {**TREES, "objective": "rank:ndcg"},
    "multi-output": {**TREES, "objective": "reg:squarederror"},
    "multi-output trees": {**TREES, "multi_strategy": "multi_output_tree"},
    "multi-label": {**TREES, "objective": "binary:logistic"},
    "random forest": {**TREES, "num_parallel_tree": 4, "subsample": 0.7},
    "base margins": {**TREES, "objective": "binary:logistic"},
    "dart": {**TREES, "booster": "dart", "rate_drop": 0.5, "objective": "binary:logistic"},
    "linear": {**LINEAR, "objective": "binary:logistic"},
    "linear multi-class": {**LINEAR, **THREE, "objective": "multi:softprob"},
}
TARGETS = {"multi-output": 2, "multi-output trees": 2, "multi-label": 2}
CLASSIFIERS = [name for name in SETTINGS if name.startswith(("binary", "multi-class", "multi-la"))]
CLASSIFIERS += ["base margins", "dart", "linear", "linear multi-class"]
OPTIONS: dict[str, dict[str, bool]] = {
    "predict": {},
    "margin": {"output_margin": True},
    "leaf": {"pred_leaf": True},
    "contributions": {"pred_contribs": True},
}
UNSUPPORTED = [
    ("linear", "leaf"),
    ("linear multi-class", "leaf"),
    ("multi-output trees", "contributions"),
]


@pytest.fixture(scope="module")
def boosters(rows: Array, classes: Array) -> dict[str, Booster]:
    """A booster of each kind."""

    def trained(name: str) -> Booster:
        labels = classes if "num_class" in SETTINGS[name] else (classes > 0).astype(int)
        several = np.column_stack([labels, labels[::-1]])
        data = DMatrix(rows, several if name in TARGETS else labels)
        if name == "ranking":
            data.set_group([40, 40, 40])
        if name == "base margins":
            data.set_base_margin(np.full(len(rows), 0.7))
        return xgboost.train(SETTINGS[name], data, num_boost_round=5)

    return {name: trained(name) for name in SETTINGS}


@pytest.fixture
def answered(
    boosters: dict[str, Booster], rows: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> Callable[..., Array]:
    """A function from a booster's name and a method to the Model's answer to the rows."""

    def answer(name: str, method: str) -> Array:
        boosters[name].save_model(tmp_path / "model.ubj")
        return np.asarray(model_of(tmp_path, method=method).predict(rows, []))

    return answer


@pytest.mark.parametrize(
    ("name", "method"),
    [case for case in itertools.product(SETTINGS, OPTIONS) if case not in UNSUPPORTED],
)
def test_what_xgboost_offers_is_answered_to_the_bit(
    name: str,
    method: str,
    boosters: dict[str, Booster],
    answered: Callable[..., Array],
    rows: Array,
) -> None:
    """predict, margin, leaf and contributions equal Booster.predict with a DMatrix bit for bit."""
    answer = answered(name, method)

    assert np.array_equal(answer, boosters[name].predict(DMatrix(rows), **OPTIONS[method]))


@pytest.mark.parametrize(("name", "method"), UNSUPPORTED)
def test_what_xgboost_refuses_stops_the_start(
    name: str, method: str, answered: Callable[..., Array]
) -> None:
    """A method that XGBoost does not support for the model stops the start."""
    with pytest.raises(DeploymentError, match=f"this model cannot answer method {method}: "):
        answered(name, method)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_signature_has_the_methods_that_are_answered(
    name: str, boosters: dict[str, Booster], tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The signature lists XGBoost's methods and, for classifiers, those of its wrappers."""
    boosters[name].save_model(tmp_path / "model.ubj")
    offered = {method for method in OPTIONS if (name, method) not in UNSUPPORTED}
    classifying = {"label"} if name == "binary hinge" else {"label", "predict_proba"}

    methods = model_of(tmp_path).signature.methods

    assert set(methods) == offered | (classifying if name in CLASSIFIERS else set())


@pytest.mark.parametrize("name", SETTINGS)
def test_one_row_is_answered_as_the_same_row_among_others(
    name: str, boosters: dict[str, Booster], rows: Array, tmp_path: Path, model_of: Any
) -> None:
    """Rows are independent, also for ranking, so requests can share a batch."""
    boosters[name].save_model(tmp_path / "model.ubj")
    model = model_of(tmp_path)

    one_by_one = np.concatenate([model.predict(rows[at : at + 1], []) for at in range(5)])

    assert model.batchable
    assert np.array_equal(one_by_one, model.predict(rows, [])[:5])


def probabilities(name: str, booster: Booster, rows: Array) -> Array:
    """The probability of each class, computed from the booster's margins."""
    margin = booster.predict(DMatrix(rows), output_margin=True)
    if "multi-class" in name:
        return np.asarray(softmax(margin, axis=1))
    return np.asarray(expit(margin))


@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if name != "binary hinge"])
def test_probabilities_are_one_for_each_class(
    name: str, boosters: dict[str, Booster], answered: Callable[..., Array], rows: Array
) -> None:
    """predict_proba has two columns for two classes, else one for each class or label."""
    expected = probabilities(name, boosters[name], rows)
    if expected.ndim == 1:
        expected = np.column_stack([1 - expected, expected])

    answer = answered(name, "predict_proba")

    assert answer.shape == expected.shape
    assert answer == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_labels_are_the_likeliest_classes(
    name: str, boosters: dict[str, Booster], answered: Callable[..., Array], rows: Array
) -> None:
    """The method label gives the class number, or 1 for each label with a probability above 0.5."""
    expected = probabilities(name, boosters[name], rows)
    expected = expected.argmax(axis=1) if "multi-class" in name else expected > 0.5

    answer = answered(name, "label")

    if name == "binary hinge":  # its margins are not logits
        expected = boosters[name].predict(DMatrix(rows))
    assert answer.dtype.kind == "i"
    assert answer.tolist() == expected.astype(int).tolist()


@pytest.mark.parametrize("method", ["predict_proba", "label"])
@pytest.mark.parametrize("name", ["regression", "ranking", "survival"])
def test_only_classifiers_have_classes(
    name: str, method: str, answered: Callable[..., Array]
) -> None:
    """Class methods of other models stop the start; the message lists objective and methods."""
    with pytest.raises(DeploymentError, match=r"(reg|rank|survival):\w+: set method to predict, m"):
        answered(name, method)


def test_a_hinge_has_labels_but_no_probabilities(answered: Callable[..., Array]) -> None:
    """For a hinge objective, predict_proba is refused, and the message says why."""
    with pytest.raises(DeploymentError, match="needs an objective that tells probabilities"):
        answered("binary hinge", "predict_proba")


def test_a_method_outside_the_list_stops_the_start(answered: Callable[..., Array]) -> None:
    """An unknown method stops the start, and the message lists all methods."""
    with pytest.raises(DeploymentError, match=r"one of predict, predict_proba, .*, got 'proba'"):
        answered("binary", "proba")


@pytest.mark.parametrize("settings", [{}, {"objective": "multi:softmax"}], ids=["prob", "max"])
def test_the_wrappers_own_answers_are_probabilities_and_labels(
    settings: dict[str, str], rows: Array, classes: Array, tmp_path: Path, model_of: Any
) -> None:
    """predict_proba equals the wrapper's predict_proba, and label equals its predict."""
    wrapper = XGBClassifier(n_estimators=5, **settings).fit(rows, classes)
    wrapper.save_model(tmp_path / "model.json")

    probable, label = (
        model_of(tmp_path, method=method).predict(rows, []) for method in ("predict_proba", "label")
    )

    assert np.array_equal(probable, wrapper.predict_proba(rows))
    assert np.array_equal(label, wrapper.predict(rows))


def test_a_linear_model_that_was_stopped_early_answers_as_its_wrapper(
    rows: Array, classes: Array, tmp_path: Path, model_of: Any
) -> None:
    """A linear booster that stopped early answers as its wrapper; it cannot select iterations."""
    wrapper = XGBClassifier(booster="gblinear", n_estimators=20, early_stopping_rounds=1)
    wrapper.fit(rows[:60], classes[:60], eval_set=[(rows[60:], classes[60:])], verbose=False)
    wrapper.save_model(tmp_path / "model.json")

    answer = model_of(tmp_path).predict(rows, [])

    assert np.array_equal(answer, wrapper.predict_proba(rows))


def test_a_request_may_ask_for_another_method(
    rows: Array, classes: Array, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A request may choose a method that the booster has; the next one gets the default."""
    booster = XGBClassifier(n_estimators=2, max_depth=2).fit(rows, classes).get_booster()
    booster.save_model(tmp_path / "model.json")
    model = model_of(tmp_path)

    margin = model.predict(rows, [], {"tags": {"method": "margin"}})

    assert np.array_equal(margin, booster.predict(DMatrix(rows), output_margin=True))
    assert np.array_equal(model.predict(rows, [], {}), booster.predict(DMatrix(rows)))
    with pytest.raises(ClientError, match="expected method as one of predict, predict_proba"):
        model.predict(rows, [], {"tags": {"method": "fit"}})
