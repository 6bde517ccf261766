"""Substitutes for Lightning and torchmetrics, for models that import them.

A LightningModule is a torch.nn.Module with a training loop around it. Prediction needs only its
layers and its `forward`, so these packages need not be in the image. A class that derives from
LightningModule, or a pickle of it, gets the substitutes here. All other names in the packages exist
but do nothing. If a package is installed, it is used instead.

The real packages would cost every model that imports them five seconds of processor time at startup
and 90 MB of memory, and the image 25 MB and a dozen dependencies.
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
    """A dict whose values are also attributes, as in Lightning's hyperparameters."""

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
        """Turn gradients off and set evaluation mode, as Lightning does."""
        self.requires_grad_(requires_grad=False).eval()

    def unfreeze(self) -> None:
        """Turn gradients on and set training mode, the opposite of `freeze`."""
        self.requires_grad_().train()

    def log(self, *_: Any, **__: Any) -> None:
        """Log nothing."""

    log_dict = log

    @property
    def device(self) -> torch.device:
        """The device of the first parameter; the CPU if there is none."""
        return next((each.device for each in self.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the first parameter; float32 if there is none."""
        return next((each.dtype for each in self.parameters()), torch.float32)

    @property
    def hparams(self) -> AttributeDict:
        """The hyperparameters that `save_hyperparameters` has stored."""
        kept: AttributeDict = self.__dict__.setdefault("_hparams", AttributeDict())
        return kept

    def save_hyperparameters(
        self,
        *names: Any,
        ignore: Sequence[str] | str = (),
        frame: FrameType | None = None,
        **_: Any,
    ) -> None:
        """Store the arguments of the calling constructors, or only the named ones."""
        caller = frame or inspect.currentframe().f_back  # type: ignore[union-attr]  # CPython's
        given = _constructor_arguments(self, caller)
        if names and not isinstance(names[0], str):  # the hyperparameters themselves
            given, names = dict(getattr(names[0], "__dict__", None) or names[0]), ()
        left_out = [ignore] if isinstance(ignore, str) else ignore
        self.hparams.update({key: given[key] for key in names or given if key not in left_out})


class Inert(nn.Module):
    """The base of all other classes: accepts any arguments and does nothing."""

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
        """Return itself, whether it is used as a decorator, a metric or something else."""
        return self


class _StandInModule(ModuleType):
    """A module with every public name: two substitute classes, and `Inert` ones for the rest."""

    __path__: list[str] = []  # noqa: RUF012  so that it may have submodules

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        known = {"LightningModule": LightningModule, "AttributeDict": AttributeDict}
        # A second access to the name must return the same class.
        made = known.get(name) or type(name, (Inert,), {"__module__": self.__name__})
        setattr(self, name, made)
        return made


class StandIns(MetaPathFinder, Loader):
    """Finds substitutes for the PACKAGES that are not installed."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """The spec of a substitute for one of the packages, or for a submodule of one."""
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
        """Create the substitute module."""
        return _StandInModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing, because the module has no code."""


def _constructor_arguments(of: nn.Module, frame: FrameType | None) -> dict[str, Any]:
    """The arguments of an object's running constructors; those of derived classes win."""
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
