"""Save modules with MLflow, and with Lightning if installed; run this in their environment.

python mlflow_save.py DIRECTORY

DIRECTORY gets a directory for each model, `rows.json`, and `answers.json` with the answers by
model name.
"""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow.pytorch
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch_nets import Mlp, seeded, source_of

ROWS = [[5.3, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
IS_NEW = int(mlflow.__version__.partition(".")[0]) > 2


class OfTheScript(nn.Module):
    """A class of this script, which MLflow pickles with its code."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layer(x))


def trained(directory: Path) -> nn.Module:
    """A LightningModule after one training step, with its checkpoint in the directory."""
    import pytorch_lightning as pl
    from lightning_net import PyTorchModel

    model = PyTorchModel(4, hidden=7, classes=3)
    rows = TensorDataset(torch.tensor(ROWS), torch.zeros(2, 3))
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", enable_checkpointing=False, **quiet)
    trainer.fit(model, DataLoader(rows))
    trainer.save_checkpoint(directory / "last.ckpt")
    return model.eval()


def save(model: nn.Module, directory: Path, **options: object) -> None:
    """Save a module as this MLflow does, by pickle."""
    if IS_NEW:
        options.setdefault("serialization_format", "pickle")
    mlflow.pytorch.save_model(model, directory, pip_requirements=["torch"], **options)


def export(model: nn.Module, directory: Path) -> None:
    """Save a module as MLflow 3 does by default, with torch.export."""
    rows = np.array(ROWS, dtype=np.float32)
    save(model, directory, serialization_format="pt2", input_example=rows)


def main(directory: Path) -> None:
    """Save every model, and its answers."""
    directory.mkdir()
    code = directory / "net_of_mlflow.py"
    code.write_text(source_of(Mlp, "Net"))
    sys.path.append(str(directory))
    with_code = seeded(importlib.import_module("net_of_mlflow").Net)
    models: dict[str, tuple[nn.Module, Callable[[nn.Module, Path], None]]] = {
        "of_the_script": (OfTheScript().eval(), save),
        "with_code": (with_code, lambda model, path: save(model, path, code_paths=[str(code)])),
        "torchscript": (torch.jit.script(seeded(Mlp)), save),
    }
    if IS_NEW:
        models["exported"] = (seeded(Mlp), export)
    if importlib.util.find_spec("pytorch_lightning"):
        models["lightning"] = (trained(directory), save)
    answers = {}
    for name, (model, saving) in models.items():
        answers[name] = model(torch.tensor(ROWS)).tolist()
        saving(model, directory / name)
    code.unlink()
    (directory / "rows.json").write_text(json.dumps(ROWS))
    (directory / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
