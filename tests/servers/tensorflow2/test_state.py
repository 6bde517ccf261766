"""Loading changes nothing in a model: the first answer is TensorFlow's own first answer."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from serving import serve_here

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Load = Callable[..., Any]
VALUES = tf.TensorSpec([None], tf.float32, name="values")


class Stateful(tf.Module):
    """Functions that change a variable in different ways."""

    def __init__(self) -> None:
        super().__init__()
        self.count = tf.Variable(0.0)
        self.rows = tf.Variable(tf.ones([3, 2]))
        self.chance = tf.random.Generator.from_seed(7)

    @tf.function(input_signature=[VALUES])
    def counting(self, values: Any) -> Any:
        """Count the calls."""
        return {"y": values + self.count.assign_add(1.0)}

    @tf.function(input_signature=[VALUES])
    def within(self, values: Any) -> Any:
        """Change the count in a branch and a loop, which are separate functions."""
        if tf.reduce_sum(values) < 100.0:
            for _ in tf.range(3):
                self.count.assign(self.count * 2.0 + 1.0)
        return {"y": values + self.count}

    @tf.function(input_signature=[VALUES])
    def scattering(self, values: Any) -> Any:
        """Write some rows of a variable."""
        self.rows.scatter_nd_add([[1]], [[1.0, 2.0]])
        self.rows[0, 0].assign(9.0)
        return {"y": values + tf.reduce_sum(self.rows)}

    @tf.function(input_signature=[VALUES])
    def drawing(self, values: Any) -> Any:
        """Draw a random number, which changes the generator's variable."""
        return {"y": values + self.chance.uniform([])}


@pytest.mark.parametrize("name", ["counting", "within", "scattering", "drawing"])
def test_a_saved_model_is_as_it_was_saved(name: str, tmp_path: Path, load: Load) -> None:
    """A SavedModel's variables and first answers are those of the file."""
    module = Stateful()
    tf.saved_model.save(module, str(tmp_path), signatures=getattr(module, name))
    own = tf.saved_model.load(str(tmp_path))

    model = load(tmp_path)

    assert changed(model.compiled.owner, own) == []
    function = own.signatures["serving_default"]
    for _ in range(3):
        expected = function(values=tf.constant([0.5]))["y"].numpy()
        assert model.predict([0.5]).tolist() == expected.tolist()
    assert changed(model.compiled.owner, own) == []


@pytest.mark.parametrize("name", ["counting", "within", "scattering", "drawing"])
def test_a_model_that_calls_change_is_called_once_for_each_request(
    name: str, tmp_path: Path, load: Load
) -> None:
    """Simultaneous requests leave the variables as TensorFlow's own calls do, one by one."""
    module = Stateful()
    tf.saved_model.save(module, str(tmp_path), signatures=getattr(module, name))
    own = tf.saved_model.load(str(tmp_path))
    model = load(tmp_path)

    with serve_here(model) as server, ThreadPoolExecutor(8) as clients:
        rows = [{"data": {"ndarray": [number]}} for number in range(20)]
        assert {answer.status_code for answer in clients.map(server.post, rows)} == {200}

    for number in range(20):
        own.signatures["serving_default"](values=tf.constant([float(number)]))
    assert changed(model.compiled.owner, own) == []


def changed(served: Any, own: Any) -> list[int]:
    """The indices of variables whose values differ between two loads of a model."""
    both = [(each.count, each.rows, each.chance._state_var) for each in (served, own)]
    pairs = enumerate(zip(*both, strict=True))
    return [place for place, (a, b) in pairs if not np.array_equal(a.numpy(), b.numpy())]


class Remembering(tf.Module):
    """Stores its input in a table, which is not a variable."""

    def __init__(self) -> None:
        super().__init__()
        self.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
    def __call__(self, words: Any) -> Any:
        """Return the number of distinct words so far."""
        self.table.insert(words, tf.ones_like(words, tf.int64))
        return {"size": tf.expand_dims(self.table.size(), 0)}


