"""SavedModels of plain modules: signatures, names, dtypes and batches of every kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from prepackaged import DeploymentError

ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


class Two(tf.Module):
    """A module with two functions, neither of them a default signature."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    def times(self, values: Any) -> Any:
        """Multiply the values by the factor."""
        return {"product": values * self.factor}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    def plus(self, values: Any) -> Any:
        """Add the factor to the values."""
        return {"sum": values + self.factor}


def save(directory: Path, function: Callable[..., Any], *inputs: tf.TensorSpec) -> Path:
    """Save a function with these inputs as a module's only signature."""
    module = tf.Module()
    module.function = tf.function(function, input_signature=inputs)
    tf.saved_model.save(module, str(directory))
    return directory


def save_two(directory: Path, *names: str) -> Path:
    """Save the module of two functions with these functions as signatures."""
    module = Two()
    tf.saved_model.save(
        module, str(directory), signatures={name: getattr(module, name) for name in names}
    )
    return directory


def test_the_only_signature_is_served_under_any_name(
    tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """The only signature is served, whatever its name."""
    post = post_to(save_two(tmp_path, "plus"))

    assert post({"data": {"ndarray": ROWS}})[1]["data"]["ndarray"] == [[3, 4], [5, 6], [7, 8]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("plus", [[3, 4], [5, 6], [7, 8]]), ("times", [[2, 4], [6, 8], [10, 12]])],
)
def test_the_parameter_signature_names_one_of_several(
    name: str, expected: Any, tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """The parameter signature selects one of several, and the metadata names it."""
    post = post_to(save_two(tmp_path, "plus", "times"), signature=name)

    assert post({"data": {"ndarray": ROWS}})[1]["data"]["ndarray"] == expected


@pytest.mark.parametrize(
    ("saved", "asked", "told"),
    [
        (("plus", "times"), None, "more than one other: plus, times. Set the parameter signature"),
        (
            ("plus",),
            "minus",
            "no signature 'minus', which the parameter signature names; it has plus",
        ),
        ((), None, "has no signature that could be served: save it with"),
    ],
)
def test_a_signature_that_cannot_be_chosen_stops_the_start(
    saved: tuple[str, ...], asked: str | None, told: str, tmp_path: Path, load: Callable[..., Any]
) -> None:
    """If no signature can be chosen, the message lists those of the model."""
    save_two(tmp_path, *saved)

    with pytest.raises(DeploymentError, match=told):
        load(tmp_path, signature=asked)


def test_inputs_and_outputs_go_by_name(tmp_path: Path, post_to: Callable[..., Any]) -> None:
    """Several inputs and outputs go by name in jsonData."""
    spec = tf.TensorSpec([None], tf.float32)
    directory = save(
        tmp_path,
        lambda left, right: {"sum": left + right, "is_more": left > right},
        tf.TensorSpec([None], tf.float32, "left"),
        tf.TensorSpec([None], tf.float32, "right"),
    )
    post = post_to(directory)
    expected = {"sum": [5.0, 5.0], "is_more": [False, True]}
    assert spec.shape.rank == 1

    by_name = post({"jsonData": {"right": [4.0, 1.0], "left": [1.0, 4.0]}})
    records = post({"jsonData": [{"right": 4.0, "left": 1.0}, {"left": 4.0, "right": 1.0}]})
    columns = post({"data": {"names": ["right", "left"], "ndarray": [[4.0, 1.0], [1.0, 4.0]]}})

    assert by_name == records == columns
    assert by_name[0] == 200
    assert by_name[1]["jsonData"] == expected


@pytest.mark.parametrize(
    "dtype",
    [
        tf.float16,
        tf.bfloat16,
        tf.float32,
        tf.float64,
        tf.int8,
        tf.uint8,
        tf.int32,
        tf.int64,
        tf.bool,
    ],
)
def test_values_take_the_dtype_of_the_input(
    dtype: Any, tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """JSON numbers are converted to the signature's dtype, and come back as numbers."""
    post = post_to(save(tmp_path, tf.identity, tf.TensorSpec([None, 2], dtype, "values")))

    status, body = post({"data": {"ndarray": [[1, 0]]}})

    assert status == 200, body
    assert body["data"]["ndarray"] == [[1, 0]]


def test_text_goes_in_and_comes_out(tmp_path: Path, post_to: Callable[..., Any]) -> None:
    """Text, also non-ASCII, is converted to TensorFlow's bytes and back."""
    directory = save(tmp_path, tf.strings.upper, tf.TensorSpec([None], tf.string, "text"))
    post = post_to(directory)

    assert post({"strData": "taipei"})[1]["data"]["ndarray"] == ["TAIPEI"]
    answer = post({"jsonData": ["tainan", "台南"]})[1]
    assert answer["data"]["ndarray"] == ["TAINAN", "台南"]


def test_a_batch_that_is_fixed_at_one_runs_row_by_row(
    tmp_path: Path, post_to: Callable[..., Any], load: Callable[..., Any]
) -> None:
    """If the batch is fixed at 1, rows run one by one, and the metadata has a free batch."""
    save(tmp_path, lambda x: x - tf.reduce_mean(x), tf.TensorSpec([1, 2], tf.float32, "values"))

    status, body = post_to(tmp_path)({"data": {"ndarray": ROWS}})

    assert status == 200, body
    assert body["data"]["ndarray"] == [[-0.5, 0.5]] * 3
    assert load(tmp_path).init_metadata()["inputs"][0]["shape"] == [-1, 2]
    assert not load(tmp_path).batchable


def test_a_batch_of_another_fixed_size_is_reported(
    tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """For another fixed batch size, other numbers of rows are refused with a message."""
    post = post_to(save(tmp_path, tf.identity, tf.TensorSpec([2, 2], tf.float32, "values")))

    assert post({"data": {"ndarray": ROWS[:2]}})[0] == 200
    status, body = post({"data": {"ndarray": ROWS}})
    assert status == 400
    assert "expected float32 of shape [2, 2], got shape [3, 2]" in body["status"]["info"]


def test_an_answer_without_rows_is_given_and_never_split(
    tmp_path: Path, post_to: Callable[..., Any], load: Callable[..., Any]
) -> None:
    """A model that sums over the batch answers one number and is not batchable."""
    save(tmp_path, tf.reduce_sum, tf.TensorSpec([None, 2], tf.float32, "values"))

    status, body = post_to(tmp_path)({"data": {"ndarray": ROWS}})

    assert status == 200, body
    assert body["data"]["ndarray"] == [21.0]
    assert not load(tmp_path).batchable


def test_an_input_of_unknown_shape_accepts_any_shape(
    tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """An input of unknown shape accepts any shape."""
    post = post_to(save(tmp_path, tf.identity, tf.TensorSpec(None, tf.float32, "values")))

    assert post({"data": {"ndarray": [[[1.0]]]}})[1]["data"]["ndarray"] == [[[1.0]]]


def test_a_saved_model_of_tensorflow_1_is_served(
    tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """A SavedModel of TensorFlow 1 is served under its only signature."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        rows = tf.compat.v1.placeholder(tf.float32, [None, 2], "rows")
        weight = tf.compat.v1.Variable(2.0)
        session.run(weight.initializer)
        signature = tf.compat.v1.saved_model.predict_signature_def(
            {"rows": rows}, {"y": rows * weight}
        )
        builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "old"))
        builder.add_meta_graph_and_variables(session, ["serve"], {"predict": signature})
        builder.save()

    status, body = post_to(tmp_path / "old")({"data": {"ndarray": ROWS}})

    assert status == 200, body
    assert body["data"]["ndarray"] == [[2, 4], [6, 8], [10, 12]]


def test_the_metadata_describes_the_tensors(tmp_path: Path, load: Callable[..., Any]) -> None:
    """The metadata has tensors with dtypes and shapes, the signature's name, and versions."""
    metadata = load(save_two(tmp_path, "plus")).init_metadata()

    assert metadata["platform"] == "tensorflow"
    assert metadata["inputs"] == [{"name": "values", "datatype": "FP32", "shape": [-1, 2]}]
    assert metadata["outputs"] == [{"name": "sum", "datatype": "FP32", "shape": [-1, 2]}]
    assert metadata["custom"] == {
        "format": "SavedModel",
        "signature": "plus",
        "saved_with": f"TensorFlow {tf.__version__}",
        "device": "cpu",
        "tensorflow": tf.__version__,
    }


def test_a_mounted_model_is_served_through_links(
    tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """A model behind PrimeHub's links into a read-only mount is served."""
    save_two(tmp_path / "mount", "plus")
    (tmp_path / "mount/saved_model.pb").rename(tmp_path / "mount/0a1b2c")
    links = tmp_path / "models"
    links.mkdir()
    (links / "saved_model.pb").symlink_to(tmp_path / "mount/0a1b2c")
    (links / "variables").symlink_to(tmp_path / "mount/variables")
    for path in [*(tmp_path / "mount").rglob("*"), tmp_path / "mount"]:
        path.chmod(0o555 if path.is_dir() else 0o444)

    status, body = post_to(links)({"data": {"ndarray": ROWS}})

    assert status == 200, body
    assert body["data"]["ndarray"] == [[3, 4], [5, 6], [7, 8]]


def versions(directory: Path, **models: str) -> Path:
    """Numbered directories as for TensorFlow Serving, each with a module's `plus` or `times`."""
    for name, function in models.items():
        save_two(directory / name.removeprefix("v"), function)
    return directory


def test_the_highest_version_of_tensorflow_serving_is_served(
    tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """The highest number with a model is served; other directories are ignored."""
    versions(tmp_path, v1="plus", v9="plus", v10="times", vbest="plus")
    (tmp_path / "11/variables").mkdir(parents=True)

    assert post_to(tmp_path)({"data": {"ndarray": ROWS[:1]}})[1]["data"]["ndarray"] == [[2, 4]]


def test_a_version_can_be_named(tmp_path: Path, post_to: Callable[..., Any]) -> None:
    """model_file can select a version."""
    post = post_to(versions(tmp_path, v1="plus", v2="times"), model_file="1/saved_model.pb")

    assert post({"data": {"ndarray": ROWS[:1]}})[1]["data"]["ndarray"] == [[3, 4]]


def test_a_model_takes_precedence_over_numbered_directories(
    tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """A model in the directory itself takes precedence over numbered directories."""
    save_two(versions(tmp_path, v1="plus"), "times")

    assert post_to(tmp_path)({"data": {"ndarray": ROWS[:1]}})[1]["data"]["ndarray"] == [[2, 4]]


def test_values_that_an_operation_refuses_are_the_clients_mistake(
    tmp_path: Path, post_to: Callable[..., Any]
) -> None:
    """If an operation refuses values, the client gets TensorFlow's message without the graph."""
    table = tf.constant([10.0, 20.0, 30.0])
    post = post_to(
        save(tmp_path, lambda rows: tf.gather(table, rows), tf.TensorSpec([None], tf.int32, "rows"))
    )

    status, body = post({"jsonData": [1, 7]})

    assert status == 400
    assert body["status"]["info"] == (
        "the model refuses the data: InvalidArgumentError: indices[1] = 7 is not in [0, 3)"
    )
    np.testing.assert_equal(post({"jsonData": [1, 2]})[0], 200)
