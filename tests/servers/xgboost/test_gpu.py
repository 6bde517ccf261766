"""A GPU gives the same answers; these tests run if XGBoost sees a GPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xgboost_methods import METHODS, gpus

Array = np.ndarray[Any, np.dtype[Any]]

pytestmark = pytest.mark.skipif(not gpus(), reason="XGBoost sees no GPU here")


@pytest.mark.parametrize("device", [None, "auto", "cuda", "cuda:0"])
def test_a_gpu_is_used_where_there_is_one(
    device: str | None, classifier_file: Path, model_of: Callable[..., Any]
) -> None:
    """An available GPU is used by default, or by name."""
    assert model_of(classifier_file, device=device).answers.device == "cuda:0"


@pytest.mark.parametrize("method", METHODS)
def test_a_gpu_answers_as_the_cpu_does(
    method: str, classifier_file: Path, rows: Array, model_of: Callable[..., Any]
) -> None:
    """A GPU gives the CPU's answers, except for the last digits of sums."""
    on_cpu, on_gpu = (
        model_of(classifier_file, method=method, device=device).predict(rows, [])
        for device in ("cpu", "cuda")
    )

    assert on_gpu == pytest.approx(on_cpu, abs=1e-5)
