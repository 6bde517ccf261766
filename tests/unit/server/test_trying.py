from typing import Any

import numpy as np

from prepackaged import Artifact, ClientError, Signature, TensorSpec
from prepackaged.server.runtime.samples import SELDON, V2, Sample
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


class TwoBatches(Sum):
    """A model of two tensors that both have rows."""

    inputs = (TensorSpec("x", "float32", (None, 2)), TensorSpec("k", "int64", (None, 1)))


class Picture(Sum):
    """A model of pictures."""

    inputs = (TensorSpec("picture", "float32", (None, 3, 64, 64)),)


class Convolution(Sum):
    """A model of pictures of any size from 7 x 7 on."""

    inputs = (TensorSpec("picture", "float32", (None, 3, None, None)),)

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        """Return the height of each picture."""
        (picture,) = self.tensors(X, feature_names).values()
        if picture.shape[2] < 7:
            raise ClientError("expected a height from 7 on")
        return np.full((len(picture), 1), picture.shape[2])


class OneRow(Sum):
    """A model that only accepts a single row."""

    inputs = (TensorSpec("x", "float32", (1, 2)),)


class Refusing(Sum):
    """A model that refuses all input."""

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        """Refuse the input."""
        raise ClientError("expected something else")


def report_of(model: TensorComponent, *samples: Sample) -> dict[str, Any]:
    """Load a model and return the report of its trial."""
    model.load()
    return Trial(model, model.signature, samples).report()


def test_a_model_of_several_tensors_is_tried_only_with_its_example() -> None:
    """A model of several tensors is tried only with its example, which has no rows to repeat."""
    report = report_of(Sum())

    assert "error" not in report
    assert report["request"] == {"jsonData": {"x": [[0.5, 0.5]], "k": 1}}
    assert report["answer"]["data"]["tensor"] == {"shape": [1, 2], "values": [1.5, 1.5]}
    assert report["milliseconds by rows"] == {}


def test_a_model_that_takes_one_row_is_timed_with_one_row() -> None:
    """A model that only accepts one row is timed with one row, which is no error."""
    report = report_of(OneRow())

    assert "error" not in report
    assert list(report["milliseconds by rows"]) == ["1"]


def test_the_report_says_why_a_model_refuses_its_example() -> None:
    """If a model refuses its example, the report has the error and the request."""
    report = report_of(Refusing())

    assert "expected something else" in report["error"]
    assert report["request"]["jsonData"]["k"] == 1
    assert (
        "values are made up: put a request that the model accepts into samples/" in report["error"]
    )


def test_tensors_with_rows_are_timed_with_many() -> None:
    """Rows are repeated in each of several tensors."""
    assert list(report_of(TwoBatches())["milliseconds by rows"]) == ["1", "32", "256"]


def test_a_model_of_large_tensors_is_tried() -> None:
    """A request that is too long to show is cut; times and answer are those of all values."""
    report = report_of(Picture())

    assert "error" not in report
    assert report["request"].startswith('{"data": {"ndarray": [[[[0.5, 0.5,')
    assert report["request"].endswith(" characters)")
    assert len(report["request"]) < 300
    assert "1" in report["milliseconds by rows"]


def test_free_sizes_are_varied_until_the_model_accepts_one() -> None:
    """A model that refuses size 1 is tried with larger ones."""
    report = report_of(Convolution())

    assert report["answer"]["data"]["ndarray"] == [[32]]


def test_a_sample_replaces_made_up_values() -> None:
    """The first sample of Seldon's protocol that expects an answer is the request."""
    good = {"jsonData": {"x": [[1, 2]], "k": 5}}
    report = report_of(
        Sum(),
        Sample("refused.json", SELDON, {"data": {"ndarray": []}}, status=400),
        Sample("v2.json", V2, {"inputs": []}),
        Sample("good.json", SELDON, good),
    )

    assert report["request"] == good
    assert report["answer"]["data"]["tensor"]["values"] == [6, 7]


def test_a_sample_that_the_model_refuses_is_an_error() -> None:
    """Nothing is made up beside a sample."""
    report = report_of(Sum(), Sample("a.json", SELDON, {"data": {"ndarray": [["a", "b"]]}}))

    assert "made up" not in report["error"]
