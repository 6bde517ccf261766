"""Tensors of every kind in SavedModels and Keras models are read and answered as in TensorFlow."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import requests
import tensorflow as tf
import tf_keras

from prepackaged import DeploymentError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Post = Callable[..., Any]
ID = 1623456789012345679
PIXELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 10
PNG = tf.io.encode_png(PIXELS).numpy()
IN_JSON = {"b64": base64.b64encode(PNG).decode()}


def save(directory: Path, function: Callable[..., Any], *inputs: Any) -> Path:
    """Save a function with these inputs as a module's only signature."""
    module = tf.Module()
    module.function = tf.function(function, input_signature=inputs)
    tf.saved_model.save(module, str(directory))
    return directory


def answered(post: Any, payload: Any) -> Any:
    """The values in the answer, in data or jsonData."""
    status, answer = post({"jsonData": payload})
    assert status == 200, answer
    return answer["jsonData"] if "jsonData" in answer else answer["data"].get("ndarray") or answer


# First axes


def test_ragged_values_and_row_splits_have_their_own_sizes(tmp_path: Path, post_to: Post) -> None:
    """A ragged input is two inputs of a signature, whose first axes may differ in size."""
    save(
        tmp_path,
        lambda rows: {"sum": tf.reduce_sum(rows, axis=1)},
        tf.RaggedTensorSpec([None, None], tf.float32),
    )
    (_, inputs) = (
        tf.saved_model.load(str(tmp_path)).signatures["serving_default"].structured_input_signature
    )
    values, splits = sorted(inputs, key=lambda name: inputs[name].dtype == tf.int64)
    post = post_to(tmp_path)

    status, answer = post({"jsonData": {values: [1, 2, 3], splits: [0, 2, 2, 3]}})
    nothing = post({"jsonData": {values: [], splits: [0, 0]}})[1]

    assert status == 200, answer
    assert answer["data"]["tensor"]["values"] == [3, 0, 3]
    assert nothing["data"]["tensor"]["values"] == [0]


def test_a_query_may_have_any_number_of_items(
    tmp_path: Path, post_to: Post, load: Callable[..., Any]
) -> None:
    """Inputs may have unequal numbers of rows if the model accepts that."""
    query, items = (tf.TensorSpec([None, 2], tf.float32, name) for name in ("query", "items"))
    save(
        tmp_path, lambda query, items: {"scores": tf.matmul(query, items, transpose_b=True)},
        query, items,
    )  # fmt: skip
    rows = {"query": [[1, 2]], "items": [[1, 0], [0, 1], [1, 1]]}

    scores = post_to(tmp_path)({"jsonData": rows})[1]["data"]["tensor"]

    assert scores == {"shape": [1, 3], "values": [1, 2, 3]}
    assert not load(tmp_path).batchable


def test_sizes_that_tensorflow_refuses_are_the_clients_mistake(
    tmp_path: Path, post_to: Post
) -> None:
    """Sizes that TensorFlow refuses get a 400 with its message; one row beside many is computed."""
    specs = [tf.TensorSpec([None], tf.float32, name) for name in ("a", "b")]
    post = post_to(save(tmp_path, lambda a, b: {"y": a + b}, *specs))

    status, body = post({"jsonData": {"a": [1, 2], "b": [1, 2, 3]}})
    summed = post({"jsonData": {"a": [1, 2], "b": 10}})[1]

    assert status == 400
    assert body["status"]["info"].startswith(
        "the model refuses the data: InvalidArgumentError: Incompatible shapes: [2] vs. [3]"
    )
    assert summed["data"]["tensor"]["values"] == [11, 12]


@pytest.mark.parametrize("is_one", [True, False])
def test_columns_are_one_batch_if_tensorflow_accepts_no_others(
    is_one: Any, tmp_path: Path, load: Callable[..., Any]
) -> None:
    """A trial run finds out whether inputs share a batch, so that requests can be batched."""
    specs = [tf.TensorSpec([None, 1], tf.float32, name) for name in ("a", "b")]
    save(
        tmp_path,
        lambda a, b: {"y": tf.concat([a, b], 1) if is_one else a + tf.reduce_sum(b)},
        *specs,
    )

    model = load(tmp_path)

    assert model.batchable is is_one
    assert model.predict({"a": [1, 2], "b": [3, 4]}).shape == (2, 2 if is_one else 1)


