"""What requests may contain: the dtypes that layers need, several tensors, images."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import torch
from PIL import Image
from serving import Server
from torch import nn
from torch_nets import Cifar, Mixed, Mlp, Mnist, Pair, Recurrent, Tokens, seeded

ROWS = [[5.3, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def values_of(response: requests.Response) -> Any:
    """The array in a response of any kind."""
    body = response.json()
    assert response.status_code == 200, body
    data = body["data"]
    if "tensor" in data:
        return np.reshape(data["tensor"]["values"], data["tensor"]["shape"])
    return np.array(data["ndarray"])


def close(expected: Any) -> Any:
    """An expectation: equal to PyTorch's answer except for rounding."""
    return pytest.approx(np.asarray(expected), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    "request_body",
    [
        {"data": {"ndarray": ROWS}},
        {"data": {"tensor": {"shape": [2, 4], "values": [*ROWS[0], *ROWS[1]]}}},
        {"jsonData": ROWS},
        {"jsonData": {"x": ROWS}},
    ],
    ids=["ndarray", "tensor", "jsonData", "by name"],
)
def test_rows_are_taken_in_every_kind(
    request_body: Any,
    tmp_path: Path,
    saved: Callable[..., nn.Module],
    server_on: Callable[..., Server],
    asked: Callable[..., Any],
) -> None:
    """Rows in any payload are converted from JSON's doubles to the weights' float32."""
    module = saved(Mlp)

    answer = server_on(tmp_path).post(request_body)

    assert values_of(answer) == close(asked(module, ROWS))


