import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prepackaged import Artifact, ClientError, Component, DeploymentError
from prepackaged.server.runtime import samples
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.event_loop import LoopThread
from prepackaged.server.runtime.samples import Sample, samples_of
from prepackaged.server.runtime.self_test import check_samples

REQUEST = {"path": "/predict", "body": {"data": {"ndarray": [[1.0, 2.0]]}}}
V2_REQUEST = {
    "path": "/v2/models/{model}/infer",
    "body": {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]},
}


class Sum(Component):
    """A model that returns the sum of each row and counts its calls."""

    calls = 0

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        self.calls += 1
        if np.shape(X)[-1] != 2:
            raise ClientError("expected two columns")
        return np.sum(np.asarray(X, float), axis=1, keepdims=True)


@pytest.fixture
def model(tmp_path: Path) -> Sum:
    """A model in its own directory."""
    model = Sum(str(tmp_path))
    model.load()
    return model


def put(directory: Path, content: Any, name: str = "a.json") -> Path:
    """Write a sample file, valid or not, beside the model."""
    (directory / "samples").mkdir(exist_ok=True)
    file = directory / "samples" / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def check(model: Any, **settings: Any) -> None:
    """Check the samples as a server does at startup."""
    with LoopThread() as loop:
        check_samples(model, None, Config("Sum", {}, **settings), loop)


def answers(body: Any, request: Any = REQUEST, **more: Any) -> dict[str, Any]:
    """Build a sample that expects this response body."""
    return {"request": request, "response": {"body": body}, **more}


def difference(expected: Any, got: Any, tolerance: float = 1e-3) -> str:
    """Return the difference between an expected and an actual response."""
    sample = Sample("a.json", "/", {}, expected, tolerance=tolerance)
    return sample.difference(200, json.dumps(got).encode())


@pytest.mark.parametrize(
    "sample",
    [
        answers({"data": {"ndarray": [[3.0]]}}),
        answers({"data": {"names": ["t:0"]}}),
        answers({"outputs": [{"data": [3.0], "shape": [1, 1]}]}, V2_REQUEST),
        answers({"predictions": [[3]]}, {"body": {"instances": [[1.0, 2.0]]}}),
        answers({"data": {"ndarray": [[3.0]]}}, {"body": REQUEST["body"]}),
        answers({"data": {"ndarray": [[3.2]]}}, tolerance=0.1),
        {"request": REQUEST},
        {"request": {"body": {"data": {"ndarray": [[1]]}}}, "response": {"status": 400}},
    ],
)
def test_a_model_that_answers_as_expected_becomes_ready(
    sample: Any, model: Sum, tmp_path: Path
) -> None:
    """Samples pass in any protocol, with a partial response body or with an expected error."""
    put(tmp_path, sample)
    check(model, model_name="no other")
    assert model.calls == 1


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (
            answers({"data": {"ndarray": [[4.0]]}}),
            "sample a.json: data.ndarray[0][0]: expected 4.0, got 3.0",
        ),
        (
            answers({"outputs": [{"data": [3.5]}]}, V2_REQUEST),
            "sample a.json: outputs[0].data[0]: expected 3.5, got 3.0",
        ),
        (
            answers({"strData": "3"}),
            "sample a.json: strData: expected '3', got nothing",
        ),
        (
            answers({}, {"path": "/other", "body": {}}),
            "sample a.json: expected status 200, got 404: ",
        ),
        (
            answers({}, {"path": "/metadata", "body": {}}),
            "sample a.json: expected status 200, got 405: ",
        ),
        (
            {"request": {"body": {"data": {"ndarray": [[1]]}}}},
            "sample a.json: expected status 200, got 400: ",
        ),
    ],
)
def test_a_failing_sample_stops_the_start(
    sample: Any, why: str, model: Sum, tmp_path: Path
) -> None:
    """A failing sample stops startup with an error that names the sample and the difference."""
    put(tmp_path, sample)
    with pytest.raises(DeploymentError) as caught:
        check(model)
    assert str(caught.value).startswith(why)


def test_a_setting_turns_samples_off(model: Sum, tmp_path: Path) -> None:
    """A setting turns off the check of samples."""
    put(tmp_path, answers({"data": {"ndarray": [[4.0]]}}))
    check(model, samples=False)
    assert model.calls == 0


