"""Placeholders for missing modules that a class file imports.

Training code imports packages for plots, logs and metrics that prediction does not use. With a
placeholder, the import succeeds; code that uses the placeholder gets the error that the import
would have raised.
"""

import importlib.util
import logging
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NoReturn, Self

logger = logging.getLogger(__name__)


class Unusable:
    """A member of a missing module: code may name it, even in annotations, but not use it."""

    def __init__(self, module: str) -> None:
        self.__dict__["module"] = module

    def __getattr__(self, name: str) -> "Unusable":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, _: Any) -> "Unusable":
        return self

    def __or__(self, _: Any) -> "Unusable":
        return self

    __ror__ = __or__

    def __instancecheck__(self, _: Any) -> bool:
        return False

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Raise the error of the failed import, as every use does."""
        self._refuse()

    def __mro_entries__(self, _: Any) -> NoReturn:
        self._refuse()

    def __iter__(self) -> NoReturn:
        self._refuse()

    def __enter__(self) -> NoReturn:
        self._refuse()

    def __bool__(self) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        name = self.__dict__["module"]
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class _StandInModule(ModuleType):
    __path__: list[str] = []  # noqa: RUF012  so that it may have submodules

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unusable(self.__name__)


class MissingModules(MetaPathFinder, Loader):
    """In its `with` block, the file can import the modules passed to `stand_in_for`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.packages: set[str] = set()

    def __enter__(self) -> Self:
        sys.meta_path.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        sys.meta_path.remove(self)
        for name in [each for each in sys.modules if each.partition(".")[0] in self.packages]:
            del sys.modules[name]  # a later import, in forward, must fail

    def stand_in_for(self, name: str | None) -> bool:
        """Allow the import of a missing module; return False if that is not allowed.

        A missing part of an installed package and a file beside the author's are not allowed.
        """
        package = str(name).partition(".")[0]
        if package.startswith("_model_") or package in self.packages or _is_here(package):
            return False
        self.packages.add(package)
        logger.warning(
            "%s imports %s, which is not in this image; that is fine unless the model uses it",
            self.path,
            name,
        )
        return True

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """The spec of a placeholder for one of the packages, or for a submodule of one."""
        is_missing = name.partition(".")[0] in self.packages
        return ModuleSpec(name, self, is_package=True) if is_missing else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Create the placeholder module."""
        return _StandInModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing, because the module has no code."""


def _is_here(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False
