"""The server answers generated requests as the OpenAPI document says.

No 5xx errors, and no status, type or method that is not in the document.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fuzzing import findings
from serving import Server


@pytest.mark.parametrize("model", ["classifier", "rents"])
def test_of_numbers_and_of_categories(
    model: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    serve_model: Callable[..., Server],
) -> None:
    """A classifier without column names, and a regressor of named columns."""
    estimator: Any = request.getfixturevalue(model)
    estimator.save_model(tmp_path / "model.ubj")
    assert findings(serve_model(tmp_path).url, tmp_path) == ""
