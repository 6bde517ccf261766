"""Requests over HTTP: errors say what was expected and received; images."""

import base64
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import requests
from graphs import graph, node, same
from PIL import Image
from serving import Server, serve_here

X: Any = {"x": ("float", ("n", 4))}
PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10


@pytest.fixture(scope="module")
def server(
    model_of: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that doubles rows of four numbers."""
    directory = tmp_path_factory.mktemp("rows")
    onnx.save(graph([node("Add", "x x", "y")], X, {"y": X["x"]}), directory / "model.onnx")
    with serve_here(model_of(directory)) as server:
        yield server


@pytest.fixture(scope="module")
def mixed(
    model_of: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with inputs of integers and text."""
    directory = tmp_path_factory.mktemp("mixed")
    inputs: Any = {"ids": ("int64", ("n", 2)), "words": ("string", ("n",))}
    nodes = [node("Identity", "ids", "a"), node("Identity", "words", "b")]
    outputs = dict(zip("ab", inputs.values(), strict=True))
    onnx.save(graph(nodes, inputs, outputs), directory / "model.onnx")
    with serve_here(model_of(directory)) as server:
        yield server


def told(response: requests.Response) -> str:
    """Check for Seldon's client error (400); returns its message."""
    body = response.json()["status"]
    assert response.status_code == 400, body
    assert (body["status"], body["code"], body["reason"]) == (1, -1, "MICROSERVICE_BAD_DATA")
    return str(body["info"])


@pytest.mark.parametrize(
    ("body", "got"),
    [
        ({"data": {"ndarray": [[1, 2, 3]]}}, "got shape [1, 3]"),
        ({"data": {"ndarray": [1, 2, 3, 4]}}, "got shape [4]"),
        ({"data": {"tensor": {"shape": [1, 1, 5], "values": [1] * 5}}}, "got shape [1, 1, 5]"),
        ({"jsonData": [[1, 2, 3, "four"]]}, "got 'four' at [0, 3]"),
        ({"jsonData": {"x": [[1, 2, 3, 1e300]]}}, "got 1e+300 at [0, 3]"),
        ({"jsonData": 7}, "got a number"),
        ({"strData": "1 2 3 4"}, "got a string"),
    ],
)
def test_values_that_do_not_fit_are_reported(server: Server, body: Any, got: str) -> None:
    """For wrong values, the message has the input's name, dtype and shape, and what it received."""
    info = told(server.post(body))

    assert info.startswith("input 'x': expected float32 of shape [n, 4], ")
    assert got in info


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"ids": [[1, 2]]}, "missing: words"),
        ({"ids": [[1, 2]], "words": ["a"], "more": [1]}, "unknown: more"),
        ({"ids": [[1, 2.5]], "words": ["a"]}, "'ids': expected int64 of shape [n, 2], got 2.5"),
        ({"ids": [[1, None]], "words": ["a"]}, "input 'ids': expected int64"),
        ({"ids": [[1, 2]], "words": [3]}, "input 'words': expected text of shape [n], got 3"),
        ({"ids": [[1, 2]], "words": [{"b64": "a"}]}, 'expected {"b64": "..."} with a string in B'),
        ({"ids": [[1, 2]], "words": [{"b64": "/w=="}]}, "of shape [n], got b'\\xff' at [0]"),
        ({"ids": [], "words": []}, "got no rows"),
        ([[1, 2]], "expected an object with 'ids' (int64 of shape [n, 2]), 'words' (text"),
    ],
)  # fmt: skip
def test_names_and_types_of_several_inputs_are_reported(
    mixed: Server, values: Any, wrong: str
) -> None:
    """Wrong names and types of several inputs are refused with clear messages."""
    assert wrong in told(mixed.post({"jsonData": values}))


def test_several_inputs_go_by_name(mixed: Server) -> None:
    """Several inputs go by name, in any order."""
    answer = mixed.post({"jsonData": {"words": ["a", "b"], "ids": [[1, 2], [3, 4]]}})

    assert answer.json()["jsonData"] == {"a": [[1, 2], [3, 4]], "b": ["a", "b"]}


def test_text_may_be_base64(mixed: Server) -> None:
    """Text may be sent as Base64 anywhere, as in TensorFlow Serving."""
    words = [{"b64": "57mB6auU"}, "b"]
    rows = [{"ids": [1, 2], "words": words[0]}, {"ids": [3, 4], "words": words[1]}]

    for request in ({"ids": [[1, 2], [3, 4]], "words": words}, rows):
        answer = mixed.post({"jsonData": request})
        assert answer.json()["jsonData"] == {"a": [[1, 2], [3, 4]], "b": ["繁體", "b"]}


