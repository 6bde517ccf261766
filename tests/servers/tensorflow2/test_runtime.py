"""How TensorFlow runs in the server: compiled once, tried at load, quiet, with few threads."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from google.protobuf.json_format import MessageToDict
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from serving import OURS, PROGRAMS, ROOT, UPSTREAM, Server, serve, serve_here

from prepackaged.cpus import available_cpus

SERVER = ROOT / "tensorflow2/server"
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

traces: list[Any] = []


@keras.saving.register_keras_serializable("of this test")
class Noting(keras.layers.Layer):
    """Records each Python call, which happens once per trace."""

    def call(self, values: Any) -> Any:
        traces.append(values)
        return values


def test_batches_of_all_sizes_run_one_trace(tmp_path: Path, load: Callable[..., Any]) -> None:
    """A model is traced when it is loaded, and never again."""
    keras.Sequential([keras.Input((3,)), Noting()]).save(tmp_path / "model.keras")
    model = load(tmp_path)
    traces.clear()

    for rows in (1, 2, 5, 32, 1, 7):
        assert len(model.predict(np.ones((rows, 3)))) == rows

    assert traces == []


def test_the_function_of_a_file_is_traced_once(
    tmp_path: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow's trace count stays one for batches of all sizes."""
    counted: list[Any] = []
    function = tf.function
    monkeypatch.setattr(tf, "function", lambda call: counted.append(function(call)) or counted[-1])
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]).save(tmp_path / "model.keras")
    model = load(tmp_path)

    for rows in (1, 2, 5):
        model.predict(np.ones((rows, 3)))

    assert counted[-1].experimental_get_tracing_count() == 1