# Plain values


@pytest.mark.parametrize(("is_training", "expected"), [(True, [[3, 6]]), (False, [[30, 60]])])
def test_a_placeholder_without_a_shape_takes_a_plain_value(
    is_training: Any, expected: Any, tmp_path: Path, post_to: Post
) -> None:
    """Scalar placeholders, as TensorFlow 1's `is_training` and `k`, accept plain values."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], "x")
        flag, k = v1.placeholder(tf.bool, name="is_training"), v1.placeholder(tf.int32, name="k")
        y = tf.cond(flag, lambda: x, lambda: x * 10) * tf.cast(k, tf.float32)
        inputs = {"x": x, "is_training": flag, "k": k}
        signature = v1.saved_model.predict_signature_def(inputs, {"y": y})
        builder = v1.saved_model.Builder(str(tmp_path / "old"))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    post = post_to(tmp_path / "old")
    request = {"x": [[1, 2]], "is_training": is_training, "k": 3}

    status, answer = post({"jsonData": request})
    wrong = post({"jsonData": request | {"k": 2.5}})

    assert status == 200, answer
    assert np.reshape(answer["data"]["tensor"]["values"], [1, 2]).tolist() == expected
    assert wrong[0] == 400
    assert wrong[1]["status"]["info"] == "input 'k': expected int32, got 2.5 at []"


# Numbers


def test_an_id_of_64_bits_stays_exact(tmp_path: Path, post_to: Post) -> None:
    """A 64-bit ID stays exact beside a fraction, a null, and an integer sent as a float."""
    ids, amount = (
        tf.TensorSpec([None], tf.int64, "key"),
        tf.TensorSpec([None], tf.float32, "amount"),
    )
    post = post_to(save(tmp_path, lambda key, amount: {"a": key, "b": amount}, ids, amount))
    columns = {"key": [ID, 2.0], "amount": [0.5, None]}
    records = [{"key": ID, "amount": 0.5}, {"key": 2, "amount": None}]
    rows = {"names": ["key", "amount"], "ndarray": [[ID, 0.5], [2, 1.5]]}

    for body in ({"jsonData": columns}, {"jsonData": records}, {"data": rows}):
        status, answer = post(body)
        assert status == 200, answer
        assert answer["jsonData"]["a"] == [ID, 2]
        assert answer["jsonData"]["b"][0] == 0.5


@pytest.mark.parametrize(
    ("value", "got"),
    [(2**63, "9223372036854775808"), (0.5, "0.5"), (None, "null or NaN"), ("7", "'7'")],
)
def test_a_value_beyond_int64_is_reported_with_its_place(
    value: Any, got: str, tmp_path: Path, post_to: Post
) -> None:
    """A value that int64 cannot hold is refused with its position, also beside a large ID."""
    post = post_to(
        save(tmp_path, lambda key: {"y": key}, tf.TensorSpec([None, 2], tf.int64, "key"))
    )

    status, body = post({"jsonData": [[1, 2], [ID, value]]})

    assert status == 400
    assert body["status"]["info"] == (
        f"input 'key': expected int64 of shape [n, 2], got {got} at [1, 1]"
    )


# Answers


def test_complex_numbers_are_pairs(tmp_path: Path, post_to: Post, load: Callable[..., Any]) -> None:
    """Complex numbers are pairs of real and imaginary part, in inputs and outputs."""
    spec = tf.TensorSpec([None, 4], tf.float32, "signal")
    save(tmp_path / "fft", lambda signal: {"spectrum": tf.signal.rfft(signal)}, spec)
    spec = tf.TensorSpec([None], tf.complex64, "z")
    save(tmp_path / "square", lambda z: {"y": z * z}, spec)
    signal = np.array([[1, 2, 3, 5]], np.float32)

    spectrum = post_to(tmp_path / "fft")({"data": {"ndarray": signal.tolist()}})[1]
    square = post_to(tmp_path / "square")({"data": {"ndarray": [[1, 2], [0, -1]]}})[1]

    expected = np.fft.rfft(signal)
    pairs = np.stack([expected.real, expected.imag], -1)
    np.testing.assert_allclose(spectrum["data"]["ndarray"], pairs, atol=1e-5)
    assert square["data"]["ndarray"] == [[-3, 4], [-1, 0]]
    assert load(tmp_path / "fft").init_metadata()["outputs"][0]["shape"] == [-1, 3, 2]


@pytest.mark.parametrize("dtype", ["float8_e5m2", "float8_e4m3fn", "int4", "uint4"])
def test_small_numbers_are_numbers(dtype: str, tmp_path: Path, post_to: Post) -> None:
    """Dtypes that JSON and numpy lack are answered as numbers."""
    kind = tf.as_dtype(dtype)
    table = tf.constant(np.array([1, 2, 3], np.float32 if "float" in dtype else np.int8), kind)
    spec = tf.TensorSpec([None], tf.int32, "place")
    post = post_to(save(tmp_path, lambda place: {"y": tf.identity(table), "place": place}, spec))

    status, answer = post({"data": {"ndarray": [0]}})

    assert status == 200, answer
    assert answer["jsonData"] == {"y": [1, 2, 3], "place": [0]}


@pytest.mark.parametrize(
    ("dtype", "beyond"),
    [
        ("int4", 8),
        ("uint4", 16),
        ("float8_e5m2", 7e4),
        ("float8_e4m3fn", 500),
        ("bfloat16", 3.4e38),
    ],
)
def test_numbers_beyond_a_small_dtype_are_the_clients_mistake(
    dtype: str, beyond: float, tmp_path: Path, post_to: Post
) -> None:
    """Numbers that the dtype holds arrive unchanged; larger ones are refused, not wrapped."""
    kind = tf.as_dtype(dtype)
    spec = tf.TensorSpec([None], kind, "x")
    post = post_to(save(tmp_path, lambda x: {"y": tf.identity(x)}, spec))
    least, most = float(kind.min), float(kind.max)

    status, answer = post({"data": {"ndarray": [least, 1, most]}})
    wrong = post({"data": {"ndarray": [1, beyond]}})

    assert status == 200, answer
    assert answer["data"]["ndarray"] == [least, 1, most]
    assert wrong[0] == 400, wrong
    told = wrong[1]["status"]["info"]
    assert "input 'x': expected" in told
    assert " at [1]" in told


@pytest.mark.parametrize("dtype", ["int4", "uint4", "float8_e5m2", "bfloat16", "qint8"])
def test_small_numbers_have_the_datatype_that_the_metadata_says(
    dtype: str, tmp_path: Path, serve_model: Any
) -> None:
    """An answer of V2 has the output's datatype in the metadata."""
    kind = tf.as_dtype(dtype)
    spec = tf.TensorSpec([None], tf.float32, "x")
    save(tmp_path, lambda x: {"y": as_kind(x, kind)}, spec)
    server = serve_model(tmp_path)
    tensor = {"name": "x", "datatype": "FP32", "shape": [2], "data": [0, 1]}

    described = requests.get(f"{server.url}/v2/models/model", timeout=60).json()["outputs"]
    answer = server.post({"inputs": [tensor]}, "/v2/models/model/infer").json()["outputs"]

    assert [each["datatype"] for each in answer] == [each["datatype"] for each in described]