def test_a_model_without_samples_is_not_called(model: Sum, tmp_path: Path) -> None:
    """A model without a samples directory, or with a file or URI instead, is not called."""
    check(model)
    (tmp_path / "samples").write_text("a file")
    check(model)
    model.model_uri = "s3://bucket/model"
    check(model)
    check(object())
    assert model.calls == 0


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (0.5, 0.5004),
        (1e9, 1.0005e9),
        (0.0, 1e-7),
        (float("nan"), float("nan")),
        (float("inf"), float("inf")),
        (3, 3.0),
        ([1, "a", None, True], [1, "a", None, True]),
        ({"a": 1}, {"a": 1, "b": 2}),
    ],
)
def test_numbers_are_compared_with_a_tolerance(expected: Any, got: Any) -> None:
    """Numbers are compared with a tolerance, and additional members are ignored."""
    assert difference(expected, got) == ""


@pytest.mark.parametrize(
    ("expected", "got", "why"),
    [
        (0.5, 0.502, "expected 0.5, got 0.502"),
        (1000, 1001, "expected 1000, got 1001"),
        (0.0, 1e-5, "expected 0.0, got 1e-05"),
        (float("nan"), 1.0, "expected nan, got 1.0"),
        (1.0, None, "expected 1.0, got None"),
        (1, True, "expected 1, got True"),
        ("1", 1, "expected '1', got 1"),
        ([1, 2], [1], "expected 2 values, got 1 values"),
        ([[1], [2]], [[1], [3]], "[1][0]: expected 2, got 3"),
        ({"a": {"b": [1]}}, {"a": {"b": [2]}}, "a.b[0]: expected 1, got 2"),
        ({"a": 1}, [1], "expected {'a': 1}, got 1 values"),
        ("x" * 200, "", f"expected '{'x' * 99}..., got ''"),
    ],
)
def test_the_error_shows_the_first_difference(expected: Any, got: Any, why: str) -> None:
    """The error gives the place of the first difference, the expected and the actual value."""
    assert difference(expected, got) == why


def test_a_response_that_is_not_json_is_compared_as_text() -> None:
    """A response that is not JSON, as from `predict_raw`, is compared as text."""
    sample = Sample("a.json", "/", {}, "yes")
    assert sample.difference(200, b"yes") == ""
    assert sample.difference(200, b"no") == "expected 'yes', got 'no'"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "expected JSON: "),
        ("[" * 100_000, "expected JSON: "),
        ("\x00", "expected JSON: "),
        ({"request": {}}, 'expected {"request": {"path", "body"}, "response": {"body"}}'),
        ({"request": None}, 'expected {"request": {"path", "body"}, "response": {"body"}}'),
        ({"request": [[1, 2]]}, 'expected {"request": {"path", "body"}, "response": {"body"}}'),
        ({"request": {"body": 1}, "response": 2}, "expected response as an object, got 2"),
        ({"request": {"body": 1, "path": 2}}, "expected request.path such as /api"),
        ({"request": {"body": 1, "path": "predict"}}, "expected request.path such as /api"),
        (
            {"request": {"body": 1}, "response": {"status": "200"}},
            "expected response.status as a number, got '200'",
        ),
        (answers({}, tolerance="1"), "expected tolerance as a number from 0, got '1'"),
        (answers({}, tolerance=-1), "expected tolerance as a number from 0, got -1"),
        (answers({}, tolerance=True), "expected tolerance as a number from 0, got True"),
    ],
)
def test_the_error_names_an_invalid_sample(
    content: Any, why: str, model: Sum, tmp_path: Path
) -> None:
    """The error for an invalid sample names its file and what was expected."""
    file = put(tmp_path, content)
    with pytest.raises(DeploymentError) as caught:
        check(model)
    assert str(caught.value).startswith(f"sample {file}: {why}")


