"""Import the Python files of a model's author under private names."""

import ast
import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from prepackaged.artifacts import Artifact
from prepackaged.errors import DeploymentError, describe
from prepackaged.load_errors import script_names

logger = logging.getLogger(__name__)

MAIN = "__main__"
PRIVATE = "_model_"  # the prefix of the private names


@contextmanager
def importable(
    directories: Sequence[Path], server: Path, finder: MetaPathFinder | None = None
) -> Iterator[None]:
    """In this block, imports prefer the files in these directories to the server's own.

    `server` is the directory of the image's modules, whose names are restored after the block; the
    directories then stay at the end of `sys.path`. `finder` finds modules that nothing else finds.
    """
    hidden = _take_out(_modules_in(server))
    paths = list(dict.fromkeys(map(str, directories)))
    finders = [finder] if finder else []
    importlib.invalidate_caches()
    sys.path[:0] = paths
    sys.meta_path.extend(finders)
    try:
        yield
    finally:
        for each in finders:
            sys.meta_path.remove(each)
        for path in paths:
            sys.path.remove(path)
        sys.path += [path for path in paths if path not in sys.path]
        sys.modules.update(hidden)


@contextmanager
def forgotten(directories: Sequence[Path]) -> Iterator[None]:
    """In this block and after it, modules imported from these directories are forgotten.

    If the block raises an exception, they are restored.
    """
    modules, path = _take_out(_modules_below(directories)), list(sys.path)
    sys.path[:] = [each for each in path if not _is_below(each, directories)]
    importlib.invalidate_caches()
    try:
        yield
    except BaseException:
        _take_out(_modules_below([Path(each) for each in sys.path if each not in path]))
        sys.modules.update(modules)
        sys.path[:] = path
        raise


def _modules_below(directories: Sequence[Path]) -> list[str]:
    files = {name: getattr(each, "__file__", None) for name, each in list(sys.modules.items())}
    return [
        name
        for name, file in files.items()
        if isinstance(file, str) and _is_below(file, directories)
    ]


def _is_below(path: str, directories: Sequence[Path]) -> bool:
    """Whether a path is in one of these directories, but not in a Python environment there."""
    below = any(Path(path).is_relative_to(each) for each in directories)
    return below and "site-packages" not in Path(path).parts


@contextmanager
def own_code_of(
    artifact: Artifact,
    server: Path,
    script: set[str] | None = None,
    stand_in: Callable[[str], Any] | None = None,
) -> Iterator[None]:
    """In this block, a pickle of the model finds its author's code.

    The code is in files beside the model, in the model directory or in MLflow's `code_paths`.
    `script` are the names that the pickle looks up in `__main__`: the file that defines all of them
    is used, else `stand_in` creates them. Raises `DeploymentError` if neither is possible.
    """
    beside = (artifact.directory / artifact.name).parent
    directories = [beside, artifact.directory, *([artifact.code] if artifact.code else [])]
    with importable(directories, server):
        module = _main_with(script or set(), directories, stand_in)
        if module is None:
            raise DeploymentError(f"model file {artifact.path} {script_names(script or ())}")
        with standing_for_main(module):
            yield


@contextmanager
def standing_for_main(module: ModuleType | None) -> Iterator[None]:
    """In this block, `__main__` is that module, as in the script that saved the pickle."""
    real = sys.modules[MAIN]
    sys.modules[MAIN] = module or real
    try:
        yield
    finally:
        sys.modules[MAIN] = real


def _main_with(
    names: set[str], directories: Sequence[Path], stand_in: Callable[[str], Any] | None
) -> ModuleType | None:
    """A module that defines all these names; None if there is none."""
    if all(hasattr(sys.modules[MAIN], name) for name in names):
        return sys.modules[MAIN]
    files = {path for directory in directories for path in directory.glob("*.py")}
    having = [path for path in sorted(files) if names <= set(top_level_names(path))]
    if len(having) == 1:
        return load_module(having[0])
    if stand_in is None:
        return None
    module = ModuleType(MAIN)
    vars(module).update({name: stand_in(name) for name in names})
    return module


def load_module(path: Path, stand_in: Callable[[str | None], bool] = lambda _: False) -> ModuleType:
    """Import the Python file under a private name.

    `stand_in` is called for each missing module and returns whether to try again. Raises
    `DeploymentError` for any error in the file.
    """
    name = f"{PRIVATE}{sha256(str(path).encode()).hexdigest()[:8]}"
    # It is a package, so that `from .layers import Block` finds a file beside it.
    spec = importlib.util.spec_from_file_location(
        name, path, submodule_search_locations=[str(path.parent)]
    )
    if spec is None or spec.loader is None:
        raise DeploymentError(f"expected a Python file, whose name ends with .py, got {path}")
    before = {*sys.modules}
    while True:
        _take_out([each for each in sys.modules if _is_left_over(each, name, before)])
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except ModuleNotFoundError as error:
            if not stand_in(error.name):
                raise DeploymentError(why_not_found(path, error)) from error
        except (Exception, SystemExit) as error:
            logger.exception("Importing %s failed", path)
            raise DeploymentError(f"{path} cannot be imported: {describe(error)}") from error
        else:
            return module


def _is_left_over(module: str, name: str, before: set[str]) -> bool:
    """Whether a failed import of `name` has left this module: its own, or one without its package.

    Python forgets a package whose import fails, but not the modules in it, which then cannot be
    imported again.
    """
    package = module.partition(".")[0]
    return package == name or (module not in before and package not in sys.modules)


def why_not_found(path: Path, error: ModuleNotFoundError) -> str:
    """The message for a file that imports a missing module, with the name that the file uses."""
    name = str(error.name)
    if name.startswith(PRIVATE):  # a relative import
        name = f".{name.partition('.')[2]}"
    return (
        f"{path} needs the Python module {name!r}, which is neither beside it nor in this image:"
        " put it there, or fork the image and add it"
    )


def top_level_names(path: Path) -> list[str]:
    """The top-level names that a file defines, found without running it.

    If the file cannot be parsed, returns the reason instead: another file may define the class.
    """
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError) as error:
        return [describe(error)]
    names = [node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    return names + [target.id for target in targets if isinstance(target, ast.Name)]


def _modules_in(directory: Path) -> list[str]:
    files = {name: getattr(each, "__file__", None) for name, each in list(sys.modules.items())}
    return [
        name for name, file in files.items() if file and Path(file).resolve().parent == directory
    ]


def _take_out(names: list[str]) -> dict[str, ModuleType]:
    return {name: sys.modules.pop(name) for name in names}
