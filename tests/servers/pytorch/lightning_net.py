"""A LightningModule that Lightning and MLflow save in environments that have them."""

import pytorch_lightning as pl
import torch
import torchmetrics
from torch import nn


class PyTorchModel(pl.LightningModule):
    def __init__(self, features: int, hidden: int = 5, **more: int) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["hidden"])
        self.layer = nn.Linear(self.hparams.features, more.get("classes", 2))
        self.accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=2)
        self.metrics = nn.ModuleDict({"error": torchmetrics.MeanSquaredError().clone()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.to(self.device, self.dtype))

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        rows, targets = batch
        error = ((self(rows) - targets) ** 2).mean()
        self.log("error", error)
        return error

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)