def test_a_trial_whose_effects_cannot_be_undone_is_skipped(
    tmp_path: Path, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    """A model that changes a table gets no trial run, and the log says why."""
    tf.saved_model.save(Remembering(), str(tmp_path))

    with caplog.at_level("INFO"):
        model = load(tmp_path)

    assert "it would change the model: LookupTableInsertV2" in caplog.text
    assert model.predict("a").tolist() == [1]


@pytest.mark.parametrize("use_resource", [True, False], ids=["resource", "reference"])
def test_a_graph_of_tensorflow_1_is_as_it_was_saved(
    use_resource: Any, tmp_path: Path, load: Load
) -> None:
    """A TensorFlow 1 graph keeps its variables, of both kinds."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        rows = v1.placeholder(tf.float32, [None], "rows")
        count = v1.get_variable("count", initializer=0.0, use_resource=use_resource)
        answer = rows + tf.identity(v1.assign_add(count, 1.0))
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.predict_signature_def({"rows": rows}, {"y": answer})
        builder = v1.saved_model.Builder(str(tmp_path / "old"))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()

    model = load(tmp_path / "old")

    assert [model.predict([0.5]).tolist() for _ in range(2)] == [[1.5], [2.5]]


def test_a_graph_that_only_reads_variables_is_tried(tmp_path: Path, load: Load) -> None:
    """Operations that only read, call or check do not count as changes."""
    from state import changes  # found once conftest.py has set the path

    words = keras.layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=3)
    layers = [
        keras.Input((), dtype="string"),
        words,
        keras.layers.Embedding(4, 2),
        keras.layers.LSTM(2),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(1),
    ]
    keras.Sequential(layers).save(tmp_path / "model.keras")

    assert changes(load(tmp_path).compiled.traced) == set()


@keras.saving.register_keras_serializable("of this test")
class Counting(keras.layers.Layer):
    """Adds the number of its calls."""

    def build(self, shape: Any) -> None:
        """Create the counter."""
        self.count = self.add_weight(name="count", initializer="zeros", trainable=False)

    def call(self, values: Any) -> Any:
        """Return the values plus the number of this call."""
        self.count.assign(self.count + 1.0)
        return values + self.count


def values(model: Any) -> list[Any]:
    """All variables and states, except seeds of generators, which are new in every load."""
    variables = [*model.variables, *model.layers[0].states]
    return [each.numpy().tolist() for each in variables if "seed_generator" not in each.path]


STEPS = np.array([[[1.0], [0.5]]], np.float32)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_keras_3_file_is_as_it_was_saved(name: str, tmp_path: Path, load: Load) -> None:
    """A Keras 3 file's variables and layer states are those of the file."""
    rnn = keras.layers.LSTM(2, stateful=True)
    keras.Sequential([keras.Input((2, 1), batch_size=1), rnn, Counting()]).save(tmp_path / name)
    own = keras.models.load_model(tmp_path / name)

    model = load(tmp_path)

    assert values(model.compiled.owner) == values(own)
    assert len(values(own)) >= 6
    for _ in range(2):
        np.testing.assert_allclose(model.predict(STEPS), own(STEPS, training=False), rtol=1e-5)


def test_a_keras_2_file_is_as_it_was_saved(tmp_path: Path, load: Load) -> None:
    """A Keras 2 file's layer states are those of the file."""
    rnn = tf_keras.layers.GRU(2, stateful=True, batch_input_shape=(1, 2, 1))
    with pytest.warns(UserWarning, match="HDF5"):
        tf_keras.Sequential([rnn]).save(tmp_path / "model.h5")
    own = tf_keras.models.load_model(tmp_path / "model.h5", compile=False)

    model = load(tmp_path)

    (layer,) = model.compiled.owner.layers
    assert [each.numpy().tolist() for each in layer.states] == [[[0.0, 0.0]]]
    for _ in range(2):
        np.testing.assert_allclose(model.predict(STEPS), own(STEPS, training=False), rtol=1e-5)