def as_kind(x: Any, kind: Any) -> Any:
    """The numbers in another dtype, also a quantized one."""
    if kind.is_quantized:
        return tf.quantization.quantize(x, -1, 1, kind).output
    return tf.cast(x if kind.is_floating else tf.cast(x, tf.int8), kind)


def test_quantized_numbers_are_their_whole_numbers(tmp_path: Path, post_to: Post) -> None:
    """Quantized outputs are answered as the integers that TensorFlow's `numpy` gives."""
    spec = tf.TensorSpec([None], tf.float32, "x")
    save(tmp_path, lambda x: {"y": tf.quantization.quantize(x, -1, 1, tf.qint8).output}, spec)

    answer = post_to(tmp_path)({"data": {"ndarray": [-1, 0, 1]}})[1]

    expected = tf.quantization.quantize([-1, 0, 1], -1, 1, tf.qint8).output.numpy()
    assert answer["data"]["ndarray"] == expected.tolist()


def test_ragged_text_is_a_list_for_each_row(tmp_path: Path, post_to: Post) -> None:
    """Ragged text is answered as a list per row, also if all rows have equal lengths."""
    spec = tf.TensorSpec([None], tf.string, "text")
    save(tmp_path, lambda text: {"words": tf.strings.split(text)}, spec)
    post = post_to(tmp_path)

    for texts in (["a b", "c"], ["a b", "c d"], ["a", "b"], ["", ""], ["a b"]):
        assert post({"jsonData": texts})[1]["data"]["ndarray"] == [each.split() for each in texts]