def test_the_answer_has_the_kind_of_the_request(server: Server) -> None:
    """An ndarray is answered by an ndarray, other numbers by a tensor."""
    tensor = {"shape": [1, 4], "values": [1, 2, 3, 4]}
    doubled = {"shape": [1, 4], "values": [2, 4, 6, 8]}

    for body in ({"data": {"tensor": tensor}}, {"jsonData": [[1, 2, 3, 4]]}):
        assert server.post(body).json()["data"]["tensor"] == doubled
    assert server.post({"data": {"ndarray": [[1, 2, 3, 4]]}}).json()["data"] == {
        "names": ["t:0", "t:1", "t:2", "t:3"],
        "ndarray": [[2, 4, 6, 8]],
    }


def test_each_of_many_simultaneous_clients_gets_its_own_answer(server: Server) -> None:
    """Simultaneous clients, whose rows may share batches, each get their own answer."""
    with ThreadPoolExecutor(16) as clients:
        rows = [[number, 0, 0, 0] for number in range(200)]
        answers = clients.map(lambda row: server.post({"data": {"ndarray": [row]}}).json(), rows)

    doubled = [[[2 * number, 0, 0, 0]] for number in range(200)]
    assert [answer["data"]["ndarray"] for answer in answers] == doubled


def png(pixels: Any) -> bytes:
    """A PNG file with these pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("way", ["multipart", "base64"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [(("n", 3, "h", "w"), (2, 0, 1)), (("n", "h", "w", 3), (0, 1, 2)), (("n", 3, 2, 3), (2, 0, 1))],
    ids=["NCHW", "NHWC", "both"],
)
def test_an_image_comes_in_the_layout_of_the_input(
    way: str, shape: Any, axes: tuple[int, ...], tmp_path: Path, serve_model: Any
) -> None:
    """An image becomes float32 from 0 to 1 in the input's layout, NCHW if both are possible."""
    onnx.save(same("float", shape), tmp_path / "model.onnx")
    server = serve_model(tmp_path)

    if way == "multipart":
        address = f"{server.url}/api/v1.0/predictions"
        answer = requests.post(address, files={"binData": png(PIXELS)}, timeout=60)
    else:
        answer = server.post({"binData": base64.b64encode(png(PIXELS)).decode()})

    expected = PIXELS.transpose(axes)[None] / 255
    tensor = answer.json()["data"]["tensor"]
    assert tensor["shape"] == list(expected.shape)
    assert tensor["values"] == pytest.approx(expected.ravel().tolist(), rel=1e-6)


def test_a_grey_image_and_a_flat_row_fit_the_digits_model(tmp_path: Path, serve_model: Any) -> None:
    """Arrays of [1, 28, 28], flat rows of 784 and grey images work, as PrimeHub documents."""
    onnx.save(same("float", ("n", 28, 28)), tmp_path / "model.onnx")
    server = serve_model(tmp_path)
    pixels = np.arange(784, dtype=np.uint32).reshape(28, 28).astype(np.uint8)
    scaled = (pixels / 255).tolist()
    grey = base64.b64encode(png(pixels)).decode()

    documented = server.post({"data": {"ndarray": [scaled]}}).json()["data"]["ndarray"]
    flat = server.post({"data": {"ndarray": [np.ravel(scaled).tolist()]}}).json()["data"]["ndarray"]
    image = server.post({"binData": grey}).json()["data"]["tensor"]

    assert documented == flat == [[pytest.approx(row, rel=1e-6) for row in scaled]]
    assert image["shape"] == [1, 28, 28]
    assert image["values"] == pytest.approx(np.ravel(scaled).tolist(), rel=1e-6)


def test_parameters_change_the_preprocessing(tmp_path: Path, serve_model: Any) -> None:
    """Parameters set size, greyscale, mean and standard deviation."""
    onnx.save(same("float", ("n", 1, 1, 1)), tmp_path / "model.onnx")
    parameters = {"image_mode": "L", "image_size": "1x1", "image_mean": "0.5", "image_std": "0.25"}
    server = serve_model(tmp_path, **parameters)
    white = np.full((4, 4, 3), 255, np.uint8)

    tensor = server.post({"binData": base64.b64encode(png(white)).decode()}).json()["data"][
        "tensor"
    ]

    assert tensor == {"shape": [1, 1, 1, 1], "values": [2.0]}