def test_samples_are_limited_in_size_and_number(
    model: Sum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size and the number of samples are limited, so that startup stays short."""
    file = put(tmp_path, answers({}))
    monkeypatch.setattr(samples, "MOST_BYTES", 10)
    with pytest.raises(DeploymentError, match=f"sample {file}: expected at most 10 bytes, got "):
        check(model)
    for number in range(samples.MOST_FILES):
        put(tmp_path, answers({}), f"{number}.json")
    with pytest.raises(DeploymentError, match="expected at most 100 samples, got 101; PREPACKAGED"):
        check(model)


@pytest.mark.parametrize(
    "content",
    [
        {"name": "samples", "version": "1.0.0", "private": True},  # a package.json
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"},
        {"data": {"ndarray": [[1.0, 2.0]]}},  # the body of a request alone
        {"requests": [], "response": {"body": {}}},
        [[1.0, 2.0]],
        [],
        {},
        None,
        "text",
    ],
)
def test_json_files_without_a_request_are_skipped_with_a_warning(
    content: Any, model: Sum, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Other JSON files do not stop the server: a warning names each, and samples are tried."""
    file = put(tmp_path, json.dumps(content))
    put(tmp_path, answers({"data": {"ndarray": [[3.0]]}}), "z.json")
    with caplog.at_level("INFO"):
        check(model)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    form = '{"request": {"path", "body"}, "response": {"body"}}'
    assert warned == [f"{file} is not a sample and is ignored: expected {form}"]
    assert "Samples: 1 of 1 are answered as expected" in caplog.text


def test_a_sample_must_be_a_regular_file(model: Sum, tmp_path: Path) -> None:
    """Pipes, devices and directories are refused, because reading them may never end."""
    file = tmp_path / "samples" / "a.json"
    file.parent.mkdir()
    for make, remove in (
        (lambda: os.mkfifo(file), file.unlink),
        (lambda: file.symlink_to("/dev/zero"), file.unlink),
        (lambda: file.symlink_to("nowhere"), file.unlink),
        (file.mkdir, file.rmdir),
    ):
        make()
        with pytest.raises(DeploymentError) as caught:
            check(model)
        assert str(caught.value) == f"sample {file}: expected a regular file"
        remove()


def test_other_files_beside_samples_are_ignored(model: Sum, tmp_path: Path) -> None:
    """Hidden files and files that are not JSON are ignored in the samples directory."""
    put(tmp_path, "notes", "README.md")
    put(tmp_path, "{", ".a.json.swp")
    put(tmp_path, "{", ".a.json")
    check(model)


@pytest.mark.parametrize(
    ("info", "files", "expected"),
    [
        (
            {"artifact_path": "input_example.json", "serving_input_path": "mine.json"},
            {"mine.json": {"inputs": [1]}, "input_example.json": {"data": [[2]]}},
            ("mine.json", "/invocations", {"inputs": [1]}),
        ),
        (
            {"artifact_path": "input_example.json"},
            {"serving_input_example.json": {"dataframe_split": {}}, "input_example.json": [[2]]},
            ("serving_input_example.json", "/invocations", {"dataframe_split": {}}),
        ),
        (
            {"artifact_path": "input_example.json"},
            {"input_example.json": {"columns": ["a"], "data": [[2], [3]]}},
            ("input_example.json", "/api/v1.0/predictions", {"jsonData": [{"a": 2}]}),
        ),
    ],
)
def test_an_mlflow_example_is_a_request_without_an_expected_response(
    info: Any, files: dict[str, Any], expected: Any, tmp_path: Path
) -> None:
    """MLflow's stored request is sent, or else the first row of its input example."""
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    model = Sum()
    model.artifact = Artifact(
        tmp_path / "m", "m", tmp_path, mlmodel={"saved_input_example_info": info}
    )
    (sample,) = samples_of(model)
    assert (sample.name, sample.path, sample.body) == expected
    assert not sample.is_required


@pytest.mark.parametrize(
    ("content", "why"),
    [("{", "expected JSON: "), ('"' + "x" * 20 * 2**20 + '"', "expected at most 16777216 bytes")],
    ids=["broken", "large"],
)
def test_an_unreadable_mlflow_example_is_logged(
    content: str, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken or very large example of MLflow's does not stop the server."""
    file = tmp_path / "serving_input_example.json"
    file.write_text(content)
    model = Sum()
    info = {"artifact_path": "input_example.json"}
    model.artifact = Artifact(
        tmp_path / "m", "m", tmp_path, mlmodel={"saved_input_example_info": info}
    )
    check(model)
    assert f"sample {file}: {why}" in caplog.text
    assert model.calls == 0


def test_a_failing_mlflow_example_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A failing MLflow example is only logged, since MLflow does not keep it up to date."""
    (tmp_path / "serving_input_example.json").write_text('{"inputs": [[1, 2, 3]]}')
    model = Sum()
    info = {"artifact_path": "input_example.json"}
    model.artifact = Artifact(
        tmp_path / "m", "m", tmp_path, mlmodel={"saved_input_example_info": info}
    )
    with caplog.at_level("INFO"):
        check(model)
    assert "sample serving_input_example.json: expected status 200, got 400" in caplog.text
    assert "Samples: 0 of 1 are answered as expected" in caplog.text
