"""Which files the server loads, each saved by PyTorch or safetensors; answers are compared."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch_nets import Mlp, Tokens, seeded, source_of

from prepackaged import DeploymentError

ROWS = np.array([[5.3, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]])
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def export(module: nn.Module, path: Path) -> None:
    """Save a program that accepts any number of rows."""
    rows = {"x": {0: torch.export.Dim("rows")}}
    torch.export.save(torch.export.export(module, (torch.zeros(2, 4),), dynamic_shapes=rows), path)


def save_as_before(module: nn.Module, path: Path) -> None:
    """Save weights in the format before PyTorch 1.6."""
    torch.save(module.state_dict(), path, _use_new_zipfile_serialization=False)


WEIGHTS: dict[str, Callable[[nn.Module, Path], Any]] = {
    "model.pt": lambda module, path: torch.save(module.state_dict(), path),
    "model.pth": save_as_before,
    "flowers-v2.pth": lambda module, path: torch.save(module.state_dict(), path),
    "model.safetensors": lambda module, path: safetensors.torch.save_model(module, str(path)),
    "flowers.safetensors": lambda module, path: safetensors.torch.save_model(module, str(path)),
}
PROGRAMS: dict[str, Callable[[nn.Module, Path], Any]] = {
    "model.pt": lambda module, path: torch.jit.script(module).save(path),
    "traced.pth": lambda module, path: torch.jit.trace(module, torch.zeros(1, 4)).save(path),
    "model.pt2": export,
    "flowers.pt2": export,
}


def assert_answers_as(module: nn.Module, model: Any, asked: Callable[..., Any]) -> None:
    """Check that the server's answer equals the module's."""
    np.testing.assert_allclose(
        model.predict(ROWS), asked(module, ROWS).numpy(), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_given_to_the_class_beside_them(
    name: str, tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """One file of weights and one Python file of any names are loaded, as documented."""
    module = seeded(Mlp)
    WEIGHTS[name](module, tmp_path / name)
    (tmp_path / "AnyName.py").write_text(source_of(Mlp))

    assert_answers_as(module, model_of(tmp_path), asked)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_need_no_python_file(
    name: str, tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """Scripted or traced TorchScript and torch.export programs need no Python file."""
    module = seeded(Mlp)
    PROGRAMS[name](module, tmp_path / name)

    assert_answers_as(module, model_of(tmp_path), asked)


def test_dropout_is_off_whatever_the_file_says(
    tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """A module that was scripted in training mode predicts in evaluation mode."""
    module = seeded(Mlp)
    torch.jit.script(module.train()).save(tmp_path / "model.pt")

    assert_answers_as(module.eval(), model_of(tmp_path), asked)


def test_a_program_for_one_row_is_run_row_by_row(
    tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """A program whose batch torch.export fixed at 1 runs row by row."""
    module = seeded(Mlp)
    torch.export.save(torch.export.export(module, (torch.zeros(1, 4),)), tmp_path / "model.pt2")

    assert_answers_as(module, model_of(tmp_path), asked)


def test_tied_weights_are_loaded_from_safetensors(
    tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """Tied weights, which safetensors saves under one name, are loaded."""
    source = source_of(Tied)
    module = seeded(Tied)
    safetensors.torch.save_model(module, str(tmp_path / "model.safetensors"))
    (tmp_path / "net.py").write_text(source)

    assert_answers_as(module, model_of(tmp_path), asked)


class Tied(nn.Module):
    """Two layers that share weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


