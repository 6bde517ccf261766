import json
import os
from pathlib import Path
from typing import Any

import pytest

from prepackaged import Artifact, Column, Signature
from prepackaged.input_examples import made_up, mlflow_example, requests_to_try


def model_with(directory: Path, example: Any, name: str = "input_example.json") -> Artifact:
    """Build a model whose MLmodel names an input example with this content."""
    (directory / "model.pkl").write_bytes(b"a model")
    (directory / "input_example.json").write_text(json.dumps(example))
    mlmodel = {"saved_input_example_info": {"artifact_path": name}}
    return Artifact(directory / "model.pkl", "model.pkl", directory, mlmodel=mlmodel)


@pytest.mark.parametrize(
    ("content", "row"),
    [
        ({"columns": ["a", "b"], "data": [[1, "x"], [2, "y"]]}, [{"a": 1, "b": "x"}]),
        ({"data": [[1.0, 2.0], [3.0, 4.0]]}, [[1.0, 2.0]]),
        ({"inputs": [[1.0, 2.0], [3.0, 4.0]]}, [[1.0, 2.0]]),
        ([{"columns": ["a"], "data": [[1]]}, {"params": 1}], [{"a": 1}]),
        ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0]]),
        ({"columns": ["a"], "data": []}, None),
        ({"inputs": {"a": [1]}}, None),
        ("word", None),
        ([], None),
        (3, None),
    ],
)
def test_the_first_row_of_mlflows_example_is_used(
    content: Any, row: list[Any] | None, tmp_path: Path
) -> None:
    """The first row is read from MLflow's formats for DataFrames and arrays."""
    assert mlflow_example(model_with(tmp_path, content)) == row


@pytest.mark.parametrize("name", ["missing.json", "../..", "", 3])
def test_a_missing_example_file_means_no_example(name: Any, tmp_path: Path) -> None:
    """If the example file does not exist, there is no example."""
    assert mlflow_example(model_with(tmp_path, {"inputs": [[1]]}, name)) is None


def test_an_example_that_is_a_pipe_or_large_is_not_read(tmp_path: Path) -> None:
    """An example that is a pipe or too large is not read, so that startup never blocks."""
    artifact = model_with(tmp_path, {"inputs": [[1]]})
    os.truncate(tmp_path / "input_example.json", 2**40)
    assert mlflow_example(artifact) is None
    (tmp_path / "input_example.json").unlink()
    os.mkfifo(tmp_path / "input_example.json")
    assert mlflow_example(artifact) is None


def test_example_rows_use_the_known_types_and_categories() -> None:
    """Example rows use known categories and types; others are numbers, texts, or one is a text."""
    columns = (
        Column("age", "int64"),
        Column("city", "category", ("Tainan", "Taipei")),
        Column("any"),
    )

    assert list(made_up(Signature(columns))) == [
        [{"age": 1, "city": "Tainan", "any": 1}],
        [{"age": 1, "city": "Tainan", "any": "a"}],
    ]
    assert list(made_up(Signature((Column(),) * 2))) == [
        [[1, 1]], [["a", "a"]], [["a", 1]], [[1, "a"]],
    ]  # fmt: skip
    assert list(made_up(Signature())) == [["a"]]


def test_the_example_comes_first_and_a_large_model_is_not_tried(tmp_path: Path) -> None:
    """MLflow's example is tried first; a large model is not tried, since it would be copied."""
    artifact = model_with(tmp_path, {"inputs": [[5.0]]})
    signature = Signature((Column(kind="float64"),))

    assert list(requests_to_try(artifact, signature)) == [[[5.0]], [[0.5]], [[0.5]]]
    assert list(requests_to_try(artifact, signature, most_bytes=3)) == []
