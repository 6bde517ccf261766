"""Models of torchvision: the documented example, published networks, detectors, operators."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from serving import Server
from torch import nn
from torch_nets import Cifar, source_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:RCNN always returns"),
    pytest.mark.filterwarnings("ignore:The parameter 'pretrained':UserWarning"),
]
NETWORKS = {
    "resnet18": "from torchvision.models import resnet18 as PyTorchModel\n",
    "vit_b_16": "from torchvision.models import vit_b_16 as PyTorchModel\n",
    "deeplabv3_mobilenet_v3_large": (
        "from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large as PyTorchModel\n"
    ),
    "fasterrcnn_mobilenet_v3_large_320_fpn": (
        "from torchvision.models.detection import"
        " fasterrcnn_mobilenet_v3_large_320_fpn as PyTorchModel\n"
    ),
}


@pytest.fixture(autouse=True)
def operators(model_of: Callable[..., Any]) -> None:
    """The operators that the server defines when torchvision is imported."""
    from pytorch_vision import complete  # the server's module, found once conftest has run

    complete()


def made(name: str) -> nn.Module:
    """The network with random weights, the same each time."""
    import torchvision

    torch.manual_seed(0)
    backbone = {} if name in ("resnet18", "vit_b_16") else {"weights_backbone": None}
    module: nn.Module = torchvision.models.get_model(name, weights=None, **backbone)
    if "rcnn" in name:
        module.roi_heads.score_thresh = 0.0  # random weights give low scores
    return module.eval()


def saved_as_weights(name: str, directory: Path) -> nn.Module:
    """The network; its weights and one line of Python are saved in the directory."""
    module = made(name)
    torch.save(module.state_dict(), directory / "model.pt")
    line = NETWORKS[name]
    if "rcnn" in name:
        line = (
            "from torchvision.models import detection\n"
            f"PyTorchModel = lambda: detection.{name}(weights_backbone=None, box_score_thresh=0)\n"
        )
    (directory / "net.py").write_text(line)
    return module


def picture(size: int) -> tuple[bytes, torch.Tensor]:
    """A PNG of random pixels, and the pixels as a batch of one from 0 to 1."""
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    scaled = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]) * np.float32(1 / 255)
    return file.getvalue(), torch.tensor(scaled)


def test_the_documented_example_is_served_unchanged(
    tmp_path: Path, server_on: Callable[..., Server], asked: Callable[..., Any]
) -> None:
    """PyTorch's CIFAR10 tutorial is served, although its class file imports torchvision."""
    torch.manual_seed(0)
    module = Cifar().eval()
    torch.save(module.state_dict(), tmp_path / "model.pt")
    imports = "import torchvision\nimport torchvision.transforms as transforms\n"
    plots = "import matplotlib.pyplot as plt\n"
    (tmp_path / "ModelClass.py").write_text(imports + plots + source_of(Cifar))
    pixels = np.random.default_rng(0).random((1, 3, 32, 32))

    answer = server_on(tmp_path).post({"data": {"ndarray": pixels.tolist()}})

    expected = asked(module, pixels)[0].tolist()
    assert answer.json()["data"]["ndarray"][0] == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "deeplabv3_mobilenet_v3_large"])
