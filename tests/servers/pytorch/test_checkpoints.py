"""Weights among other content: checkpoints, prefixes, unexpected entries, files in parts."""

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch_nets import Mlp, seeded, source_of

from prepackaged import DeploymentError

ROWS = np.array([[5.3, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]])


def assert_answers_as(module: nn.Module, model: Any, asked: Callable[..., Any]) -> None:
    """Check that the server's answer equals the module's."""
    np.testing.assert_allclose(
        model.predict(ROWS), asked(module, ROWS).numpy(), rtol=1e-5, atol=1e-7
    )


@pytest.fixture
def served(tmp_path: Path, model_of: Callable[..., Any]) -> Callable[..., Any]:
    """A function that takes a file's content and parameters and loads a Model with Mlp's source."""

    def serve(content: Any, **parameters: str) -> Any:
        torch.save(content, tmp_path / "last.pt")
        (tmp_path / "net.py").write_text(source_of(Mlp))
        return model_of(tmp_path, **parameters)

    return serve


@pytest.mark.parametrize(
    "key", ["state_dict", "model_state_dict", "model_state", "model", "net", "generator"]
)
def test_weights_are_found_in_a_checkpoint(
    key: str, tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """Weights are found in checkpoints that also have an epoch, an optimizer and settings."""
    module = seeded(Mlp)
    settings = argparse.Namespace(where=Path("somewhere"), reader=re.compile("x"))
    checkpoint = {"epoch": 3, key: module.state_dict(), "settings": settings, "optimizer": {}}
    torch.save(checkpoint, tmp_path / "last.pt")
    (tmp_path / "net.py").write_text(source_of(Mlp))

    assert_answers_as(module, model_of(tmp_path), asked)


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "module._orig_mod.", "model.", "net.backbone."],
    ids=lambda each: each,
)
def test_a_wrappers_prefix_is_dropped(
    prefix: str, tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """The prefixes of DataParallel, torch.compile and Lightning are removed from names."""
    module = seeded(Mlp)
    weights = {prefix + name: value for name, value in module.state_dict().items()}
    torch.save({**weights, "loss.weight": torch.ones(3)}, tmp_path / "model.pt")
    (tmp_path / "net.py").write_text(source_of(Mlp))

    assert_answers_as(module, model_of(tmp_path), asked)


def test_a_part_that_was_compiled_alone_keeps_its_names(
    served: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """The infix that torch.compile adds in the middle of names is removed."""
    module = seeded(Mlp)
    weights = {
        name.replace("layers.", "layers._orig_mod."): value
        for name, value in module.state_dict().items()
    }

    assert_answers_as(module, served(weights), asked)


@pytest.mark.parametrize(
    "around",
    [
        lambda weights: {"model": {"state_dict": weights}, "epoch": 1},
        lambda weights: {"netG": weights, "netD": {"main.weight": torch.ones(3)}},
        lambda weights: {"state_dict": weights, "model_ema": weights},
        lambda weights: {"net": {f"module.{name}": each for name, each in weights.items()}},
    ],
    ids=["two deep", "the one that fits", "the usual one of two", "a prefix within"],
)
def test_the_entry_that_fits_the_class_is_taken(
    around: Callable[[Any], Any], served: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """The entry that fits the class is used, whatever else the checkpoint contains."""
    module = seeded(Mlp)

    assert_answers_as(module, served(around(module.state_dict())), asked)


def test_two_entries_that_fit_are_refused(served: Callable[..., Any]) -> None:
    """Two entries of unusual names that fit equally are refused."""
    weights = seeded(Mlp).state_dict()

    with pytest.raises(DeploymentError, match="2 entries that fit: online, target"):
        served({"online": weights, "target": weights})


def test_the_entry_that_does_not_fit_is_named(served: Callable[..., Any]) -> None:
    """The message names an entry that does not fit, and its missing weights."""
    weights = seeded(Mlp).state_dict()
    del weights["layers.3.bias"]

    with pytest.raises(DeploymentError, match=r"entry 'net' of .*missing: layers\.3\.bias"):
        served({"net": weights, "epoch": 3})


LEFTOVERS = {
    "embeddings.position_ids": torch.arange(3),
    "norm.num_batches_tracked": torch.tensor(1),
    "layers.0.total_ops": torch.zeros(1, dtype=torch.float64),
}


def test_leftover_buffers_are_reported_and_do_not_stop_the_start(
    served: Callable[..., Any], asked: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Buffers that older releases and profilers leave in files are logged and ignored."""
    module = seeded(Mlp)

    assert_answers_as(module, served({**module.state_dict(), **LEFTOVERS}), asked)
    assert "unexpected: embeddings.position_ids, norm.num_batches_tracked" in caplog.text


@pytest.mark.parametrize(
    ("change", "strict", "words"),
    [
        ({"head.weight": torch.ones(2)}, None, "unexpected: head.weight; the parameter strict"),
        ({"head.weight": torch.ones(2)}, "false", None),
        ({"layers.0.bias": None}, None, "missing: layers.0.bias; the parameter strict"),
        ({"layers.0.bias": None}, "false", None),
        (LEFTOVERS, "true", "unexpected: embeddings.position_ids"),
    ],
)
def test_strict_says_what_stops_the_start(
    change: dict[str, Any],
    strict: str | None,
    words: str | None,
    served: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By default only wrong weights stop the start, with strict any difference, with false none."""
    weights = {**seeded(Mlp).state_dict(), **change}
    content = {name: each for name, each in weights.items() if each is not None}
    given = {"strict": strict} if strict else {}

    if words is None:
        assert served(content, **given).predict(ROWS).shape == (2, 3)
        assert next(iter(change)) in caplog.text
    else:
        with pytest.raises(DeploymentError, match=re.escape(words)):
            served(content, **given)


def save_in_parts(module: nn.Module, directory: Path) -> list[str]:
    """Save two safetensors files and their index, as the transformers library does."""
    weights = module.state_dict()
    names = {key: f"model-0000{1 + number % 2}-of-00002.safetensors"
             for number, key in enumerate(weights)}  # fmt: skip
    for name in set(names.values()):
        part = {key: each for key, each in weights.items() if names[key] == name}
        safetensors.torch.save_file(part, directory / name)
    index = {"metadata": {"total_size": 1}, "weight_map": names}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    (directory / "net.py").write_text(source_of(Mlp))
    return sorted(set(names.values()))


def test_safetensors_in_parts_are_loaded_by_their_index(
    tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """A model in several safetensors files is loaded through its index."""
    module = seeded(Mlp)
    save_in_parts(module, tmp_path)

    assert_answers_as(module, model_of(tmp_path), asked)


def test_a_part_that_is_missing_is_named(tmp_path: Path, model_of: Callable[..., Any]) -> None:
    """If a part is missing, the message names the index and the part."""
    first, _ = save_in_parts(seeded(Mlp), tmp_path)
    (tmp_path / first).unlink()

    with pytest.raises(DeploymentError, match=rf"index of 2 files, of which 1 .*{first}"):
        model_of(tmp_path)


LIGHTNING = """
import lightning as L
import torch
import torchmetrics
from torch import nn

class Backbone(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(4, width)
        self.activation = nn.functional.relu

    def forward(self, x):
        return self.activation(self.layer(x))

class Base(L.LightningModule):
    def __init__(self, classes):
        super().__init__()
        self.save_hyperparameters()
        self.head = nn.Linear(self.hparams.width, classes)

class PyTorchModel(Base):
    def __init__(self, net: nn.Module, head: nn.Module, width=5, optimizer=None):
        super().__init__(classes=3)
        self.net, self.norm = net, head
        self.net.requires_grad_(False)
        self.accuracy = torchmetrics.MetricCollection({"a": torchmetrics.MeanMetric()})
        self.example_input_array = torch.zeros(1, 4)
        self.log("width", width)

    def forward(self, x):
        return self.head(self.norm(self.net(x))) + self.global_step
"""


class Backbone(nn.Module):
    """A class with the same name as one in the class file."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 5)
        self.activation = nn.functional.relu


class Optimizer:
    """A class that is not available where the model is served."""


def lightning_checkpoint(**more: Any) -> tuple[nn.Module, dict[str, Any]]:
    """A module, and its Lightning checkpoint with nets among the hyperparameters."""
    torch.manual_seed(0)
    net, norm, head = Backbone(), nn.Sequential(nn.LayerNorm(5), nn.ReLU()), nn.Linear(5, 3)
    parts = {"net": net, "norm": norm, "head": head}
    weights = {
        f"{part}.{key}": value
        for part, each in parts.items() for key, value in each.state_dict().items()
    }  # fmt: skip
    settings = {"net": net, "head": norm, "width": 5, "optimizer": Optimizer(), **more}
    module = nn.Sequential(net.layer, nn.ReLU(), norm, head)
    return module, {"state_dict": weights, "hyper_parameters": settings, "hparams_name": "kwargs"}


def test_nets_among_lightnings_hyperparameters_are_made_anew(
    tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """Nets of PyTorch and of the class file are rebuilt without unpickling; others are ignored."""
    module, checkpoint = lightning_checkpoint()
    torch.save(checkpoint, tmp_path / "last.ckpt")
    (tmp_path / "net.py").write_text(LIGHTNING)

    model = model_of(tmp_path)

    assert_answers_as(module, model, asked)
    assert {"classes": 3, "width": 5}.items() <= model.network.module.hparams.items()


def test_the_error_for_a_net_names_its_missing_class(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """If a hyperparameter's class is missing, the message names it, not only its weights."""
    _, checkpoint = lightning_checkpoint()
    torch.save(checkpoint, tmp_path / "last.ckpt")
    (tmp_path / "net.py").write_text(LIGHTNING.replace("class Backbone", "class Renamed"))

    with pytest.raises(DeploymentError, match=r"not loaded.*'net' \(a Backbone\)"):
        model_of(tmp_path)