@pytest.mark.parametrize("texts", [["a b", "c"], ["a", "b"], ["a b"]])
@pytest.mark.parametrize("count", [1, 2], ids=["one output", "two outputs"])
def test_ragged_outputs_are_bytes_in_the_metadata_of_v2_and_in_its_answers(
    count: int, texts: list[str], tmp_path: Path, serve_model: Any
) -> None:
    """Each row is JSON in an element of BYTES, text as well as numbers."""

    def split(text: Any) -> dict[str, Any]:
        words = tf.strings.split(text)
        return {"lengths": tf.strings.length(words)} | ({"words": words} if count > 1 else {})

    save(tmp_path, split, tf.TensorSpec([None], tf.string, "text"))
    server = serve_model(tmp_path)
    tensor = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": texts}

    described = requests.get(f"{server.url}/v2/models/model", timeout=60).json()["outputs"]
    answer = server.post({"inputs": [tensor]}, "/v2/models/model/infer").json()["outputs"]

    assert [(each["datatype"], each["shape"]) for each in described] == [("BYTES", [-1])] * count
    words = [each.split() for each in texts]
    wanted = {"lengths": [list(map(len, each)) for each in words], "words": words}
    assert all(each["shape"] == [len(texts)] for each in answer)
    assert {each["name"]: list(map(json.loads, each["data"])) for each in answer} == {
        name: wanted[name] for name in ["lengths", "words"][:count]
    }


def test_ragged_answers_of_keras_2_are_lists(tmp_path: Path, post_to: Post) -> None:
    """A ragged output of Keras 2 is answered as lists, beside another output."""
    text = tf_keras.Input((), dtype="string")
    words = tf_keras.layers.Lambda(lambda text: tf.strings.split(text), name="words")(text)
    size = tf_keras.layers.Lambda(lambda text: tf.strings.length(text), name="size")(text)
    with pytest.warns(UserWarning, match="HDF5"):
        tf_keras.Model(text, [words, size]).save(tmp_path / "model.h5")

    status, answer = post_to(tmp_path, allow_lambda="true")({"jsonData": ["a b", "c"]})

    assert status == 200, answer
    assert answer["jsonData"] == {"words": [["a", "b"], ["c"]], "size": [3, 1]}


def test_bytes_are_answered_in_base64(tmp_path: Path, post_to: Post) -> None:
    """Bytes such as a PNG are answered in Base64, and text only if its name ends in _bytes."""

    def drawn(grey: Any) -> Any:
        image = tf.io.encode_png(tf.fill([1, 1, 1], grey))
        text = tf.constant(["hi"])
        return {"image": tf.stack([image]), "text": text, "text_bytes": text}

    post = post_to(save(tmp_path, drawn, tf.TensorSpec([], tf.uint8, "grey")))

    status, answer = post({"jsonData": {"grey": 7}})

    assert status == 200, answer
    png = base64.b64decode(answer["jsonData"]["image"][0]["b64"])
    assert tf.io.decode_png(png).numpy().tolist() == [[[7]]]
    assert answer["jsonData"]["text"] == ["hi"]
    assert answer["jsonData"]["text_bytes"] == [{"b64": "aGk="}]


def test_a_plain_string_keeps_its_zeros(tmp_path: Path, post_to: Post) -> None:
    """Bytes keep trailing zeros."""
    spec = tf.TensorSpec([], tf.string, "raw")
    post = post_to(save(tmp_path, lambda raw: {"raw": raw}, spec))

    answer = post({"jsonData": {"raw": {"b64": "/wAA"}}})[1]

    assert answer["data"]["ndarray"] == [{"b64": "/wAA"}]