def test_published_networks_answer_as_they_do_in_pytorch(
    name: str, tmp_path: Path, server_on: Callable[..., Server]
) -> None:
    """Published networks, as weights with one line of Python, answer images as in PyTorch."""
    module = saved_as_weights(name, tmp_path)
    content, pixels = picture(224 if name == "vit_b_16" else 64)

    body = {"binData": base64.b64encode(content).decode()}
    answer = server_on(tmp_path).post(body).json()

    with torch.inference_mode():
        expected = module(pixels)
    scores = expected["out"] if isinstance(expected, dict) else expected
    values = answer["data"]["tensor"]["values"]
    np.testing.assert_allclose(values, scores.flatten(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("save", ["weights", "TorchScript"])
def test_a_detector_answers_the_boxes_of_each_picture(
    save: str, tmp_path: Path, server_on: Callable[..., Server]
) -> None:
    """A detector, as a torchvision class or as TorchScript, answers the boxes of each image."""
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    module = saved_as_weights(name, tmp_path)
    if save == "TorchScript":
        torch.jit.script(module).save(tmp_path / "model.pt")
    pictures = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(1))

    answer = server_on(tmp_path).post({"data": {"ndarray": pictures.tolist()}}).json()

    with torch.inference_mode():
        expected = module(pictures)
    for key in ("boxes", "labels", "scores"):
        found = answer["jsonData"][key if save == "weights" else f"output_1_{key}"]
        assert len(found) == 2
        for got, each in zip(found, expected, strict=True):
            np.testing.assert_allclose(got, each[key], rtol=1e-3, atol=1e-3)


def test_a_detectors_backbone_is_not_downloaded(
    tmp_path: Path, model_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights of a backbone are not downloaded, because the file contains them."""
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    monkeypatch.setattr("torch.hub.download_url_to_file", pytest.fail)
    saved_as_weights(name, tmp_path)
    (tmp_path / "net.py").write_text(NETWORKS[name])

    assert model_of(tmp_path).signature.inputs[0].name == "images"


def test_boxes_are_suppressed_as_one_by_one(operators: None) -> None:
    """The best box is kept and overlapping ones are removed; ties keep their order."""
    from torchvision.ops import box_iou, nms

    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(200, 4, generator=generator) * 50
    boxes[:, 2:] += boxes[:, :2]
    scores = (torch.rand(200, generator=generator) * 20).round() / 20
    overlaps = box_iou(boxes, boxes)
    kept: list[int] = []
    for each in scores.argsort(descending=True, stable=True).tolist():
        if not any(overlaps[each, other] > 0.4 for other in kept):
            kept.append(each)

    assert nms(boxes, scores, 0.4).tolist() == kept
    assert nms(boxes[:0], scores[:0], 0.4).tolist() == []


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [2, -1])
def test_regions_are_sampled_as_torchvisions_own_python_does(
    sampling_ratio: int, operators: None, *, aligned: bool
) -> None:
    """Our roi_align equals torchvision's Python version, which it would otherwise compile."""
    from torchvision.ops import roi_align
    from torchvision.ops.roi_align import _roi_align

    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 20, 30, generator=generator)
    regions = torch.rand(25, 5, generator=generator) * 90
    regions[:, 3:] += regions[:, 1:3]
    regions[:, 0] = (regions[:, 0] > 45).float()

    got = roi_align(images, regions, (7, 5), 0.1, sampling_ratio, aligned)

    expected = _roi_align.__wrapped__(images, regions, 0.1, 7, 5, sampling_ratio, aligned)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_points_outside_of_an_image_count_nothing(operators: None) -> None:
    """Points more than a pixel outside the image count as zero, as in the compiled operator."""
    from torchvision.ops import roi_align

    regions = torch.tensor([[0.0, 0, 0, 4, 4], [0, 8, 8, 12, 12], [0, 2, 2, 6, 6]])

    sampled = roi_align(torch.ones(1, 1, 4, 4), regions, (2, 2), sampling_ratio=1)

    assert sampled[:, 0].tolist() == [[[1, 1], [1, 1]], [[0, 0], [0, 0]], [[1, 0], [0, 0]]]


def test_the_error_for_a_missing_operator_says_so(operators: None) -> None:
    """An operator that is not implemented raises an error that names the images that have it."""
    from pytorch_vision import _loads_compiled
    from torchvision.ops import roi_pool

    if _loads_compiled():
        pytest.skip("torchvision's compiled part is here")
    with pytest.raises(NotImplementedError, match="roi_pool is compiled for CUDA"):
        roi_pool(torch.ones(1, 1, 4, 4), torch.zeros(1, 5), (1, 1))