@pytest.mark.parametrize(("net", "shape"), [(Cifar, (1, 3, 32, 32)), (Mnist, (1, 1, 28, 28))])
def test_the_documented_requests_are_answered(
    net: type[nn.Module],
    shape: tuple[int, ...],
    tmp_path: Path,
    saved: Callable[..., nn.Module],
    server_on: Callable[..., Server],
    asked: Callable[..., Any],
) -> None:
    """CIFAR10 and MNIST images as nested lists of four levels are answered with ten numbers."""
    module = saved(net)
    pixels = np.random.default_rng(0).random(shape)

    answer = server_on(tmp_path).post({"data": {"ndarray": pixels.tolist()}})

    assert answer.json()["data"]["ndarray"][0] == pytest.approx(
        asked(module, pixels)[0].tolist(), rel=1e-4, abs=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_rows_take_the_dtype_of_the_weights(
    dtype: torch.dtype, tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """Rows get the dtype of the weights; 16-bit floats are answered as 32-bit floats."""
    module = nn.Sequential(nn.Linear(4, 3)).to(dtype).eval()
    torch.save(module, tmp_path / "model.pt")

    answer = model_of(tmp_path, allow_pickle="true").predict(np.array(ROWS))

    expected = asked(module, ROWS, dtype=dtype)
    assert answer.tolist() == expected.tolist()
    assert answer.dtype == (np.float64 if dtype is torch.float64 else np.float32)


@pytest.mark.parametrize(
    "request_body",
    [
        {"data": {"ndarray": [[1, 2, 3]]}},
        {"data": {"tensor": {"shape": [1, 3], "values": [1, 2, 3]}}},
        {"jsonData": [[1, 2, 3]]},
    ],
    ids=["ndarray", "tensor", "jsonData"],
)
def test_an_embedding_gets_whole_numbers(
    request_body: Any,
    tmp_path: Path,
    saved: Callable[..., nn.Module],
    server_on: Callable[..., Server],
    asked: Callable[..., Any],
) -> None:
    """An embedding gets integers, also from a tensor, which transports doubles."""
    module = saved(Tokens)

    answer = server_on(tmp_path).post(request_body)

    assert values_of(answer) == close(asked(module, [[1, 2, 3]], dtype=torch.int64))


@pytest.mark.parametrize(
    "save", [torch.jit.script, lambda m: torch.jit.trace(m, torch.ones(1, 3, dtype=torch.long))]
)
def test_an_embedding_in_torchscript_gets_whole_numbers(
    save: Callable[..., Any],
    tmp_path: Path,
    model_of: Callable[..., Any],
    asked: Callable[..., Any],
) -> None:
    """An embedding in TorchScript gets integers, because the graph is traced."""
    module = seeded(Tokens)
    save(module).save(tmp_path / "model.pt")

    answer = model_of(tmp_path).predict(np.array([[1.0, 2.0, 3.0]]))

    assert answer == close(asked(module, [[1, 2, 3]], dtype=torch.int64))


def test_whole_numbers_stay_so_where_forward_cannot_be_followed(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """If `forward` cannot be traced, a model with an embedding gets numbers as sent."""
    source = """
        import torch

        class PyTorchModel(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding = torch.nn.Embedding(9, 2)

            def forward(self, tokens):
                if tokens.max() > 4:
                    tokens = tokens % 4
                return self.embedding(tokens)
    """
    (tmp_path / "net.py").write_text("\n".join(line[8:] for line in source.splitlines()))
    embedding = nn.Embedding(9, 2)
    torch.save({"embedding.weight": embedding.weight.detach()}, tmp_path / "model.pt")

    answer = model_of(tmp_path).predict(np.array([[1, 8]]))

    assert answer[0].tolist() == embedding.weight[[1, 0]].tolist()


def test_several_inputs_are_given_by_name(
    tmp_path: Path, saved: Callable[..., nn.Module], server_on: Callable[..., Server]
) -> None:
    """Several inputs get the dtypes they need; one with a default may be left out."""
    module = saved(Mixed)
    inputs = {"size": [[1, 2], [3, 4]], "category": [[0, 1], [2, 3]]}
    server = server_on(tmp_path)

    plain = server.post({"jsonData": inputs}).json()["jsonData"]
    weighted = server.post({"jsonData": inputs | {"weight": [[2.0]]}}).json()["jsonData"]

    tensors = {
        "category": torch.tensor(inputs["category"]),
        "size": torch.tensor(inputs["size"], dtype=torch.float32),
    }
    expected = module(**tensors)
    assert np.array(plain["hidden"]) == close(expected["hidden"].detach())
    assert np.array(plain["score"]) == close(expected["score"].detach())
    assert np.array(weighted["score"]) == close(2 * expected["score"].detach())


def test_several_inputs_of_a_program_are_given_by_name(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A .pt2 file takes the inputs it was exported for, also tensors in lists and dicts."""
    module = Nested().eval()
    example = (torch.ones(2, 3), {"more": [torch.ones(2, 3)]})
    torch.export.save(torch.export.export(module, example), tmp_path / "model.pt2")
    model = model_of(tmp_path)

    answer = model.predict({"x": [[1, 2, 3]] * 2, "others_more_0": [[10, 20, 30]] * 2})

    assert [spec.name for spec in model.signature.inputs] == ["x", "others_more_0"]
    assert answer.tolist() == [[11, 22, 33]] * 2


class Nested(nn.Module):
    """The sum of a tensor and a tensor in a list in a dict."""

    def forward(self, x: torch.Tensor, others: dict[str, list[torch.Tensor]]) -> torch.Tensor:
        return x + others["more"][0]


@pytest.mark.parametrize(
    ("net", "outputs"),
    [
        (Mixed, ["hidden", "score"]),
        (Recurrent, ["output_0", "output_1_0", "output_1_1"]),
    ],
)
def test_several_outputs_are_answered_by_name(
    net: type[nn.Module],
    outputs: list[str],
    tmp_path: Path,
    saved: Callable[..., nn.Module],
    server_on: Callable[..., Server],
) -> None:
    """Outputs are named by a dict's keys, or numbered in a tuple, also a nested one."""
    saved(net)
    inputs = {
        Mixed: {"category": [[1]], "size": [[1, 2]]},
        Recurrent: {"steps": [[[1, 2, 3], [4, 5, 6]]]},
    }

    answer = server_on(tmp_path).post({"jsonData": inputs[net]})

    assert list(answer.json()["jsonData"]) == outputs


def image(width: int, height: int, mode: str = "RGB") -> tuple[bytes, Any]:
    """A PNG of random pixels, and the pixels."""
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels, mode).save(file, "PNG")
    return file.getvalue(), pixels


def test_an_image_becomes_the_channels_that_the_first_layer_takes(
    tmp_path: Path,
    saved: Callable[..., nn.Module],
    server_on: Callable[..., Server],
    asked: Callable[..., Any],
) -> None:
    """An image, as Base64 or in a form, becomes a batch of one, channels first, from 0 to 1."""
    module = saved(Cifar)
    content, pixels = image(32, 32)
    server = server_on(tmp_path)

    in_json = server.post({"binData": base64.b64encode(content).decode()})
    in_form = requests.post(
        server.url + "/api/v1.0/predictions", files={"binData": content}, timeout=60
    )

    expected = asked(module, np.ascontiguousarray(pixels.transpose(2, 0, 1)[None] / 255))
    assert values_of(in_json) == close(expected)
    assert values_of(in_form) == close(expected)


def test_an_image_is_brought_to_grey_for_a_layer_of_one_channel(
    tmp_path: Path,
    saved: Callable[..., nn.Module],
    model_of: Callable[..., Any],
    asked: Callable[..., Any],
) -> None:
    """An image becomes greyscale for a one-channel layer, with the size and scale of parameters."""
    module = saved(Mnist)
    content, _ = image(40, 30)

    model = model_of(tmp_path, image_size="28x28", image_mean="0.1307", image_std="0.3081")

    grey = Image.open(io.BytesIO(content)).convert("L").resize((28, 28), Image.Resampling.BILINEAR)
    expected = asked(module, (np.asarray(grey)[None, None] / 255 - 0.1307) / 0.3081)
    assert model.predict(content) == close(expected)


def test_columns_of_the_inputs_names_are_several_inputs(
    tmp_path: Path, saved: Callable[..., nn.Module], server_on: Callable[..., Server]
) -> None:
    """Columns and records fill inputs of one value per row by name."""
    saved(Pair)
    inputs = {"left": [1.5, 2.5], "right": [10.0, 20.0]}

    answer = server_on(tmp_path).post({"jsonData": inputs})

    assert values_of(answer).tolist() == [11.5, 22.5]