def test_requests_at_the_same_time_get_their_own_answers(
    tmp_path: Path, load: Callable[..., Any]
) -> None:
    """Simultaneous requests share batches, and each gets its own rows."""
    layers = [keras.Input((3,)), keras.layers.Dense(4, activation="tanh")]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    model = load(tmp_path)
    rows = np.random.default_rng(0).random((64, 3)).tolist()
    expected = model.predict(rows)

    with serve_here(model) as server, ThreadPoolExecutor(16) as pool:
        answers = pool.map(lambda row: server.post({"data": {"ndarray": [row]}}).json(), rows)
        got = [answer["data"]["ndarray"][0] for answer in answers]

    assert model.batchable
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_the_model_has_run_before_the_first_request(
    tmp_path: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model runs on zeros before the server is ready."""
    from compiled import Compiled  # found once conftest.py has set the path

    run, calls = Compiled._run, []
    monkeypatch.setattr(Compiled, "_run", lambda *given: calls.append(given) or run(*given))
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]).save(tmp_path / "model.keras")

    load(tmp_path)

    (_, arrays), *_ = calls
    assert [array.tolist() for array in arrays.values()] == [[[0.0, 0.0, 0.0]]]


def test_a_model_that_refuses_zeros_is_served(
    tmp_path: Path, post_to: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A model whose trial run fails is served, and the log has the reason."""

    def positive(values: Any) -> Any:
        tf.debugging.assert_positive(values, message="too small")
        return values

    module = tf.Module()
    module.function = tf.function(positive, input_signature=[tf.TensorSpec([None], tf.float32)])
    tf.saved_model.save(module, str(tmp_path))
    with caplog.at_level("INFO"):
        post = post_to(tmp_path)

    assert post({"jsonData": [1.0]})[0] == 200
    status, body = post({"jsonData": [-1.0]})
    assert status == 400
    assert "too small" in body["status"]["info"]
    assert "Trial run on zeros failed; the first request will be slow: Invalid" in caplog.text


@pytest.fixture(scope="module")
def keras_2_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a Keras 2 file, for which TensorFlow and Keras log many notices."""
    directory = tmp_path_factory.mktemp("keras-2")
    layers = [tf_keras.layers.Dense(2, input_shape=(3,), kernel_initializer="ones")]
    model = tf_keras.Sequential(layers)
    model.compile("adam", "mse")
    with pytest.warns(UserWarning, match="HDF5"):
        model.save(directory / "model.h5")
    return directory


@pytest.fixture(scope="module")
def servers(keras_2_file: Path) -> Iterator[dict[str, Server]]:
    """Servers with that file as separate processes, one for each microservice."""
    with ExitStack() as stack:
        yield {
            program: stack.enter_context(
                serve(SERVER, program=PROGRAMS / program, model_uri=str(keras_2_file))
            )
            for program in (OURS, UPSTREAM)
        }


@pytest.fixture(params=[OURS, UPSTREAM])
def server(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Server:
    """One of the two servers."""
    return servers[request.param]


def test_both_microservices_answer(server: Server) -> None:
    """Both microservices answer; upstream's forks after importing TensorFlow, before loading."""
    for _ in range(3):
        answer = server.post({"data": {"ndarray": [[1, 2, 3]]}})
        assert answer.json()["data"]["ndarray"] == [[6.0, 6.0]]


def test_a_tftensor_is_answered_by_a_tftensor_over_rest(server: Server) -> None:
    """Over REST a tftensor is answered by a tftensor, although both protobuf modules are loaded."""
    tensor = tf.make_tensor_proto(np.array([[1, 2, 3]], np.float32))

    answer = server.post({"data": {"tftensor": MessageToDict(tensor)}}).json()

    assert answer["data"]["tftensor"]["dtype"] == "DT_FLOAT"
    assert [each["size"] for each in answer["data"]["tftensor"]["tensorShape"]["dim"]] == ["1", "2"]


def test_a_tftensor_is_answered_by_a_tftensor_over_grpc(server: Server) -> None:
    """Over gRPC a tftensor that TensorFlow makes is answered by one that TensorFlow reads."""
    tensor = tf.make_tensor_proto(np.array([[1, 2, 3]], np.float32))
    request = prediction_pb2.SeldonMessage(data=prediction_pb2.DefaultData(tftensor=tensor))

    with grpc.insecure_channel(server.grpc) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
        answer = prediction_pb2_grpc.ModelStub(channel).Predict(request, timeout=60)

    assert tf.make_ndarray(answer.data.tftensor).tolist() == [[6.0, 6.0]]


NOTICES = ("oneDNN", "absl", "TensorFlow binary", "WARNING:", "UserWarning", "compiled metrics")


def test_the_log_is_quiet(servers: dict[str, Server]) -> None:
    """The log has no notices of TensorFlow or Keras."""
    log = servers[OURS].log()

    assert "Model loaded" in log
    assert [notice for notice in NOTICES if notice in log] == []


def test_the_operator_can_ask_for_notices(
    keras_2_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TF_CPP_MIN_LOG_LEVEL=0 turns TensorFlow's notices on."""
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")

    with serve(SERVER, model_uri=str(keras_2_file)) as server:
        # The notices depend on the processor, except the first, about where messages go.
        assert "log messages before absl::InitializeLog() is called" in server.log()


@pytest.mark.parametrize("name", ["TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"])
def test_threads_follow_the_containers_limit(name: str) -> None:
    """TensorFlow's variables for threads are the container's processors, not the host's."""
    assert os.environ[name] == str(available_cpus())


def test_tensorflow_starts_the_configured_number_of_threads() -> None:
    """TensorFlow's two thread pools have the sizes in the variables."""
    script = """if True:
        import pathlib, prepackaged
        import tensorflow as tf
        tasks = pathlib.Path("/proc/self/task")
        before = {each.name for each in tasks.iterdir()}
        tf.function(lambda x: tf.linalg.matmul(x, x))(tf.ones((9, 9)))
        started = [each for each in tasks.iterdir() if each.name not in before]
        names = [(each / "comm").read_text().strip() for each in started]
        print(names.count("tf_Compute"), len(names) - names.count("tf_graph_runner"))
    """
    told = {"TF_NUM_INTEROP_THREADS": "3", "TF_NUM_INTRAOP_THREADS": "5"}
    command = [sys.executable, "-c", script]

    done = subprocess.run(command, env=os.environ | told, capture_output=True, check=True)

    assert done.stdout.split() == [b"3", b"8"]


@pytest.mark.skipif(
    not tf.config.list_physical_devices("GPU"), reason="TensorFlow sees no GPU here"
)
def test_a_gpu_is_used_and_its_memory_is_taken_as_needed(tmp_path: Path) -> None:
    """A GPU is used with memory growth, in a separate process, as TensorFlow sets it once."""
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]).save(tmp_path / "model.keras")
    script = """if True:
        import sys
        from Model import Model
        import tensorflow as tf
        model = Model(sys.argv[1], device="cuda:0")
        model.load()
        (gpu,) = tf.config.get_visible_devices("GPU")
        assert tf.config.experimental.get_memory_growth(gpu)
        assert all("GPU:0" in each.device for each in model.compiled.owner.weights)
        print(model.init_metadata()["custom"]["device"], model.predict([[1, 2, 3]]).shape)
    """
    command = [sys.executable, "-c", script, str(tmp_path)]

    done = subprocess.run(command, cwd=SERVER, capture_output=True, text=True, check=True)

    assert done.stdout.split("\n")[0] == "cuda:0 (1, 1)"