def test_blue_comes_first_where_the_parameter_says_so(tmp_path: Path, serve_model: Any) -> None:
    """With image_mode BGR, blue comes first, as OpenCV's and Paddle's models expect."""
    onnx.save(same("uint8", ("n", 3, "h", "w")), tmp_path / "model.onnx")
    server = serve_model(tmp_path, image_mode="BGR")

    for body in ({"binData": in_json(PIXELS)["b64"]}, {"jsonData": in_json(PIXELS)}):
        tensor = server.post(body).json()["data"]["tensor"]
        assert tensor["values"] == PIXELS[..., ::-1].transpose(2, 0, 1).ravel().tolist()


def in_json(pixels: Any) -> dict[str, str]:
    """An image as JSON: an object with its bytes in Base64."""
    return {"b64": base64.b64encode(png(pixels)).decode()}


def test_images_are_rows_of_a_batch(tmp_path: Path, serve_model: Any) -> None:
    """A JSON request may contain several images, one per row."""
    onnx.save(same("uint8", ("n", "h", "w", 3)), tmp_path / "model.onnx")
    server = serve_model(tmp_path)
    images = [in_json(PIXELS), in_json(255 - PIXELS)]

    for body in ({"jsonData": images}, {"jsonData": {"x": images}}):
        tensor = server.post(body).json()["data"]["tensor"]
        assert tensor["shape"] == [2, *PIXELS.shape]
        assert tensor["values"] == [*PIXELS.ravel().tolist(), *(255 - PIXELS).ravel().tolist()]


def detector(*, imgsz: str | None = None) -> onnx.ModelProto:
    """A model that accepts images of even height and width, as detectors need multiples of 32."""
    nodes = [
        node("AveragePool", "x", "half", kernel_shape=[2, 2], strides=[2, 2]),
        node("Resize", "half  scales", "whole", mode="nearest"),
        node("Concat", "x whole", "y", axis=1),
    ]
    shape: Any = ("n", 3, "height", "width")
    content = graph(
        nodes,
        {"x": ("float", shape)},
        {"y": ("float", ("n", 6, "height", "width"))},
        {"scales": np.array([1, 1, 2, 2], np.float32)},
    )
    del content.graph.node[1].input[:]
    content.graph.node[1].input.extend(["half", "", "scales"])
    if imgsz:
        content.metadata_props.add(key="imgsz", value=imgsz)
    return content


def test_the_error_of_a_detector_that_refuses_a_size_names_the_parameter(
    tmp_path: Path, serve_model: Any
) -> None:
    """If the graph refuses an image's size, the message names the parameter image_size."""
    onnx.save(detector(), tmp_path / "model.onnx")
    image = {"binData": in_json(PIXELS)["b64"]}  # 2 x 3

    info = told(serve_model(tmp_path).post(image))
    tensor = serve_model(tmp_path, image_size="2x4").post(image).json()["data"]["tensor"]

    assert info.startswith("the model refuses the data: Concat: ")
    assert info.endswith("or have the parameter image_size set, such as 640x640")
    assert tensor["shape"] == [1, 6, 2, 4]


@pytest.mark.parametrize(
    ("imgsz", "size"), [("[4, 6]", [4, 6]), ("8", [8, 8]), ("(4, 6)", [4, 6]), ("4x6", [4, 6])]
)
def test_images_take_the_size_that_the_file_names(
    imgsz: str, size: list[int], tmp_path: Path, serve_model: Any
) -> None:
    """Images are resized to Ultralytics' imgsz in metadata_props, unless image_size is set."""
    onnx.save(detector(imgsz=imgsz), tmp_path / "model.onnx")
    image = {"binData": in_json(PIXELS)["b64"]}

    answer = serve_model(tmp_path).post(image).json()
    other = serve_model(tmp_path, image_size="2x2").post(image).json()

    assert answer["data"]["tensor"]["shape"] == [1, 6, *size]
    assert other["data"]["tensor"]["shape"] == [1, 6, 2, 2]


@pytest.mark.parametrize("imgsz", ["", "large", "[3, 640, 640]", "0", "99999", "[640"])
def test_an_unreadable_size_is_ignored(imgsz: str) -> None:
    """An invalid imgsz is ignored."""
    from onnx_image_size import image_size

    assert image_size({"imgsz": imgsz, "task": "detect"}) is None


