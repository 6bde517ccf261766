"""Facts about the columns of LightGBM's and CatBoost's models.

A fork adds these packages; this module does not import them. Both keep the names of their columns
in attributes of their own, and LightGBM also keeps the labels of pandas' categories.
"""

import math
from typing import Any

from prepackaged.signature import Column

LIGHTGBM, CATBOOST = "lightgbm", "catboost"
NUMBER = Column(kind="float64")


def package_of(model: Any) -> str:
    """`lightgbm` or `catboost` if the model is of one of them, else an empty string."""
    modules = (kind.__module__.partition(".")[0] for kind in type(model).__mro__)
    return next((each for each in modules if each in (LIGHTGBM, CATBOOST)), "")


def names_of_booster(model: Any) -> list[str] | None:
    """The names of the columns; None if the model was trained without names."""
    is_lightgbm = package_of(model) == LIGHTGBM
    names = list(getattr(model, "feature_name_" if is_lightgbm else "feature_names_", None) or [])
    generated = [f"Column_{place}" if is_lightgbm else str(place) for place in range(len(names))]
    return None if names == generated else names


def facts_of_booster(model: Any, count: int) -> list[Column]:
    """The facts about `count` columns.

    Raises `ValueError` if LightGBM's model does not tell which columns its labels belong to.
    """
    facts = [NUMBER] * count
    special = _labels(model) if package_of(model) == LIGHTGBM else _of_catboost(model)
    for place, fact in special.items():
        facts[place] = fact
    return facts


def _labels(model: Any) -> dict[int, Column]:
    """The categorical columns by place. LightGBM takes an unknown label as a missing value."""
    booster = model.booster_
    labels = booster.pandas_categorical or []
    places = booster.params.get("categorical_column") or []
    if labels and len(labels) != len(places):
        raise ValueError(f"expected {len(labels)} categorical columns, got {len(places)}")
    return {
        place: Column(kind="category", categories=tuple(values), missing=math.nan, open=True)
        for place, values in zip(places, labels, strict=False)  # without labels, codes are numbers
    }


def _of_catboost(model: Any) -> dict[int, Column]:
    """The columns that hold no numbers. CatBoost reads integers and texts, but no missing value."""
    texts = model.get_text_feature_indices()
    categories = dict.fromkeys(model.get_cat_feature_indices(), Column(nullable=False))
    others = dict.fromkeys(model.get_embedding_feature_indices(), Column())
    return categories | dict.fromkeys(texts, Column(kind="text", nullable=False)) | others
