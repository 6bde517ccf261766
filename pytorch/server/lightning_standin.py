"""Substitutes for Lightning and torchmetrics, for models that import them.

A LightningModule is a torch.nn.Module with a training loop around it. To predict, only its
layers and its `forward` are needed, so that these packages need not be in the image: a class
that derives from LightningModule, or a pickle of it, gets the few things here, and all else of
the packages is there by name and does nothing. Where a package is installed, it is used.

The packages would cost each model that imports them five seconds of a processor at the start and
90 MB of memory, and every image 25 MB and a dozen dependencies.
"""

import inspect
import logging
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any

import torch
from torch import nn

logger = logging.getLogger(__name__)

PACKAGES = (
    "lightning",
    "lightning_fabric",
    "lightning_utilities",
    "pytorch_lightning",
    "torchmetrics",
)


class AttributeDict(dict[str, Any]):
    """A dict whose values are also attributes, as hyperparameters are."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class LightningModule(nn.Module):
    """A module with device, dtype and hyperparameters, without training."""

    _trainer = logger = example_input_array = None
    current_epoch = global_step = global_rank = local_rank = 0
    automatic_optimization = True
    on_gpu = False

    def freeze(self) -> None:
        """As Lightning's: the weights need no gradients."""
        self.requires_grad_(requires_grad=False).eval()

    def unfreeze(self) -> None:
        """The opposite of `freeze`."""
        self.requires_grad_().train()

    def log(self, *_: Any, **__: Any) -> None:
        """Log nothing."""

    log_dict = log

    @property
    def device(self) -> torch.device:
        """The device of its parameters."""
        return next((each.device for each in self.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of its parameters."""
        return next((each.dtype for each in self.parameters()), torch.float32)

    @property
    def hparams(self) -> AttributeDict:
        """What `save_hyperparameters` has kept."""
        kept: AttributeDict = self.__dict__.setdefault("_hparams", AttributeDict())
        return kept

    def save_hyperparameters(
        self,
        *names: Any,
        ignore: Sequence[str] | str = (),
        frame: FrameType | None = None,
        **_: Any,
    ) -> None:
        """Keep the arguments of the constructors that call this, or those that are named."""
        caller = frame or inspect.currentframe().f_back  # type: ignore[union-attr]  # CPython's
        given = _constructor_arguments(self, caller)
        if names and not isinstance(names[0], str):  # the hyperparameters themselves
            given, names = dict(getattr(names[0], "__dict__", None) or names[0]), ()
        left_out = [ignore] if isinstance(ignore, str) else ignore
        self.hparams.update({key: given[key] for key in names or given if key not in left_out})


class Inert(nn.Module):
    """An object of any other class: it accepts any arguments and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_"):
                raise
            return self

    def __call__(self, *_: Any, **__: Any) -> "Inert":
        """Itself, whether used as a decorator, a metric or something else."""
        return self


class _StandInModule(ModuleType):
    """A module that has every public name: our classes for two of them, `Inert`s for the rest."""

    __path__: list[str] = []  # noqa: RUF012  so that it may have modules of its own

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        known = {"LightningModule": LightningModule, "AttributeDict": AttributeDict}
        # Under the same name again it must be the same class.
        made = known.get(name) or type(name, (Inert,), {"__module__": self.__name__})
        setattr(self, name, made)
        return made


class StandIns(MetaPathFinder, Loader):
    """Find these packages if they are not installed."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """A stand-in for one of the packages, or for a module of theirs."""
        package = name.partition(".")[0]
        if package not in PACKAGES:
            return None
        if package not in sys.modules:
            logger.warning(
                "The model imports %s, which is not installed: a substitute provides what the"
                " layers and forward need", package,
            )  # fmt: skip
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself."""
        return _StandInModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is to be run."""


def _constructor_arguments(of: nn.Module, frame: FrameType | None) -> dict[str, Any]:
    """The arguments of the constructors that are running for an object, a derived class's last."""
    found: list[dict[str, Any]] = []
    while frame and frame.f_code.co_name == "__init__" and _called_on(frame) is of:
        found.append(_arguments(frame))
        frame = frame.f_back
    return {name: value for each in found for name, value in each.items()}


def _called_on(frame: FrameType) -> Any:
    return frame.f_locals.get(next(iter(frame.f_code.co_varnames), ""))


def _arguments(frame: FrameType) -> dict[str, Any]:
    names, _, keywords, values = inspect.getargvalues(frame)
    named = {name: values[name] for name in names[1:]}
    only = frame.f_code.co_varnames[len(names) : len(names) + frame.f_code.co_kwonlyargcount]
    more: dict[str, Any] = values.get(keywords or "", {})
    return named | {name: values[name] for name in only} | more