def test_links_into_a_read_only_mount_are_followed(
    tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """The server follows links to files elsewhere under other names, as PrimeHub creates them."""
    mount, models = tmp_path / "mount", tmp_path / "models"
    mount.mkdir()
    models.mkdir()
    module = seeded(Mlp)
    torch.save(module.state_dict(), mount / "0a1b2c")
    (mount / "3d4e5f").write_text(
        source_of(Mlp).replace("import torch\n", "import torch, beside\n")
    )
    (mount / "6a7b8c").write_text("")
    names = {"model.pt": "0a1b2c", "Model.py": "3d4e5f", "beside.py": "6a7b8c"}
    for name, target in names.items():
        (mount / target).chmod(0o444)
        (models / name).symlink_to(mount / target)
    mount.chmod(0o555)
    models.chmod(0o555)

    assert_answers_as(module, model_of(models), asked)


def test_a_link_to_a_program_is_followed(
    tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """The link's name determines the format, although the target lacks the suffix .pt2."""
    module = seeded(Mlp)
    export(module, tmp_path / "whole.pt2")
    (tmp_path / "whole.pt2").rename(tmp_path / "0a1b2c")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/model.pt2").symlink_to(tmp_path / "0a1b2c")

    assert_answers_as(module, model_of(tmp_path / "models"), asked)


def test_the_parameters_choose_file_and_class(
    tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """Parameters select the file and the class if a directory has several models."""
    module = seeded(Mlp)
    torch.save(module.state_dict(), tmp_path / "mlp.pt")
    torch.save(seeded(Tokens).state_dict(), tmp_path / "model.pt")
    (tmp_path / "one.py").write_text(source_of(Tokens))
    (tmp_path / "two.py").write_text(source_of(Tokens) + source_of(Mlp, "Net"))
    chosen = {"model_file": "mlp.pt", "model_class": "Net", "model_class_file": "two.py"}

    assert_answers_as(module, model_of(tmp_path, **chosen), asked)


@pytest.mark.parametrize("is_legacy", [False, True])
def test_a_pickled_module_is_loaded_where_the_operator_allows_it(
    tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any], *, is_legacy: bool
) -> None:
    """A file of `torch.save(module)` is refused with the parameter to set, and then loads."""
    module = nn.Sequential(nn.Linear(4, 3), nn.Sigmoid()).eval()
    torch.save(module, tmp_path / "model.pt", _use_new_zipfile_serialization=not is_legacy)

    with pytest.raises(DeploymentError, match="set the parameter allow_pickle to true"):
        model_of(tmp_path)

    assert_answers_as(module, model_of(tmp_path, allow_pickle="true"), asked)


def test_nothing_of_a_pickle_is_run_before_it_is_allowed(
    tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """Pickled code does not run unless allowed, whether beside weights or in place of them."""
    torch.save({"state_dict": seeded(Mlp).state_dict(), "extra": Trap()}, tmp_path / "model.pt")
    (tmp_path / "net.py").write_text(source_of(Mlp))
    sprung.clear()

    model_of(tmp_path)
    torch.save(Trap(), tmp_path / "model.pt")
    with pytest.raises(DeploymentError, match="allow_pickle"):
        model_of(tmp_path)

    assert sprung == []


sprung: list[str] = []


class Trap:
    """An object that records its unpickling."""

    def __reduce__(self) -> Any:
        return spring, ()


def spring() -> None:
    """Record that the trap was unpickled."""
    sprung.append("sprung")


@pytest.mark.parametrize("part", ["data/sample_inputs/model.pt", "data/weights/custom.pt"])
def test_nothing_of_a_program_is_unpickled_before_it_is_allowed(
    part: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A .pt2 archive with a pickle, which PyTorch would load, is refused unless allowed."""
    export(seeded(Mlp), tmp_path / "whole.pt2")
    torch.save(Trap(), tmp_path / "trap")
    with zipfile.ZipFile(tmp_path / "whole.pt2") as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    parts[f"whole/{part}"] = (tmp_path / "trap").read_bytes()
    with zipfile.ZipFile(tmp_path / "model.pt2", "w", zipfile.ZIP_STORED) as trapped:
        for name, content in parts.items():
            trapped.writestr(name, content)
    (tmp_path / "whole.pt2").unlink()
    sprung.clear()

    with pytest.raises(DeploymentError, match=f"{part}.*allow_pickle"):
        model_of(tmp_path)

    assert sprung == []


def test_the_script_that_pickled_a_module_stands_for_main(
    tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """A script beside the pickle provides the classes that the pickle names in `__main__`."""
    script = source_of(Mlp, "Net") + (
        "\nif __name__ == '__main__':\n"
        "    torch.manual_seed(0)\n    torch.save(Net().eval(), 'model.pt')\n"
    )
    (tmp_path / "train-it.py").write_text(script)
    subprocess.run([sys.executable, "train-it.py"], cwd=tmp_path, check=True)

    assert_answers_as(seeded(Mlp), model_of(tmp_path, allow_pickle="true"), asked)


@pytest.mark.parametrize(
    "wrapped",
    [nn.DataParallel, torch.compile, lambda module: nn.DataParallel(torch.compile(module))],
    ids=["GPUs", "compiled", "both"],
)
def test_a_wrapper_is_unwrapped(
    wrapped: Callable[[nn.Module], nn.Module],
    tmp_path: Path,
    model_of: Callable[..., Any],
    asked: Callable[..., Any],
) -> None:
    """A module for several GPUs or compiled is replaced by the original, which names inputs."""
    module = nn.Sequential(nn.Linear(4, 3)).eval()
    torch.save(wrapped(module), tmp_path / "model.pt")

    model = model_of(tmp_path, allow_pickle="true")

    assert_answers_as(module, model, asked)
    assert [spec.name for spec in model.signature.inputs] == ["input"]


@pytest.mark.parametrize(
    ("name", "kind"), [("model.pt2", "torch.export"), ("model.pt", "TorchScript")]
)
def test_the_metadata_tell_the_format_the_device_and_the_version(
    name: str, kind: str, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """The metadata have format, device and PyTorch's version."""
    PROGRAMS[name](seeded(Mlp), tmp_path / name)

    metadata = model_of(tmp_path, device="cpu").init_metadata()

    assert metadata["platform"] == "pytorch"
    assert metadata["custom"] == {"format": kind, "device": "cpu", "torch": torch.__version__}