def test_a_model_of_a_fixed_size_resizes_nothing_unasked(tmp_path: Path, serve_model: Any) -> None:
    """If the input has a fixed size, imgsz does not turn on resizing."""
    content = same("float", ("n", 3, 4, 4))
    content.metadata_props.add(key="imgsz", value="[4, 4]")
    onnx.save(content, tmp_path / "model.onnx")

    info = told(serve_model(tmp_path).post({"binData": in_json(PIXELS)["b64"]}))

    assert "expected an image of 4x4 (height x width), got 2x3" in info


def test_bytes_that_are_not_an_image_are_reported(tmp_path: Path, serve_model: Any) -> None:
    """Text and a truncated image are refused."""
    onnx.save(same("float", ("n", 3, "h", "w")), tmp_path / "model.onnx")
    server = serve_model(tmp_path)

    for content, word in ((b"hello", "got 5 bytes: text"), (png(PIXELS)[:-30], "truncated")):
        assert word in told(server.post({"binData": base64.b64encode(content).decode()}))


def test_an_image_for_a_table_is_reported(server: Server) -> None:
    """An image for an input that is not an image is refused."""
    info = told(server.post({"binData": base64.b64encode(png(PIXELS)).decode()}))

    assert "input 'x' takes float32 of shape [n, 4], which is not an image" in info


@pytest.mark.parametrize("shape", [[], [1]])
def test_an_input_without_axes_is_one_number_in_every_protocol(
    tmp_path: Path, serve_model: Any, shape: list[int]
) -> None:
    """Over V2, its shape may be [], as the metadata says, or [1]."""
    inputs: Any = {"x": ("float", ("n", 2)), "r": ("float", ())}
    onnx.save(graph([node("Mul", "x r", "y")], inputs, {"y": inputs["x"]}), tmp_path / "model.onnx")
    server = serve_model(tmp_path)
    tensors = [
        {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]},
        {"name": "r", "datatype": "FP32", "shape": shape, "data": [3]},
    ]

    answer = server.post({"inputs": tensors}, "/v2/models/model/infer")
    seldon = server.post({"jsonData": {"x": [[1, 2]], "r": [3] if shape else 3}})

    assert answer.json()["outputs"][0]["data"] == [3, 6], answer.text
    assert seldon.json()["data"]["tensor"]["values"] == [3, 6], seldon.text


def test_an_answer_without_rows_is_one_prediction(tmp_path: Path, serve_model: Any) -> None:
    """V1 answers one instance as a whole, and several row by row if the batch is fixed."""
    content = graph(
        [node("NonZero", "x", "nz")], {"x": ("float", (1, 2))}, {"nz": ("int64", (2, "k"))}
    )
    onnx.save(content, tmp_path / "model.onnx")
    server = serve_model(tmp_path)

    one, two = (
        server.post({"instances": rows}, "/v1/models/model:predict").json()
        for rows in ([[0, 5]], [[0, 5], [3, 4]])
    )

    assert one == {"predictions": [[[0], [1]]]}
    assert two == {"predictions": [[[0], [1]], [[0, 0], [0, 1]]]}


def test_several_instances_for_an_answer_without_rows_are_the_clients_mistake(
    tmp_path: Path, serve_model: Any
) -> None:
    """The error names what such a model takes instead."""
    content = graph(
        [node("NonZero", "x", "nz")], {"x": ("float", ("n", 2))}, {"nz": ("int64", (2, "k"))}
    )
    onnx.save(content, tmp_path / "model.onnx")
    server = serve_model(tmp_path)

    rows = {"instances": [[0, 5], [3, 4], [1, 1]]}
    answer = server.post(rows, "/v1/models/model:predict")

    assert answer.status_code == 400
    assert "inputs in place of instances" in answer.json()["error"]
    whole = server.post({"inputs": rows["instances"]}, "/v1/models/model:predict")
    assert whole.json() == {"outputs": [[0, 1, 1, 2, 2], [1, 0, 1, 0, 1]]}


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_half_a_character_is_the_clients_mistake(mixed: Server, text: str) -> None:
    """JSON may name a surrogate without the other half; no text has one (RFC 3629, 3)."""
    answer = mixed.post({"jsonData": {"ids": [[1, 2]], "words": [text]}})

    assert told(answer).startswith("input 'words': expected text of shape [n], got ")
    pair = mixed.post({"jsonData": {"ids": [[1, 2]], "words": ["\U0001f600"]}})
    assert pair.status_code == 200
