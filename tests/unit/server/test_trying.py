from typing import Any

import numpy as np

from prepackaged import Artifact, ClientError, Signature, TensorSpec
from prepackaged.server.runtime.trying import Trial
from prepackaged.tensors import TensorComponent


class Sum(TensorComponent):
    """A model that returns the sum of two tensors."""

    inputs: tuple[TensorSpec, ...] = (
        TensorSpec("x", "float32", (None, 2)),
        TensorSpec("k", "int64", ()),
    )

    def load_model(self, artifact: Artifact | None) -> None:
        """Set the signature."""
        self.signature = Signature(self.inputs)

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        """Add the tensors."""
        return np.asarray(sum(self.tensors(X, feature_names).values()))


class OneRow(Sum):
    """A model that only accepts a single row."""

    inputs = (TensorSpec("x", "float32", (1, 2)),)


class Refusing(Sum):
    """A model that refuses all input."""

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        """Refuse the input."""
        raise ClientError("expected something else")


def report_of(model: TensorComponent) -> dict[str, Any]:
    """Load a model and return the report of its trial."""
    model.load()
    return Trial(model, model.signature).report()


def test_a_model_of_several_tensors_is_tried_with_its_example_alone() -> None:
    """A model of several tensors is tried only with its example, which has no rows to repeat."""
    report = report_of(Sum())

    assert "error" not in report
    assert report["request"] == {"jsonData": {"x": [[0.5, 0.5]], "k": 1}}
    assert report["answer"]["data"]["tensor"] == {"shape": [1, 2], "values": [1.5, 1.5]}
    assert report["milliseconds by rows"] == {}


def test_a_model_that_takes_one_row_is_timed_with_one() -> None:
    """A model that only accepts one row is timed with one row, which is no error."""
    report = report_of(OneRow())

    assert "error" not in report
    assert list(report["milliseconds by rows"]) == ["1"]


def test_a_model_that_refuses_its_example_says_why() -> None:
    """If a model refuses its example, the report has the error and the request."""
    report = report_of(Refusing())

    assert "expected something else" in report["error"]
    assert report["request"]["jsonData"]["k"] == 1