# Bytes in


def decoded(image: Any, k: Any) -> Any:
    """Decode PNG images in the model, and multiply them by k."""
    each = tf.map_fn(lambda one: tf.io.decode_png(one, 3), image, fn_output_signature=tf.uint8)
    return {"pixels": each * k}


def parsed(x: Any) -> Any:
    """Parse serialized examples."""
    return tf.io.parse_example(x, {"a": tf.io.FixedLenFeature([1], tf.float32)})["a"]


def unzipped(x: Any) -> Any:
    """Decompress."""
    return tf.io.decode_compressed(x, "ZLIB")


@pytest.mark.parametrize("payload", [IN_JSON, [IN_JSON], [IN_JSON, IN_JSON]])
def test_images_are_strings_of_several_inputs(payload: Any, tmp_path: Path, post_to: Post) -> None:
    """Images for a model that decodes them are strings, as in TensorFlow Serving."""
    specs = tf.TensorSpec([None], tf.string, "image"), tf.TensorSpec([], tf.uint8, "k")
    post = post_to(save(tmp_path, decoded, *specs))
    count = len(payload) if isinstance(payload, list) else 1

    status, answer = post({"jsonData": {"image": payload, "k": 2}})

    assert status == 200, answer
    tensor = answer["data"]["tensor"]
    assert tensor["shape"] == [count, 2, 3, 3]
    assert tensor["values"] == (PIXELS * 2).ravel().tolist() * count


@pytest.mark.parametrize(
    ("image", "info"),
    [
        ({"b64": "iVBOR"}, 'expected {"b64": "..."} with a string in Base64, got \'iVBOR\''),
        ({"b64": 7}, 'expected {"b64": "..."} with a string in Base64, got 7'),
        ({"b64": "aGk="}, "the model refuses the data: InvalidArgumentError: "),
        ([7], "input 'image': expected text of shape [n], got 7 at [0]"),
    ],
)
def test_bytes_that_are_not_an_image_are_the_clients_mistake(
    image: Any, info: str, tmp_path: Path, post_to: Post
) -> None:
    """Invalid Base64, bytes that are not an image, and a number get a 400."""
    specs = tf.TensorSpec([None], tf.string, "image"), tf.TensorSpec([], tf.uint8, "k")
    status, body = post_to(save(tmp_path, decoded, *specs))({"jsonData": {"image": image, "k": 2}})

    assert status == 400
    assert body["status"]["info"].startswith(info)


EXAMPLE = tf.train.Example(
    features=tf.train.Features(
        feature={"a": tf.train.Feature(float_list=tf.train.FloatList(value=[1.5]))}
    )
).SerializeToString()


@pytest.mark.parametrize(
    ("function", "content", "reason"),
    [
        (parsed, b"\xff\xd8\xff\xe0", "InvalidArgumentError: Could not parse example input"),
        (parsed, EXAMPLE[:-3], "InvalidArgumentError: Could not parse example input"),
        (tf.strings.to_number, b"\xff", "InvalidArgumentError: StringToNumberOp could not"),
        (unzipped, b"abc", "DataLossError: inflate() failed with error -3"),
    ],
)
def test_bytes_that_tensorflow_refuses_are_the_clients_mistake(
    function: Any, content: bytes, reason: str, tmp_path: Path, post_to: Post
) -> None:
    """A 400 with TensorFlow's reason, also if its message quotes bytes that are not UTF-8."""
    post = post_to(save(tmp_path, function, tf.TensorSpec([None], tf.string, "x")))
    in_base64 = base64.b64encode(content).decode()

    status, body = post({"jsonData": [{"b64": in_base64}]})

    assert status == 400, body
    assert body["status"]["info"].startswith(f"the model refuses the data: {reason}")


