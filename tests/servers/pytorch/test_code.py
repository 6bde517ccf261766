"""The model's Python files beside the server's modules: any name works, also one of ours."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_nets import Mlp, seeded, source_of

from prepackaged import ModelError

ROWS = np.array([[5.3, 3.5, 1.4, 0.2]])
USES_SIBLING = """
import torch
from torch import nn
from {module} import width

class PyTorchModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, width())

    def forward(self, x):
        return self.fc(x)
"""
SIBLING = "def width():\n    return 2\n"


@pytest.fixture
def linear(tmp_path: Path) -> torch.nn.Module:
    """A layer, whose weights are saved in `tmp_path` under the name `fc`."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 2)
    torch.save(
        {f"fc.{name}": value for name, value in layer.state_dict().items()}, tmp_path / "w.pt"
    )
    return layer


@pytest.mark.parametrize("name", ["Model.py", "my-model v2.py", "pytorch_files.py", "torch.nn.py"])
def test_the_class_file_may_have_any_name(
    name: str, tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """The class file may have the name of our modules, of PyTorch's, or no valid module name."""
    module = seeded(Mlp)
    torch.save(module.state_dict(), tmp_path / "model.pt")
    (tmp_path / name).write_text(source_of(Mlp))
    ours = sys.modules["Model"]

    model = model_of(tmp_path)

    assert model.predict(ROWS).tolist() == asked(module, ROWS).tolist()
    assert sys.modules["Model"] is ours
    assert type(model) is ours.Model


@pytest.mark.parametrize("module", ["common", "Model", "pytorch_code", "prepared.widths", ".near"])
def test_the_class_file_imports_what_lies_beside_it(
    module: str,
    tmp_path: Path,
    linear: torch.nn.Module,
    model_of: Callable[..., Any],
    asked: Callable[..., Any],
) -> None:
    """The class file may import modules beside it, also with our names, in packages or relative."""
    (tmp_path / "net.py").write_text(USES_SIBLING.format(module=module))
    sibling = tmp_path / f"{module.strip('.').replace('.', '/')}.py"
    sibling.parent.mkdir(exist_ok=True)
    sibling.write_text(SIBLING)
    ours = {name: sys.modules[name] for name in ("Model", "pytorch_code")}

    model = model_of(tmp_path)

    assert model.predict(ROWS).tolist() == asked(linear, ROWS).tolist()
    assert {name: sys.modules[name] for name in ours} == ours


def test_a_class_file_in_a_directory_of_its_own_is_named(
    tmp_path: Path, linear: torch.nn.Module, model_of: Callable[..., Any]
) -> None:
    """A class file in a subdirectory can import from there and from the model's directory."""
    (tmp_path / "src").mkdir()
    source = USES_SIBLING.format(module="beside_the_class")
    (tmp_path / "src/net.py").write_text(source + "from beside_the_weights import width as _\n")
    (tmp_path / "src/beside_the_class.py").write_text(SIBLING)
    (tmp_path / "beside_the_weights.py").write_text(SIBLING)

    assert model_of(tmp_path, model_class_file="src/net.py").predict(ROWS).shape == (1, 2)


def test_modules_that_forward_imports_are_found_when_it_is_called(
    tmp_path: Path, linear: torch.nn.Module, model_of: Callable[..., Any]
) -> None:
    """`forward` can import modules, because the model's directory stays last in sys.path."""
    late = USES_SIBLING.format(module="imported_early").replace(
        "return self.fc(x)",
        "import imported_late\n        return self.fc(x) * imported_late.width()",
    )
    (tmp_path / "net.py").write_text(late)
    (tmp_path / "imported_early.py").write_text(SIBLING)
    (tmp_path / "imported_late.py").write_text(SIBLING)

    assert model_of(tmp_path).predict(ROWS).shape == (1, 2)
    assert sys.path[-1] == str(tmp_path)


def test_a_pickle_finds_its_class_in_a_file_with_the_name_of_ours(
    tmp_path: Path, model_of: Callable[..., Any], asked: Callable[..., Any]
) -> None:
    """A pickle of `Model.Net` finds the author's Model.py, not the server's."""
    (tmp_path / "Model.py").write_text(source_of(Mlp, "Net"))
    save = "import torch, Model; torch.manual_seed(0); torch.save(Model.Net().eval(), 'model.pt')"
    subprocess.run([sys.executable, "-c", save], cwd=tmp_path, check=True)
    ours = sys.modules["Model"]

    model = model_of(tmp_path, allow_pickle="true")

    assert model.predict(ROWS).tolist() == asked(seeded(Mlp), ROWS).tolist()
    assert sys.modules["Model"] is ours


def test_the_files_are_read_and_not_run_to_find_the_class(
    tmp_path: Path, linear: torch.nn.Module, model_of: Callable[..., Any]
) -> None:
    """Only the file with the class is imported, not a training script beside it."""
    (tmp_path / "net.py").write_text(USES_SIBLING.format(module="of_the_net"))
    (tmp_path / "of_the_net.py").write_text(SIBLING)
    (tmp_path / "train.py").write_text("raise SystemExit('trained anew')\n")
    (tmp_path / "old.py").write_text("print 'of Python 2'\n")

    assert model_of(tmp_path).predict(ROWS).shape == (1, 2)


UNUSED = """
import matplotlib.pyplot as plt
import nosuch.deep.module as nosuch
from albumentations import *
from tqdm.auto import tqdm

@torch.no_grad()
def plot(frame: "pd.DataFrame | None", values: nosuch.Array[float, 2] | None = None):
    plt.plot(tqdm(values))
"""


def test_modules_that_are_imported_and_not_used_need_not_be_there(
    tmp_path: Path,
    linear: torch.nn.Module,
    model_of: Callable[..., Any],
    asked: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Missing modules that only training uses are logged and do not stop the start."""
    source = USES_SIBLING.format(module="near").replace("class PyTorch", f"{UNUSED}\nclass PyTorch")
    (tmp_path / "net.py").write_text(source)
    (tmp_path / "near.py").write_text(f"import wandb\n{SIBLING}")

    model = model_of(tmp_path)

    assert model.predict(ROWS).tolist() == asked(linear, ROWS).tolist()
    for name in ("matplotlib", "nosuch", "albumentations", "tqdm", "wandb"):
        assert f"net.py imports {name}, which is not in this image" in caplog.text
    assert not {"matplotlib", "nosuch", "tqdm"} & set(sys.modules)


def test_a_module_that_forward_uses_is_missed_by_name(
    tmp_path: Path, linear: torch.nn.Module, model_of: Callable[..., Any]
) -> None:
    """If `forward` uses a missing module, the request fails with a ModelError that names it."""
    source = USES_SIBLING.format(module="near").replace("self.fc(x)", "nosuch.softmax(self.fc(x))")
    (tmp_path / "net.py").write_text(f"import nosuch\n{source}")
    (tmp_path / "near.py").write_text(SIBLING)

    with pytest.raises(ModelError, match="No module named 'nosuch'"):
        model_of(tmp_path).predict(ROWS)


def test_a_file_that_does_without_a_module_is_left_to(
    tmp_path: Path, linear: torch.nn.Module, model_of: Callable[..., Any]
) -> None:
    """An import in `try` fails as the file expects, without a placeholder."""
    source = USES_SIBLING.format(module="near")
    optional = "try:\n    import nosuch\nexcept ImportError:\n    nosuch = None\n"
    (tmp_path / "net.py").write_text(f"{optional}{source}\nassert nosuch is None\n")
    (tmp_path / "near.py").write_text(SIBLING)

    assert model_of(tmp_path).predict(ROWS).shape == (1, 2)
