"""The Model's signature has exactly the facts that the booster knows."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from xgboost import DMatrix, XGBClassifier, XGBRegressor

from prepackaged import Column

ANY = Column(missing=math.nan)  # a column without facts in the booster


@pytest.mark.usefixtures("since_3_1")
def test_columns_of_a_frame_have_names_kinds_and_categories(
    rents: XGBRegressor, rents_file: Path, flats: pd.DataFrame, model_of: Callable[..., Any]
) -> None:
    """Columns of a DataFrame have names, kinds and categories, as text or numbers."""
    signature = model_of(rents_file).signature

    assert [each.name for each in signature.inputs] == rents.get_booster().feature_names
    assert signature.inputs == (
        Column("city", "category", tuple(flats["city"].cat.categories), math.nan),
        Column("district", "category", tuple(flats["district"].cat.categories), math.nan),
        Column("area", "float32", None, math.nan),
    )
    assert signature.sources["inputs"] == "model"


def test_types_of_columns_are_those_of_the_booster(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Columns have the booster's types: integers, booleans and floats."""
    frame = pd.DataFrame({"rooms": [1, 2, 3, 4], "lift": [True, False] * 2, "area": [0.5] * 4})
    model = XGBRegressor(n_estimators=1).fit(frame, [1, 2, 3, 4])
    assert model.get_booster().feature_types == ["int", "i", "float"]
    model.save_model(tmp_path / "model.json")

    kinds = [each.kind for each in model_of(tmp_path).signature.inputs]

    assert kinds == ["int64", "bool", "float32"]


def test_without_names_the_number_of_columns_is_reported(
    classifier: XGBClassifier, classifier_file: Path, model_of: Callable[..., Any]
) -> None:
    """A booster trained on an array has numeric columns without names."""
    booster = classifier.get_booster()
    assert (booster.feature_names, booster.feature_types) == (None, None)

    assert model_of(classifier_file).signature.inputs == (ANY,) * booster.num_features()


def test_the_missing_value_of_training_is_reported(
    rows: Any, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The missing value of a pickled wrapper is in the signature."""
    model = XGBRegressor(n_estimators=1, missing=-1.0).fit(np.nan_to_num(rows), rows[:, 0] > 0)
    pd.to_pickle(model, tmp_path / "model.pkl")

    signature = model_of(tmp_path).signature

    assert {each.missing for each in signature.inputs} == {model.missing}


SPECIES = ("setosa", "versicolor", "virginica")


@pytest.fixture
def species_file(classifier: XGBClassifier, tmp_path: Path) -> Path:
    """The classifier's booster with labels, stored as XGBoost's wrapper stores them."""
    booster = classifier.get_booster().copy()
    booster.set_attr(scikit_learn=json.dumps({"classes_": SPECIES}))
    booster.save_model(tmp_path / "model.json")
    return tmp_path / "model.json"


@pytest.mark.parametrize("method", ["predict", "predict_proba", "label", "contributions"])
def test_classes_are_known_whatever_the_method(
    species_file: Path, method: str, model_of: Callable[..., Any]
) -> None:
    """The signature has the model's classes, whatever the method."""
    signature = model_of(species_file, method=method).signature

    assert (signature.method, signature.class_names) == (method, SPECIES)


def test_columns_of_probabilities_are_the_classes(
    species_file: Path, model_of: Callable[..., Any]
) -> None:
    """The outputs of predict_proba are the classes, in the booster's order."""
    signature = model_of(species_file, method="predict_proba").signature

    assert signature.outputs == tuple(map(Column, SPECIES))


@pytest.mark.parametrize("method", ["predict", "margin", "leaf", "contributions"])
def test_any_other_answer_is_an_array_of_the_boosters_shape(
    classifier: XGBClassifier,
    classifier_file: Path,
    rows: Any,
    method: str,
    model_of: Callable[..., Any],
) -> None:
    """For other methods, the output has the dtype and the shape of XGBoost's answer."""
    options = {"margin": "output_margin", "leaf": "pred_leaf", "contributions": "pred_contribs"}
    best = (0, classifier.best_iteration + 1)
    answer = classifier.get_booster().predict(
        DMatrix(rows),
        iteration_range=best,
        **({options[method]: True} if method in options else {}),
    )

    (output,) = model_of(classifier_file, method=method).signature.outputs

    assert (output.name, output.shape) == ("", (None, *answer.shape[1:]))
    assert output.dtype == (np.int32 if method == "leaf" else answer.dtype)


def test_labels_are_text_where_classes_are(
    species_file: Path, model_of: Callable[..., Any]
) -> None:
    """The output of label is one text per row if the classes are text."""
    (output,) = model_of(species_file, method="label").signature.outputs

    assert (output.is_text, output.shape) == (True, (None,))
