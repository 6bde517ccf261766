"""Import scikit-learn without pandas and the parts of SciPy that most models never need.

Import this module before scikit-learn. scikit-learn 1.9 imports pandas if it is installed, and all
versions import scipy.stats, scipy.optimize and more, mostly for functions that `fit` calls. This
takes half of the import time and 60 MB. Here, scikit-learn's modules get stand-ins for the names in
`LATER`, which import the real modules when they are used.
"""

import builtins
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType, SimpleNamespace
from typing import Any

#: Names that scikit-learn's modules import at module level but use only inside functions.
LATER = {
    "scipy.integrate.trapezoid",
    "scipy.interpolate",
    "scipy.interpolate.BSpline",
    "scipy.optimize",
    "scipy.optimize._linesearch.line_search_wolfe1",
    "scipy.optimize._linesearch.line_search_wolfe2",
    "scipy.optimize._linesearch.scalar_search_wolfe1",
    "scipy.optimize.linear_sum_assignment",
    "scipy.optimize.linprog",
    "scipy.optimize.minimize",
    "scipy.optimize.minimize_scalar",
    "scipy.stats",
    "scipy.stats.chi2",
    "scipy.stats.gmean",
    "scipy.stats.mstats.mquantiles",
    "scipy.stats.rankdata",
    "scipy.stats.spearmanr",
}


@cache
def original(name: str) -> Any:
    """The real module with this name, or the real part of a module."""
    return pkgutil.resolve_name(name)


class Later:
    """A stand-in for a module, or for a part of one, that imports the real one when it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copying looks these up before `_name` exists
            raise AttributeError(name)
        return getattr(original(self._name), name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function, the class or the distribution."""
        return original(self._name)(*arguments, **named)


def import_later(
    name: str,
    globals: Mapping[str, object] | None = None,  # noqa: A002  as in `__import__`
    locals: Mapping[str, object] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    """Import as `__import__` does, but with stand-ins for the names in `LATER`."""
    if name in LATER and not fromlist:
        return builtins.__import__("scipy")  # it imports submodules on first use
    if level or not LATER & {f"{name}.{each}" for each in fromlist or ()}:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    return SimpleNamespace(**{each: _one(name, each) for each in fromlist or ()})


def _one(module: str, name: str) -> Any:
    full = f"{module}.{name}"
    package = ".".join(full.split(".")[:2])
    if full in LATER and package not in sys.modules:
        return Later(full)
    return original(full)


class _Loader(SourceFileLoader):
    """Runs a module with `import_later` as its `__import__`."""

    builtins: dict[str, Any] = {**vars(builtins), "__import__": import_later}  # noqa: RUF012

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = self.builtins
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds scikit-learn's modules, for `_Loader`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != "sklearn":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


def _import_without_pandas() -> None:
    """Import scikit-learn as if pandas were not installed."""
    if "pandas" in sys.modules:
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]  # Python's marker for a missing module
    try:
        import sklearn  # noqa: F401
    finally:
        del sys.modules["pandas"]


sys.meta_path.insert(0, _Finder())
_import_without_pandas()