def test_an_image_may_be_sent_beside_other_inputs(tmp_path: Path, post_to: Post) -> None:
    """The server decodes an image that is sent beside other inputs."""
    image, k = keras.Input((2, 3, 3), name="image"), keras.Input((1,), name="k")
    total = keras.layers.GlobalAveragePooling2D()(image)
    keras.Model([image, k], keras.layers.Concatenate()([total, k])).save(tmp_path / "model.keras")

    status, answer = post_to(tmp_path, image_scale="1")({"jsonData": {"image": IN_JSON, "k": 5}})

    assert status == 200, answer
    expected = [*PIXELS.mean((0, 1)), 5]
    np.testing.assert_allclose(answer["data"]["tensor"]["values"], expected, rtol=1e-6)


# Rows that run one by one


@pytest.mark.parametrize(
    "rows", [[[1, 0, 0], [0, 1, 1]], [[1, 0, 0], [0, 0, 1]], [[0, 0, 0]] * 2], ids=str
)
def test_a_detector_of_batch_1_returns_a_list_for_each_row(
    rows: Any, tmp_path: Path, post_to: Post
) -> None:
    """A detector with batch 1 answers a list per row, even if each row has one result."""
    spec = tf.TensorSpec([1, 3], tf.float32, "x")
    post = post_to(save(tmp_path, lambda x: {"found": tf.where(x[0] > 0)}, spec))

    status, answer = post({"data": {"ndarray": rows}})

    assert status == 200, answer
    assert answer["data"]["ndarray"] == [np.argwhere(row).tolist() for row in rows]


def test_a_number_for_each_row_is_described_as_such(
    tmp_path: Path, load: Callable[..., Any]
) -> None:
    """If the batch is fixed at 1, an output without axes has a number for each row."""
    spec = tf.TensorSpec([1, 2], tf.float32, "x")
    model = load(save(tmp_path, lambda x: {"y": tf.reduce_sum(x)}, spec))

    assert model.predict([[1, 2], [3, 4]]).tolist() == [3, 7]
    assert [each.shape for each in model.signature.outputs] == [(None,)]


def test_a_setting_applies_to_every_row(tmp_path: Path, post_to: Post) -> None:
    """If the batch is fixed at 1, a scalar or an input of shape [1] applies to every row."""
    specs = [
        tf.TensorSpec([1, 2], tf.float32, "x"),
        tf.TensorSpec([1], tf.float32, "k"),
        tf.TensorSpec([], tf.float32, "b"),
    ]
    post = post_to(save(tmp_path, lambda x, k, b: {"y": x * k + b}, *specs))

    status, answer = post({"jsonData": {"x": [[1, 2], [3, 4]], "k": 10, "b": 1}})
    wrong = post({"jsonData": {"x": [[1, 2]] * 3, "k": [1, 2], "b": 1}})

    assert status == 200, answer
    assert answer["data"]["tensor"] == {"shape": [2, 2], "values": [11, 21, 31, 41]}
    assert wrong[0] == 400
    assert wrong[1]["status"]["info"] == (
        "expected as many rows in every input, or one; 'x' has 3, 'k' has 2"
    )


def test_a_setting_beside_a_batch_is_not_part_of_it(
    tmp_path: Path, post_to: Post, load: Callable[..., Any]
) -> None:
    """An input of shape [1] beside a free batch keeps its size in metadata and requests."""
    x, k = tf.TensorSpec([None, 2], tf.float32, "x"), tf.TensorSpec([1], tf.float32, "k")
    save(tmp_path, lambda x, k: {"y": x * k}, x, k)

    answer = post_to(tmp_path)({"jsonData": {"x": [[1, 2], [3, 4]], "k": [10]}})[1]
    shapes = {each["name"]: each["shape"] for each in load(tmp_path).init_metadata()["inputs"]}

    assert answer["data"]["tensor"] == {"shape": [2, 2], "values": [10, 20, 30, 40]}
    assert shapes == {"x": [-1, 2], "k": [1]}


# What cannot be served


def test_a_signature_of_other_things_than_tensors_stops_the_start(
    tmp_path: Path, load: Callable[..., Any]
) -> None:
    """For an input that no request can hold, the message names it and its type."""
    spec = tf.TensorSpec([], tf.variant, "some")
    save(tmp_path, lambda some: {"y": tf.raw_ops.TensorListLength(input_handle=some)}, spec)

    with pytest.raises(DeploymentError, match="input 'some' is a variant, which no request can"):
        load(tmp_path)
