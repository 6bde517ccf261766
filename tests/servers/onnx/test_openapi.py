"""The server answers generated requests as the OpenAPI document says.

No 5xx errors, and no status, type or method that is not in the document.
"""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from fuzzing import findings
from graphs import graph, node, product, same, weights
from serving import Server

SEVERAL = graph(
    [node("Gather", "table words", "found"), node("Add", "found sizes", "sums")],
    {"words": ("int64", ("batch",)), "sizes": ("float", ("batch", 2))},
    {"sums": ("float", ("batch", 2))},
    weights={"table": weights(2, 2)},
)


@pytest.mark.parametrize(
    "model",
    [product(), same("string"), SEVERAL],
    ids=["numbers", "texts", "several tensors"],
)
def test_of_every_kind_of_tensor(
    model: onnx.ModelProto, tmp_path: Path, serve_model: Callable[..., Server]
) -> None:
    """Models of numbers and of texts, with one tensor and with several."""
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert findings(serve_model(tmp_path).url, tmp_path) == ""
